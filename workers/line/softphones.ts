import { addressToHex, parseFlowKey, serializeFlowKey } from "../../sip/flow/flow.ts";
import { isRegistered } from "../../sip/flow/grant.ts";
import { sourceOfAddress } from "../../sip/flow/source.ts";
import type { SendOrder } from "../../actors/core-group/line-drain.ts";
import { closeQuietly } from "../close-socket.ts";
import {
  firstMessageMs,
  socketExchangesMax,
  socketMessagesBurstMax,
  socketMessagesPerSecondMax,
  strangersLeavingMax,
  strangersPerSourceMax,
} from "../limits.ts";
import { Breakers } from "./breakers.ts";
import { listenerIndex } from "./line-listeners.ts";
import { RateBound } from "../../cluster/overload/rate-bound.ts";
import { ReadingProof } from "./reading-proof.ts";
import { Strangers } from "./strangers.ts";
import type { Clocks, SteadyMs, WallMs } from "../../sip/time.ts";

/**
 * The softphones' WebSockets of a line (RFC 7118). What is known of one is in its attachment, and its connection's name is its tag: an
 * object that slept finds both again.
 */

type Softphone = {
  readonly flowKey: string;
  /** Exchanges that it has talked to, the latest last: they hear of its end. */
  readonly exchanges: readonly number[];
  /** Octets that it may not have read, as of when that was much: {@link ReadingProof}. */
  readonly unread?: number;
  /** When it came, ms. */
  readonly since?: number;
  /** Somebody has registered on it. */
  readonly isKnown?: true;
};

const crlf = new Uint8Array([0x0d, 0x0a]);

export class Softphones {
  readonly #ctx: DurableObjectState;
  readonly #nextId: () => string;
  readonly #now: Clocks["now"];
  readonly #rates = new WeakMap<WebSocket, RateBound>();
  /** When a message last came or went, ms; nothing since this object woke when absent. */
  readonly #heardAt = new WeakMap<WebSocket, SteadyMs>();
  readonly #proofs = new WeakMap<WebSocket, ReadingProof>();
  /** Attachments that were read or written since this object woke: reading one costs some microseconds, and every message needs it. */
  readonly #known = new WeakMap<WebSocket, Softphone>();
  readonly #breakers = new Breakers();
  /** Undefined until they are needed: an object that woke has to look for them. */
  #strangers: Strangers | undefined;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

  constructor(ctx: DurableObjectState, nextId: () => string, now: Clocks["now"]) {
    this.#ctx = ctx;
    this.#nextId = nextId;
    this.#now = now;
    // RFC 5626 3.5.1 keep-alives are answered by the runtime and wake nobody.
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("\r\n\r\n", "\r\n"));
  }

  /** True when one more may come from where this request does. */
  mayCome(request: Request): boolean {
    const source = sourceOfAddress(remoteOf(request).address);
    return this.#strangersNow().mayCome(source) && this.#breakers.mayCome(source, this.#now());
  }

  /** Closes one of those on which nobody has registered, for the sake of this request. False: there is none that should go. */
  makeRoomFor(request: Request): boolean {
    const socket = this.#strangersNow().makeRoomFor(sourceOfAddress(remoteOf(request).address));
    if (socket !== undefined) closeQuietly(socket, 1013, "this cell is full: register at once, or come later");
    return socket !== undefined;
  }

  /** Accepts an upgrade that asks for subprotocol `sip`. */
  accept(request: Request): Response {
    const pair = new WebSocketPair();
    const connection = this.#nextId();
    const transport = new URL(request.url).protocol === "https:" ? "WSS" : "WS";
    const remote = remoteOf(request);
    const flowKey = serializeFlowKey({ transport, listener: listenerIndex(transport), connection, ...remote });
    this.#keep(pair[1], { flowKey, exchanges: [], since: Date.now() });
    this.#ctx.acceptWebSocket(pair[1], [connection]);
    this.#strangersNow().add(pair[1], sourceOfAddress(remote.address));
    return new Response(null, { status: 101, webSocket: pair[0], headers: { "sec-websocket-protocol": "sip" } });
  }

  /** Closes those that have had {@link firstMessageMs} and said nothing. True: there are others that have said nothing yet. */
  closeSilent(now: WallMs): boolean {
    let areLeft = false;
    for (const socket of this.#strangersNow().sockets()) {
      const { exchanges, since = 0 } = this.#softphoneOf(socket);
      const hasSpoken = exchanges.length > 0 || this.#ctx.getWebSocketAutoResponseTimestamp(socket) !== null;
      if (hasSpoken || socket.readyState !== WebSocket.OPEN) continue;
      if (now - since >= firstMessageMs) closeQuietly(socket, 1008, "it says nothing");
      else areLeft = true;
    }
    return areLeft;
  }

  /** It has broken the protocol: its descriptors are held for a while. */
  broke(socket: WebSocket): void {
    this.#breakers.add(sourceOfAddress(parseFlowKey(this.flowKeyOf(socket))?.address ?? ""), this.#now());
  }

  /** It is gone. */
  ended(socket: WebSocket): void {
    this.#strangers?.remove(socket);
  }

  flowKeyOf(socket: WebSocket): string {
    return this.#softphoneOf(socket).flowKey;
  }

  exchangesOf(socket: WebSocket): readonly number[] {
    return this.#softphoneOf(socket).exchanges;
  }

  /** Notes that this softphone talks to an exchange. */
  remember(socket: WebSocket, exchange: number): void {
    const softphone = this.#softphoneOf(socket);
    const { exchanges } = softphone;
    if (exchanges.includes(exchange)) return;
    const kept = exchanges.length < socketExchangesMax ? exchanges : exchanges.slice(1);
    this.#keep(socket, { ...softphone, exchanges: [...kept, exchange] });
  }

  /** Counts a message. False: this softphone sends too many. */
  mayReceive(socket: WebSocket, now: SteadyMs): boolean {
    this.#heardAt.set(socket, now);
    let rate = this.#rates.get(socket);
    if (rate === undefined) {
      rate = new RateBound(socketMessagesPerSecondMax, socketMessagesBurstMax, now);
      this.#rates.set(socket, rate);
    }
    return rate.take(now);
  }

  /** A message has come whole: it may show that its softphone reads. */
  heard(socket: WebSocket, octets: Uint8Array): void {
    this.#proofs.get(socket)?.heard(octets);
  }

  /** RFC 7118 4.2: text where the message is UTF-8, binary otherwise. False: the flow is gone, or is closed now. */
  send(flowKey: string, octets: Uint8Array): boolean {
    const socket = this.#find(flowKey);
    if (socket === undefined) return false;
    const now = this.#now();
    this.#heardAt.set(socket, now);
    if (!this.#mayBeRead(socket, octets, now)) return false;
    const softphone = this.#softphoneOf(socket);
    if (softphone.isKnown !== true && isRegistered(octets)) {
      this.#strangersNow().remove(socket);
      this.#keep(socket, { ...softphone, isKnown: true });
    }
    try {
      socket.send(this.#textOf(octets) ?? octets);
      return true;
    } catch {
      return false;
    }
  }

  /** Answers a keep-alive that came in a binary frame, which the runtime does not see. */
  answerKeepAlive(socket: WebSocket): void {
    socket.send(crlf);
  }

  close(flowKey: string, code: number, reason: string): void {
    this.#find(flowKey)?.close(code, reason);
  }

  /** Closes so many, as a server does that restarts. Returns how many are left. */
  closeSome({ most, strangersMost, quietMs, isPatient }: SendOrder, now: SteadyMs): number {
    const open = this.#ctx.getWebSockets().filter((socket) => socket.readyState === WebSocket.OPEN);
    const [strangers, quiet, others]: [WebSocket[], WebSocket[], WebSocket[]] = [[], [], []];
    for (const socket of open) {
      const isQuiet = now - (this.#heardAt.get(socket) ?? 0) >= quietMs;
      const those = this.#softphoneOf(socket).isKnown !== true ? strangers : isQuiet ? quiet : others;
      those.push(socket);
    }
    const registered = isPatient ? quiet : [...quiet, ...others];
    const going = [...strangers.slice(0, strangersMost), ...registered.slice(0, most)];
    for (const socket of going) socket.close(1012, "this cell is out of service: connect to another one");
    return open.length - going.length;
  }

  #strangersNow(): Strangers {
    if (this.#strangers !== undefined) return this.#strangers;
    const strangers = new Strangers({ perSourceMax: strangersPerSourceMax, leavingMax: strangersLeavingMax });
    this.#strangers = strangers;
    for (const socket of this.#ctx.getWebSockets()) {
      const { flowKey, isKnown } = this.#softphoneOf(socket);
      if (isKnown !== true) strangers.add(socket, sourceOfAddress(parseFlowKey(flowKey)?.address ?? ""));
    }
    return strangers;
  }

  #mayBeRead(socket: WebSocket, octets: Uint8Array, now: SteadyMs): boolean {
    let proof = this.#proofs.get(socket);
    if (proof === undefined) this.#proofs.set(socket, (proof = new ReadingProof(this.#softphoneOf(socket).unread ?? 0, now)));
    const state = proof.sent(octets, now);
    if (state === "fine") return true;
    if (state === "ask") this.#keep(socket, { ...this.#softphoneOf(socket), unread: proof.octets });
    else closeQuietly(socket, 1008, "it does not read what it is sent");
    return state === "ask";
  }

  #find(flowKey: string): WebSocket | undefined {
    const connection = parseFlowKey(flowKey)?.connection;
    if (connection === undefined || connection === "") return undefined;
    return this.#ctx.getWebSockets(connection).find((socket) => socket.readyState === WebSocket.OPEN);
  }

  #softphoneOf(socket: WebSocket): Softphone {
    const known = this.#known.get(socket);
    if (known !== undefined) return known;
    const softphone = socket.deserializeAttachment() as Softphone | null;
    if (softphone === null) throw new Error("a softphone's WebSocket without an attachment");
    this.#known.set(socket, softphone);
    return softphone;
  }

  #keep(socket: WebSocket, softphone: Softphone): void {
    socket.serializeAttachment(softphone);
    this.#known.set(socket, softphone);
  }

  #textOf(octets: Uint8Array): string | undefined {
    try {
      return this.#decoder.decode(octets);
    } catch {
      return undefined;
    }
  }
}

/** The softphone's address: a plain workerd says it with the port, Cloudflare in a header and without. */
function remoteOf(request: Request): { readonly address: string; readonly port: number } {
  const clientIp: unknown = request.cf?.["clientIp"];
  const text = typeof clientIp === "string" ? clientIp : (request.headers.get("cf-connecting-ip") ?? "");
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|(\d+\.\d+\.\d+\.\d+)):(\d{1,5})$/.exec(text);
  const address = match?.[1] ?? match?.[2] ?? text;
  // Through hex and back: whatever was said, an address comes out.
  return { address: addressToHex(address) === "00000000" ? "0.0.0.0" : address, port: Number(match?.[3] ?? 0) };
}
