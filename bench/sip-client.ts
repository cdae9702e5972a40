import { type Socket, createSocket } from "node:dgram";
import { once } from "node:events";
import type { Endpoint } from "./system.ts";

/** RFC 3261 17.1.2: Timer E begins with T1, and F gives up. A busy machine is given the whole time. */
const retransmitMs = 500;
const giveUpMs = 32_000;

/** A small UDP user agent client for what the bench does around its measurements: it registers phones and asks what is registered. */
export class SipClient {
  readonly #socket: Socket;
  readonly #server: Endpoint;
  /** By Call-ID; an error when there will be no response. */
  readonly #waiting = new Map<string, (outcome: string | Error) => void>();
  #count = 0;

  private constructor(socket: Socket, server: Endpoint) {
    this.#socket = socket;
    this.#server = server;
    socket.on("message", (octets) => this.#receive(octets.toString("latin1")));
  }

  /** Listens on a port of 127.0.0.1, 0 for any. */
  static async open(server: Endpoint, port = 0): Promise<SipClient> {
    const socket = createSocket({ type: "udp4", recvBufferSize: 4_194_304 }).bind(port, "127.0.0.1");
    await once(socket, "listening");
    return new SipClient(socket, server);
  }

  /** REGISTER of one user; without a contact a query (RFC 3261 10.2.3). The final response as text. */
  async register(domain: string, user: string, contact?: string): Promise<string> {
    const binding = contact === undefined ? [] : [`Contact: <${contact}>`, "Expires: 3600"];
    return await this.#request("REGISTER", `sip:${domain}`, `sip:${user}@${domain}`, binding);
  }

  /** OPTIONS to the domain: any final response means that the server serves. */
  async options(domain: string): Promise<string> {
    return await this.#request("OPTIONS", `sip:${domain}`, `sip:${domain}`, []);
  }

  /** Resolves when the port is free again. Requests that still wait are rejected. */
  async close(): Promise<void> {
    for (const end of this.#waiting.values()) end(new Error("the client was closed"));
    this.#socket.close();
    await once(this.#socket, "close");
  }

  async #request(method: string, uri: string, to: string, headers: readonly string[]): Promise<string> {
    const { address, port } = this.#socket.address();
    this.#count += 1;
    const id = `b${process.pid}x${port}x${this.#count}x${Date.now()}`;
    const text = [
      `${method} ${uri} SIP/2.0`,
      `Via: SIP/2.0/UDP ${address}:${port};branch=z9hG4bK${id};rport`,
      "Max-Forwards: 70",
      `From: <${to}>;tag=${id}`,
      `To: <${to}>`,
      `Call-ID: ${id}`,
      `CSeq: 1 ${method}`,
      ...headers,
      "Content-Length: 0",
      "",
      "",
    ].join("\r\n");
    const send = (): void => this.#socket.send(text, this.#server.port, this.#server.host);
    return await new Promise<string>((resolve, reject) => {
      const again = setInterval(send, retransmitMs);
      const end = (outcome: string | Error): void => {
        clearInterval(again);
        clearTimeout(late);
        this.#waiting.delete(id);
        if (typeof outcome === "string") resolve(outcome);
        else reject(outcome);
      };
      const late = setTimeout(() => end(new Error(`no answer to ${method} from ${this.#server.host}:${this.#server.port}`)), giveUpMs);
      this.#waiting.set(id, end);
      send();
    });
  }

  #receive(response: string): void {
    if (!/^SIP\/2\.0 [2-6]/.test(response)) return;
    const id = /^Call-ID: *(\S+)/im.exec(response)?.[1] ?? "";
    this.#waiting.get(id)?.(response);
  }
}

/** Registers users with contacts, some at a time. Throws when one is refused. */
export async function registerAll(
  client: SipClient,
  domain: string,
  users: readonly string[],
  contactOf: (user: string) => string,
): Promise<void> {
  const atATime = 20;
  for (let first = 0; first < users.length; first += atATime) {
    const answers = users.slice(first, first + atATime).map(async (user) => await client.register(domain, user, contactOf(user)));
    for (const answer of await Promise.all(answers)) {
      if (!answer.startsWith("SIP/2.0 200")) throw new Error(`a callee could not register: ${answer.split("\r\n", 1)[0]}`);
    }
  }
}
