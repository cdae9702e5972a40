import { HandPhone } from "../../kit/phone/hand-phone.ts";
import { phoneReturnMs } from "../../sip/limits.ts";
import { hashOf } from "../../workers/signature.ts";
import { domain, upgrade } from "./cell.ts";

/** Longer than any answer takes: a request may be held for a phone that has lost its connection. */
const patienceMs = 2 * phoneReturnMs;

const environment = {
  get now(): number {
    return Date.now();
  },
  after: (ms: number, act: () => void) => {
    const timer = setTimeout(act, ms);
    return { cancel: () => clearTimeout(timer) };
  },
  random: () => Math.random(),
  newId: () => crypto.randomUUID(),
};

/** A softphone whose messages a test says one by one: what a line and an exchange see of JsSIP. */
export class Softphone extends HandPhone {
  readonly socket: WebSocket;
  readonly binary: Uint8Array[] = [];
  closed: { readonly code: number; readonly reason: string } | undefined;

  /** `door`: at which it connects, that of the cell for example. */
  static async connect(
    user: string,
    password: string,
    door: () => Promise<Response> = async () => await upgrade("/", { "sec-websocket-protocol": "sip" }),
  ): Promise<Softphone> {
    const response = await door();
    const { webSocket } = response;
    if (webSocket === null) throw new Error(`no WebSocket: ${response.status} ${await response.text()}`);
    return new Softphone(user, password, webSocket);
  }

  private constructor(user: string, password: string, socket: WebSocket) {
    const credentials = { password, md5: (text: string) => hashOf("MD5", text) };
    super({ user, domain, credentials, patienceMs }, environment, (text) => socket.send(text));
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => {
      if (typeof data === "string") this.receive(data);
      else this.binary.push(new Uint8Array(data as ArrayBuffer));
    });
    socket.addEventListener("close", ({ code, reason }) => {
      this.closed = { code, reason };
    });
    socket.accept();
  }
}
