import { once } from "node:events";
import { WebSocket } from "ws";
import { nodeEnvironment } from "../../../kit/connections/node-environment.ts";
import { HandPhone } from "../../../kit/phone/hand-phone.ts";

/** Longer than any answer takes on a busy machine. */
const patienceMs = 10_000;

/** A phone whose messages a test says one by one, over a WebSocket of its own. Passwords are not asked for. */
export class HandSoftphone extends HandPhone {
  readonly socket: WebSocket;

  /** `url`: of a cell. Rejects when it does not take the WebSocket. */
  static async open(url: string, user: string, domain = "example.test"): Promise<HandSoftphone> {
    const phone = new HandSoftphone(new WebSocket(url.replace(/^http/, "ws"), "sip"), user, domain);
    await once(phone.socket, "open");
    return phone;
  }

  private constructor(socket: WebSocket, user: string, domain: string) {
    super({ user, domain, patienceMs }, nodeEnvironment, (text) => socket.send(text));
    this.socket = socket;
    socket.on("error", () => {});
    socket.on("message", (data: Buffer) => this.receive(data.toString("latin1")));
  }
}
