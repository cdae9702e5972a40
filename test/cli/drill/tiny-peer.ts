import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { freePorts } from "../../../kit/world/free-ports.ts";
import { isParseError } from "../../../sip/errors.ts";
import { buildResponse } from "../../../sip/message/build.ts";
import { MessageEdit } from "../../../sip/message/edit.ts";
import { Header } from "../../../sip/message/header-names.ts";
import { parseMessage, type SipMessage } from "../../../sip/message/sip-message.ts";
import { StreamFramer } from "../../../sip/message/stream-framer.ts";
import { isSipUri, parseUri } from "../../../sip/message/uri.ts";

type Send = (octets: Uint8Array) => void;

/** What the peers of one test share. */
export class Registrations {
  /** Users by name, where they registered last. */
  readonly users = new Map<string, Send>();
  /** The way back of each request, by the branch that it left with. */
  readonly ways = new Map<string, Send>();
  /** Requests that nobody has answered, by the same branch: a user who registers elsewhere gets them there. */
  readonly unanswered = new Map<string, { readonly user: string; readonly octets: Uint8Array }>();
}

/**
 * A registrar and proxy of a few lines, without any transaction: enough to let phones meet. It stamps each request with the way back.
 * `drops` says what it loses.
 */
export class TinyPeer {
  readonly port: number;
  drops: (message: SipMessage) => boolean = () => false;
  /** What came, as `METHOD user` or the status. */
  readonly seen: string[] = [];
  readonly #registrations: Registrations;
  readonly #udp: UdpSocket;
  readonly #tcp: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(port: number, udp: UdpSocket, tcp: Server, registrations: Registrations) {
    this.port = port;
    this.#udp = udp;
    this.#tcp = tcp;
    this.#registrations = registrations;
    udp.on("message", (octets, { address, port: from }) => this.#receive(octets, (answer) => udp.send(answer, from, address)));
    tcp.on("connection", (socket) => {
      this.#sockets.add(socket);
      const framer = new StreamFramer();
      socket.on("error", () => undefined);
      socket.on("data", (chunk) => {
        for (const event of framer.push(chunk)) {
          if (event.type === "message") this.#receive(event.octets, (answer) => void socket.write(answer));
          if (event.type === "ping") socket.write("\r\n");
        }
      });
    });
  }

  static async open(registrations: Registrations = new Registrations()): Promise<TinyPeer> {
    const port = await freePorts(1);
    const tcp = createServer();
    tcp.listen(port, "127.0.0.1");
    await once(tcp, "listening");
    const udp = createSocket("udp4");
    udp.bind(port, "127.0.0.1");
    await once(udp, "listening");
    return new TinyPeer(port, udp, tcp, registrations);
  }

  get openConnections(): number {
    return [...this.#sockets].filter((socket) => !socket.destroyed).length;
  }

  /** As a killed process: connections are reset, datagrams go nowhere. */
  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#tcp.close();
    this.#udp.close();
  }

  #receive(octets: Uint8Array, answer: Send): void {
    const message = parseMessage(Uint8Array.from(octets));
    if (isParseError(message)) throw new Error(`no SIP: ${Buffer.from(octets).toString("latin1")}`);
    const uri = message.isRequest ? parseUri(message.requestUri) : undefined;
    const user = uri !== undefined && !isParseError(uri) && isSipUri(uri) ? (uri.user ?? "") : "";
    this.seen.push(message.isRequest ? `${message.method} ${user}`.trim() : String(message.status));
    if (this.drops(message)) return;
    if (!message.isRequest) return this.#return(message);
    if (message.method === "REGISTER") {
      const name = /<sip:([^@]+)@/.exec(message.text(Header.To) ?? "")?.[1] ?? "";
      this.#registrations.users.set(name, answer);
      for (const { user: waiting, octets: request } of this.#registrations.unanswered.values()) if (waiting === name) answer(request);
      return answer(buildResponse(message, 200, { toTag: "r" }));
    }
    const target = this.#registrations.users.get(user);
    if (target === undefined) return answer(buildResponse(message, 404, { toTag: "n" }));
    // The same request has the same branch again, or its receiver could not know it.
    const via = message.topVia;
    const way = `${isParseError(via) ? "" : via.branch}x${this.port}`;
    this.#registrations.ways.set(way, answer);
    const forwarded = new MessageEdit(message).prepend(Header.Via, `SIP/2.0/UDP 127.0.0.1:${this.port};branch=${way}`).serialize();
    if (message.method !== "ACK") this.#registrations.unanswered.set(way, { user, octets: forwarded });
    target(forwarded);
  }

  #return(response: SipMessage): void {
    const via = response.topVia;
    const way = isParseError(via) ? undefined : this.#registrations.ways.get(via.branch ?? "");
    if (!isParseError(via)) this.#registrations.unanswered.delete(via.branch ?? "");
    way?.(new MessageEdit(response).removeFirst(Header.Via).serialize());
  }
}
