import { type Socket as UdpSocket, createSocket } from "node:dgram";
import { type Socket, connect, isIPv6 } from "node:net";
import { connect as connectTls } from "node:tls";
import { WebSocket } from "ws";
import { StreamFramer } from "../../sip/message/stream-framer.ts";
import type { DrillTransport } from "./plan.ts";

/** Where phones send to: a listener of a gateway, or a cell's WebSocket. */
export type Target = { readonly name: string; readonly host: string; readonly port: number };

/** One way of a phone to a target: a connection, or for UDP a socket and an address to send to. */
export type Link = {
  readonly target: Target;
  /** What stands in a Via: transport and sent-by. */
  readonly via: string;
  /** What a Contact has behind the user part. */
  readonly contactHost: string;
  readonly isReliable: boolean;
  isOpen: boolean;
  send(octets: Uint8Array): void;
  /** RFC 5626 3.5.1: CRLFCRLF on a connection. */
  ping(): void;
  /** `why`: what `closed` is to say. */
  close(why: string): void;
};

export type LinkHandlers = {
  opened(link: Link): void;
  received(octets: Uint8Array, link: Link): void;
  pong(link: Link): void;
  closed(link: Link, cause: string): void;
};

export type LinkOptions = { readonly transport: DrillTransport; readonly domain: string; readonly ca: string | undefined };

const crlfcrlf = new Uint8Array([0x0d, 0x0a, 0x0d, 0x0a]);
const connectMsMax = 4_000;

/** Opens a connection to a target; `opened` or `closed` follows. */
export function openLink(options: LinkOptions, target: Target, handlers: LinkHandlers): Link {
  return options.transport === "ws" ? openWebSocket(target, handlers) : openStream(options, target, handlers);
}

function openStream(options: LinkOptions, target: Target, handlers: LinkHandlers): Link {
  const isTls = options.transport === "tls";
  const socket: Socket = isTls
    ? connectTls({
        host: target.host,
        port: target.port,
        servername: options.domain,
        ...(options.ca === undefined ? {} : { ca: options.ca }),
      })
    : connect({ host: target.host, port: target.port });
  socket.setNoDelay(true);
  const framer = new StreamFramer();
  let cause = "closed by the server";
  const link = {
    target,
    via: `SIP/2.0/${isTls ? "TLS" : "TCP"} invalid.invalid`,
    contactHost: "",
    isReliable: true,
    isOpen: false,
    send: (octets: Uint8Array): void => void socket.write(octets),
    ping: (): void => void socket.write(crlfcrlf),
    close: (why: string): void => {
      cause = why;
      socket.destroy();
    },
  };
  const timer = setTimeout(() => {
    cause = "no connection in 4 s";
    socket.destroy();
  }, connectMsMax);
  socket.once(isTls ? "secureConnect" : "connect", () => {
    clearTimeout(timer);
    const local = `${hostText(socket.localAddress ?? "127.0.0.1")}:${socket.localPort ?? 0}`;
    link.via = `SIP/2.0/${isTls ? "TLS" : "TCP"} ${local}`;
    link.contactHost = `${local};transport=${options.transport}`;
    link.isOpen = true;
    handlers.opened(link);
  });
  socket.on("data", (chunk: Buffer) => {
    for (const event of framer.push(chunk)) {
      if (event.type === "message") handlers.received(event.octets, link);
      // Two pongs in a row look like a ping.
      else if (event.type === "pong" || event.type === "ping") handlers.pong(link);
      else {
        cause = "broken stream";
        socket.destroy();
      }
    }
  });
  socket.on("error", (error) => {
    cause = error.message;
  });
  socket.once("close", () => {
    clearTimeout(timer);
    link.isOpen = false;
    handlers.closed(link, cause);
  });
  return link;
}

function openWebSocket(target: Target, handlers: LinkHandlers): Link {
  const socket = new WebSocket(`ws://${hostText(target.host)}:${target.port}/`, "sip", {
    handshakeTimeout: connectMsMax,
    perMessageDeflate: false,
    skipUTF8Validation: true,
  });
  // RFC 7118 5: a browser knows no address of its own, so it makes up a name.
  let cause = "closed by the server";
  const host = `${Math.random().toString(36).slice(2, 10)}.invalid`;
  const link = {
    target,
    via: `SIP/2.0/WS ${host}`,
    contactHost: `${host};transport=ws`,
    isReliable: true,
    isOpen: false,
    send: (octets: Uint8Array): void => socket.send(octets, { binary: false }),
    ping: (): void => socket.send("\r\n\r\n"),
    close: (why: string): void => {
      cause = why;
      socket.terminate();
    },
  };
  socket.once("open", () => {
    link.isOpen = true;
    handlers.opened(link);
  });
  socket.on("message", (data) => {
    const octets = Array.isArray(data) ? Buffer.concat(data) : data instanceof ArrayBuffer ? new Uint8Array(data) : data;
    if (octets.length <= 4) handlers.pong(link);
    else handlers.received(octets, link);
  });
  socket.on("error", (error) => {
    cause = error.message;
  });
  socket.once("close", () => {
    link.isOpen = false;
    handlers.closed(link, cause);
  });
  return link;
}

/** The socket of a UDP phone: one for its whole life, whichever of the targets it sends to. */
export class UdpEndpoint {
  readonly #socket: UdpSocket;
  readonly #links: readonly UdpLink[];
  readonly #host: string;
  readonly #opened: (link: Link) => void;

  constructor(targets: readonly Target[], host: string, handlers: LinkHandlers) {
    this.#socket = createSocket({
      type: isIPv6(host) ? "udp6" : "udp4",
      lookup: (name, _options, found) => found(null, name, isIPv6(host) ? 6 : 4),
    });
    this.#links = targets.map((target) => new UdpLink(this.#socket, target));
    this.#socket.on("error", () => undefined);
    this.#socket.on("message", (octets, remote) => {
      const link = this.#links.find(({ target }) => target.port === remote.port) ?? this.#links[0];
      if (link !== undefined) handlers.received(octets, link);
    });
    this.#host = host;
    this.#opened = (link) => handlers.opened(link);
  }

  /** Binds any port; `opened` is called for every link, perhaps before this returns. */
  open(): void {
    this.#socket.bind(0, this.#host, () => {
      for (const link of this.#links) link.opened();
      for (const link of this.#links) this.#opened(link);
    });
  }

  get links(): readonly Link[] {
    return this.#links;
  }

  close(): void {
    for (const link of this.#links) link.isOpen = false;
    this.#socket.close();
  }
}

class UdpLink implements Link {
  readonly target: Target;
  readonly isReliable = false;
  readonly #socket: UdpSocket;
  via = "";
  contactHost = "";
  isOpen = false;

  constructor(socket: UdpSocket, target: Target) {
    this.#socket = socket;
    this.target = target;
  }

  opened(): void {
    const { address, port } = this.#socket.address();
    this.contactHost = `${hostText(address)}:${port}`;
    this.via = `SIP/2.0/UDP ${this.contactHost}`;
    this.isOpen = true;
  }

  send(octets: Uint8Array): void {
    this.#socket.send(octets, this.target.port, this.target.host, () => undefined);
  }

  ping(): void {}

  close(): void {}
}

function hostText(address: string): string {
  return isIPv6(address) ? `[${address}]` : address;
}
