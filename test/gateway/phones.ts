import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { connect, isIPv6, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

/** Text that arrives, and a bounded wait for it. */
export class Inbox {
  readonly texts: string[] = [];
  isClosed = false;
  #wake: (() => void)[] = [];

  push(text: string): void {
    this.texts.push(text);
    this.#notify();
  }

  close(): void {
    this.isClosed = true;
    this.#notify();
  }

  get all(): string {
    return this.texts.join("");
  }

  /** Waits until the condition holds for all that came. */
  async until(condition: (all: string) => boolean, what: string): Promise<string> {
    const deadline = performance.now() + 4_500;
    while (!condition(this.all)) {
      const left = deadline - performance.now();
      if (left <= 0) throw new Error(`never came: ${what}; came: ${JSON.stringify(this.all)}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
    return this.all;
  }

  untilText(part: string): Promise<string> {
    return this.until((all) => all.includes(part), JSON.stringify(part));
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = [];
    for (const each of wake) each();
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
