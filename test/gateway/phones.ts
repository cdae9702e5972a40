import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { connect, isIPv6, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { WebSocket } from "ws";
import { nodeEnvironment } from "../../kit/connections/node-environment.ts";
import { News } from "../../kit/phone/news.ts";

/** Less than a test may take, so that it says what did not come. */
const patienceMs = 4_500;

/** Text that arrives, and a bounded wait for it. */
export class Inbox {
  readonly texts: string[] = [];
  isClosed = false;
  readonly #news = new News(nodeEnvironment);

  push(text: string): void {
    this.texts.push(text);
    this.#news.tell();
  }

  close(): void {
    this.isClosed = true;
    this.#news.tell();
  }

  get all(): string {
    return this.texts.join("");
  }

  /** Waits until the condition holds for all that came. */
  async until(condition: (all: string) => boolean, what: string): Promise<string> {
    if (await this.#news.holds(() => condition(this.all), patienceMs)) return this.all;
    throw new Error(`never came: ${what}; came: ${JSON.stringify(this.all)}`);
  }

  untilText(part: string): Promise<string> {
    return this.until((all) => all.includes(part), JSON.stringify(part));
  }
}

export class UdpPhone {
  readonly inbox = new Inbox();
  readonly #socket: UdpSocket;

  private constructor(socket: UdpSocket) {
    this.#socket = socket;
    socket.on("message", (octets) => this.inbox.push(octets.toString("latin1")));
  }

  static async open(host = "127.0.0.1"): Promise<UdpPhone> {
    const socket = createSocket(isIPv6(host) ? "udp6" : "udp4");
    await new Promise<void>((resolve) => {
      socket.bind(0, host, resolve);
    });
    return new UdpPhone(socket);
  }

  get port(): number {
    return this.#socket.address().port;
  }

  send(data: string | Uint8Array, port: number, host = "127.0.0.1"): void {
    this.#socket.send(typeof data === "string" ? Buffer.from(data, "latin1") : data, port, host);
  }

  close(): void {
    this.#socket.close();
  }
}

export class StreamPhone {
  readonly inbox = new Inbox();
  readonly socket: Socket;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => this.inbox.push(chunk.toString("latin1")));
    socket.on("error", () => {});
    socket.on("close", () => this.inbox.close());
  }

  static async tcp(port: number, host = "127.0.0.1"): Promise<StreamPhone> {
    const socket = connect({ port, host, noDelay: true });
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve).once("error", reject);
    });
    return new StreamPhone(socket);
  }

  static async tls(port: number, ca: string, servername = "example.test"): Promise<StreamPhone> {
    const socket = connectTls({ port, host: "127.0.0.1", ca, servername });
    await new Promise<void>((resolve, reject) => {
      socket.once("secureConnect", resolve).once("error", reject);
    });
    return new StreamPhone(socket);
  }

  send(text: string): void {
    this.socket.write(Buffer.from(text, "latin1"));
  }

  untilClosed(): Promise<string> {
    return this.inbox.until(() => this.inbox.isClosed, "the end of the connection");
  }

  close(): void {
    this.socket.destroy();
  }
}

/** A softphone (RFC 7118) that says what it is told to. */
export class WebSocketPhone {
  /** Messages, one each, as octets that stand for themselves. */
  readonly inbox = new Inbox();
  readonly isBinary: boolean[] = [];
  readonly socket: WebSocket;
  /** The close frame that came: `1000 reason`. */
  closing = "";

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on("message", (data: Buffer, isBinary) => {
      this.isBinary.push(isBinary);
      this.inbox.push(data.toString("latin1"));
    });
    socket.on("error", () => {});
    socket.on("close", (code, reason) => {
      this.closing = `${code} ${reason.toString()}`;
      this.inbox.close();
    });
  }

  /** `options.ca`: over TLS, checked against that authority. Rejects with what the server answered when that is no WebSocket. */
  static async open(
    port: number,
    options: { ca?: string; host?: string; protocols?: string[]; path?: string } = {},
  ): Promise<WebSocketPhone> {
    const { ca, host = "127.0.0.1", protocols = ["sip"], path = "/" } = options;
    const url = `${ca === undefined ? "ws" : "wss"}://${isIPv6(host) ? `[${host}]` : host}:${port}${path}`;
    const secure = ca === undefined ? {} : { ca, servername: "example.test" };
    const socket = new WebSocket(url, protocols, { perMessageDeflate: false, ...secure });
    const phone = new WebSocketPhone(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once("open", resolve).once("error", reject);
      socket.once("unexpected-response", (_request, response) => {
        let text = "";
        response.on("data", (data: Buffer) => (text += data.toString()));
        response.on("end", () => reject(new Error(`${response.statusCode} ${text.trim()}`)));
      });
    });
    return phone;
  }

  /** Text as a text frame, octets as a binary one. */
  send(data: string | Uint8Array): void {
    this.socket.send(data);
  }

  /** The close frame that ended it. */
  async untilClosed(): Promise<string> {
    await this.inbox.until(() => this.inbox.isClosed, "the end of the WebSocket");
    return this.closing;
  }

  close(): void {
    this.socket.terminate();
  }
}
