import { type Socket, createSocket } from "node:dgram";
import { once } from "node:events";
import { messageText, uriIn, valueOf, valuesOf } from "../kit/phone/message-text.ts";
import type { Endpoint } from "./system.ts";

/** RFC 3261 17.1.2: Timer E begins with T1, and F gives up. A busy machine is given the whole time. */
const retransmitMs = 500;
const giveUpMs = 32_000;

const offer = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n";

/** A small UDP user agent client for what the bench does around SIPp: it registers phones, asks what is registered, and times calls. */
export class SipClient {
  readonly #socket: Socket;
  readonly #server: Endpoint;
  /** Final responses, by Call-ID and CSeq; an error when there will be none. */
  readonly #waiting = new Map<string, (outcome: string | Error) => void>();
  /** When a 180 came, by Call-ID. */
  readonly #ringingAt = new Map<string, number>();
  #count = 0;

  private constructor(socket: Socket, server: Endpoint) {
    this.#socket = socket;
    this.#server = server;
    socket.on("message", (octets) => this.#receive(octets.toString("latin1")));
  }

  /** Listens on a port of 127.0.0.1, 0 for any. */
  static async open(server: Endpoint, port = 0): Promise<SipClient> {
    const socket = createSocket("udp4").bind(port, "127.0.0.1");
    await once(socket, "listening");
    return new SipClient(socket, server);
  }

  /** REGISTER of one user; without a contact a query (RFC 3261 10.2.3). The final response as text. */
  async register(domain: string, user: string, contact?: string): Promise<string> {
    const binding = contact === undefined ? [] : [`Contact: <${contact}>`, "Expires: 3600"];
    return await this.#ask("REGISTER", `sip:${domain}`, `sip:${user}@${domain}`, binding);
  }

  /** OPTIONS to the domain: any final response means that the server serves. */
  async options(domain: string): Promise<string> {
    return await this.#ask("OPTIONS", `sip:${domain}`, `sip:${domain}`, []);
  }

  /**
   * A whole call: INVITE, ACK, BYE. Returns the milliseconds from the INVITE to its 180. Directly to `endpoint`, when it is given, instead of
   * through the server.
   */
  async call(domain: string, user: string, endpoint: Endpoint = this.#server): Promise<number> {
    const id = this.#nextId();
    const from = `<sip:probe@${domain}>;tag=${id}`;
    const uri = `sip:${user}@${domain}`;
    const contact = `Contact: <sip:probe@127.0.0.1:${this.#socket.address().port}>`;
    const sentAt = performance.now();
    const invite = ["INVITE", uri, id, 1, from, `<${uri}>`, [contact], offer] as const;
    const answer = await this.#request(endpoint, ...invite);
    const ringingAt = this.#ringingAt.get(id);
    this.#ringingAt.delete(id);
    if (!answer.startsWith("SIP/2.0 200")) throw new Error(`a call was refused: ${answer.split("\r\n", 1)[0]}`);
    const routes = valuesOf(answer, "Record-Route").toReversed();
    const target = uriIn(valueOf(answer, "Contact"));
    const to = valueOf(answer, "To");
    const route = routes.map((value) => `Route: ${value}`);
    this.#send(endpoint, this.#text("ACK", target, id, 1, from, to, route));
    await this.#request(endpoint, "BYE", target, id, 2, from, to, route);
    if (ringingAt === undefined) throw new Error("a call did not ring");
    return ringingAt - sentAt;
  }

  /** Resolves when the port is free again. Requests that still wait are rejected. */
  async close(): Promise<void> {
    for (const end of this.#waiting.values()) end(new Error("the client was closed"));
    this.#socket.close();
    await once(this.#socket, "close");
  }

  async #ask(method: string, uri: string, to: string, headers: readonly string[]): Promise<string> {
    const id = this.#nextId();
    return await this.#request(this.#server, method, uri, id, 1, `<${to}>;tag=${id}`, `<${to}>`, headers);
  }

  #nextId(): string {
    this.#count += 1;
    return `b${process.pid}x${this.#socket.address().port}x${this.#count}x${Date.now()}`;
  }

  #send(to: Endpoint, text: string): void {
    this.#socket.send(text, to.port, to.host);
  }

  #text(method: string, uri: string, id: string, cSeq: number, from: string, to: string, headers: readonly string[], body = ""): string {
    return messageText(
      `${method} ${uri} SIP/2.0`,
      [
        `Via: SIP/2.0/UDP 127.0.0.1:${this.#socket.address().port};branch=z9hG4bK${id}x${cSeq}${method};rport`,
        "Max-Forwards: 70",
        `From: ${from}`,
        `To: ${to}`,
        `Call-ID: ${id}`,
        `CSeq: ${cSeq} ${method}`,
        ...headers,
      ],
      body,
    );
  }

  /** Sends a request until its final response comes. */
  async #request(server: Endpoint, method: string, uri: string, id: string, cSeq: number, ...rest: RestOfRequest): Promise<string> {
    const text = this.#text(method, uri, id, cSeq, ...rest);
    const key = `${id} ${cSeq}`;
    return await new Promise<string>((resolve, reject) => {
      const again = setInterval(() => this.#send(server, text), retransmitMs);
      const end = (outcome: string | Error): void => {
        clearInterval(again);
        clearTimeout(late);
        this.#waiting.delete(key);
        if (typeof outcome === "string") resolve(outcome);
        else reject(outcome);
      };
      const late = setTimeout(() => end(new Error(`no answer to ${method} from ${server.host}:${server.port}`)), giveUpMs);
      this.#waiting.set(key, end);
      this.#send(server, text);
    });
  }

  #receive(response: string): void {
    const id = valueOf(response, "Call-ID");
    if (response.startsWith("SIP/2.0 180")) this.#ringingAt.set(id, performance.now());
    if (!/^SIP\/2\.0 [2-6]/.test(response)) return;
    const cSeq = Number.parseInt(valueOf(response, "CSeq"), 10);
    this.#waiting.get(`${id} ${cSeq}`)?.(response);
  }
}

type RestOfRequest = [from: string, to: string, headers: readonly string[], body?: string];

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
