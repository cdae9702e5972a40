import { randomInt } from "node:crypto";
import { once } from "node:events";
import sip, { type Connection, type Message, type Request, type Response, type Stack } from "sip";
import { WebSocket } from "ws";
import { freePorts } from "../../../kit/world/free-ports.ts";

export const transports = ["UDP", "TCP", "TLS", "WS"] as const;

export type Transport = (typeof transports)[number];

/** Where a system takes SIP over a transport. */
export type Way = {
  readonly transport: Transport;
  /** WebSocket over TLS. */
  readonly isSecure?: boolean;
  readonly host: string;
  readonly port: number;
  readonly ca: string;
  readonly domain: string;
  /** The address of the phone; on the loopback when absent. */
  readonly from?: string;
};

/** A SIP stack with the one address that it can be called on when it is not called on its flow. */
export type Endpoint = { readonly stack: Stack; readonly host: string; readonly port: number | undefined };

export type StackListener = {
  /** A new request, or an ACK to a 2xx. */
  readonly received: (request: Request) => void;
  /** Any message, repeated ones too. */
  readonly heard: (message: Message) => void;
};

const viaHost = "phone.invalid";

/**
 * npm's `sip` over one transport. Its own sockets serve UDP, TCP and TLS. Its WebSocket client dies at the second request, so there it
 * is given one: parser, transactions and all else are its own.
 */
export async function openStack(way: Way, listener: StackListener): Promise<Endpoint> {
  const { stack, ...contact } = await openPlainStack(way, listener);
  return { ...contact, stack: { ...stack, send: (...args) => withUniqueBranch(() => stack.send(...args)) } };
}

/**
 * The stack's branches are numbers below a million, of Math.random: within the half minute that a transaction lives, one of a busy phone
 * would soon be that of another one, and rightly be taken for it (RFC 3261 17.2.3). It makes them while it sends.
 */
function withUniqueBranch(send: () => void): void {
  const { random } = Math;
  Math.random = () => randomInt(2 ** 47);
  try {
    send();
  } finally {
    Math.random = random;
  }
}

async function openPlainStack(way: Way, listener: StackListener): Promise<Endpoint> {
  const { received, heard } = listener;
  if (way.transport === "WS") return { stack: await openWebSocketStack(way, listener), host: viaHost, port: undefined };
  const host = way.from ?? "127.0.0.1";
  const port = await freePorts(1);
  // Under its address it would take our Route, which has the same, for its own.
  const common = { address: host, publicAddress: viaHost, port, tls_port: port, udp: false, tcp: false, logger: { recv: heard } };
  if (way.transport === "TLS") {
    return { stack: sip.create({ ...common, tls: { ca: way.ca, servername: way.domain } }, received), host, port };
  }
  return { stack: sip.create({ ...common, [way.transport === "UDP" ? "udp" : "tcp"]: true }, received), host, port };
}

async function openWebSocketStack(way: Way, { received, heard }: StackListener): Promise<Stack> {
  const isSecure = way.isSecure === true;
  const protocol = isSecure ? "WSS" : "WS";
  const socket = new WebSocket(`${protocol.toLowerCase()}://${way.host}:${way.port}`, "sip", isSecure ? { ca: way.ca } : {});
  await once(socket, "open");
  socket.on("error", () => undefined);
  const connection: Connection = {
    protocol,
    release: () => undefined,
    send: (message) => {
      const [top] = message.headers.via ?? [];
      if (message.status === undefined && top !== undefined) {
        top.host = viaHost;
        top.protocol = protocol;
      }
      if (socket.readyState === WebSocket.OPEN) socket.send(Buffer.from(sip.stringify(message), "latin1"));
    },
  };
  const transactions = sip.makeTransactionLayer({}, () => connection);
  socket.on("message", (data: Buffer) => {
    const message = sip.parse(data);
    if (message !== undefined) dispatch(message);
  });

  function dispatch(message: Message): void {
    heard(message);
    const known = message.status === undefined ? transactions.getServer(message) : transactions.getClient(message);
    if (known !== undefined) return known.message(message, {});
    if (message.status !== undefined) return;
    if (message.method !== "ACK") transactions.createServerTransaction(message, connection);
    received(message);
  }

  function request(message: Request, callback: (response: Response) => void): void {
    if (message.method !== "CANCEL")
      (message.headers.via ??= []).unshift({ protocol, host: viaHost, params: { branch: sip.generateBranch() } });
    if (message.method === "ACK") connection.send(message);
    else transactions.createClientTransaction(connection, message, callback);
  }

  return {
    send: (message, callback = () => undefined) => {
      if (message.status === undefined) request(message, callback);
      else transactions.getServer(message)?.send(message);
    },
    destroy: () => {
      transactions.destroy();
      socket.terminate();
    },
  };
}
