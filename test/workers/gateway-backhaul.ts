import { vi } from "vitest";
import { octetsOf, stringOf } from "../../sip/message/octets.ts";
import {
  decodeFrame,
  encodeFrame,
  isFrameError,
  jsonOctets,
  RecordKind,
  type Frame,
  type FrameRecord,
} from "../../cluster/backhaul/frame.ts";
import { signature, upgrade } from "./cell.ts";

export const listeners = [
  { transport: "UDP", host: "192.0.2.1", port: 5060 },
  { transport: "TCP", host: "192.0.2.1", port: 5060 },
  { transport: "WS", host: "192.0.2.1", port: 5066 },
];

/** A UDP flow key of the gateway: 198.51.100.7:5060. */
export const udpFlow = "u0..c633640713c4";

/** A TCP flow key of the gateway: no transaction lives on for the sake of retransmissions, so objects may sleep at once. */
export const tcpFlow = "t1.c1.c633640713c4";

/** A gateway's end of a backhaul, frame by frame. */
export class GatewayBackhaul {
  readonly socket: WebSocket;
  readonly frames: Frame[] = [];
  readonly texts: string[] = [];
  closed: { readonly code: number; readonly reason: string } | undefined;
  #seq = 0;
  #received = 0;
  #taken = 0;

  static async connect(exchange: number, access = "g1", boot = "boot1"): Promise<GatewayBackhaul> {
    const backhaul = await GatewayBackhaul.open(exchange, access);
    backhaul.send([{ kind: RecordKind.hello, key: access, octets: jsonOctets({ boot, listeners }) }]);
    await vi.waitFor(() => {
      if (backhaul.acknowledged === 0) throw new Error("the hello is not acknowledged yet");
    });
    return backhaul;
  }

  /** A backhaul without its hello. */
  static async open(exchange: number, access = "g1"): Promise<GatewayBackhaul> {
    const response = await upgrade(`/backhaul/${exchange}`, {
      authorization: signature(`backhaul ${exchange}`, access, `GET /backhaul/${exchange}`),
    });
    if (response.webSocket === null) throw new Error(`no backhaul: ${response.status} ${await response.text()}`);
    return new GatewayBackhaul(response.webSocket);
  }

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => {
      if (typeof data === "string") {
        this.texts.push(data);
        return;
      }
      const frame = decodeFrame(new Uint8Array(data as ArrayBuffer));
      if (isFrameError(frame)) throw new Error(frame.frameError);
      if (frame.seq !== 0 && frame.seq !== this.#received + 1) throw new Error(`frame ${frame.seq} after ${this.#received}`);
      this.#received = Math.max(this.#received, frame.seq);
      this.frames.push(frame);
    });
    socket.addEventListener("close", ({ code, reason }) => {
      this.closed = { code, reason };
    });
    socket.accept();
  }

  get acknowledged(): number {
    return this.frames.at(-1)?.ack ?? 0;
  }

  get sent(): number {
    return this.#seq;
  }

  send(records: readonly FrameRecord[]): void {
    this.#seq += 1;
    this.socket.send(encodeFrame(this.#seq, this.#received, records));
  }

  sendMessage(text: string, flow: string = tcpFlow): void {
    this.send([{ kind: RecordKind.message, key: flow, octets: octetsOf(text) }]);
  }

  /** The next message that the exchange sends through this backhaul and that has not been taken; waits for it. */
  async take(timeout = 1_000): Promise<{ readonly flow: string; readonly text: string }> {
    const record = await vi.waitFor(() => {
      const records = this.frames.flatMap((frame) => frame.records).filter(({ kind }) => kind === RecordKind.send);
      const next = records[this.#taken];
      if (next === undefined) throw new Error("the gateway is still waiting for a message");
      return next;
    }, timeout);
    this.#taken += 1;
    return { flow: record.key, text: stringOf(record.octets) };
  }
}
