import { randomBytes, randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { WebSocket } from "ws";
import { protocolVersion, versionHeader } from "../../cluster/protocol-version.ts";
import { randomId } from "./clients/phone.ts";
import type { Way } from "./clients/stack.ts";
import { wayOf } from "./clients/way.ts";
import type { Tandem } from "../../kit/world/tandem.ts";

/** What one sender has done. */
export type JunkCounts = { readonly name: string; sent: number; /** Connections that the system ended. */ closed: number };

type Sender = { readonly counts: JunkCounts; send(): void; close(): void };

const octetsMax = 1_200;
const connectionsEach = 8;

/** Sends junk to every way into a system, until it is stopped. */
export class JunkSenders {
  readonly #senders: readonly Sender[];
  #timer: NodeJS.Timeout | undefined;

  constructor(system: Tandem) {
    const cell = new URL(system.run.cells[0]?.url ?? "");
    const http = { host: cell.hostname, port: Number(cell.port) };
    const gatewayWay = wayOf(system, "WS", "gateway");
    this.#senders = [
      udpSender(wayOf(system, "UDP")),
      streamSender("TCP", () => connect(wayOf(system, "TCP")), sipJunk),
      streamSender("TLS", () => overTls(wayOf(system, "TLS")), sipJunk),
      streamSender("TLS port, no TLS", () => connect(wayOf(system, "TLS")), sipJunk),
      webSocketSender("WS", wayOf(system, "WS", "a")),
      webSocketSender("WS at the gateway", gatewayWay),
      streamSender("WS port of the gateway", () => connect(gatewayWay), httpJunk),
      streamSender("HTTP", () => connect(http), httpJunk),
    ];
  }

  get counts(): readonly JunkCounts[] {
    return this.#senders.map(({ counts }) => counts);
  }

  /** Every sender sends this many a second. */
  start(perSecond: number): void {
    const startedAt = performance.now();
    let done = 0;
    this.#timer = setInterval(() => {
      const due = Math.floor(((performance.now() - startedAt) * perSecond) / 1000);
      for (; done < due; done += 1) for (const sender of this.#senders) sender.send();
    }, 5);
  }

  stop(): void {
    clearInterval(this.#timer);
    for (const sender of this.#senders) sender.close();
  }
}

/** Random octets; or a message that was good before some of its octets became others: that gets further in. */
function sipJunk(): Buffer {
  if (randomInt(2) === 0) return randomBytes(randomInt(1, octetsMax));
  const octets = Buffer.from(goodMessage(), "latin1");
  for (let changes = randomInt(1, 12); changes > 0; changes -= 1) octets[randomInt(octets.length)] = randomInt(256);
  return octets.subarray(0, randomInt(4) === 0 ? randomInt(1, octets.length) : octets.length);
}

function goodMessage(): string {
  const method = ["INVITE", "REGISTER", "OPTIONS", "MESSAGE", "BYE", "ACK", "CANCEL", "SUBSCRIBE"][randomInt(8)] ?? "";
  const response = randomInt(8) === 0;
  return [
    response ? "SIP/2.0 200 OK" : `${method} sip:nobody@example.test SIP/2.0`,
    `Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK${randomId()};rport`,
    "Max-Forwards: 70",
    "Route: <sip:127.0.0.1;lr>",
    `From: "Nobody" <sip:somebody@elsewhere.test>;tag=${randomId()}`,
    "To: <sip:nobody@example.test>",
    `Call-ID: ${randomId()}`,
    `CSeq: 1 ${method}`,
    "Contact: <sip:somebody@192.0.2.1>;expires=60",
    'Authorization: Digest username="nobody", realm="example.test", nonce="x", uri="sip:example.test", response="0"',
    "Content-Type: text/plain",
    "Content-Length: 4",
    "",
    "junk",
  ].join("\r\n");
}

/** Random octets; or HTTP that asks for what is not given to everybody. */
function httpJunk(): Buffer {
  if (randomInt(2) === 0) return randomBytes(randomInt(1, octetsMax));
  const paths = [
    "/",
    "/backhaul/0",
    "/backhaul/99999",
    "/control",
    "/cell/exchange/0?access=a.0",
    "/cell/line/0",
    "/api/status",
    `/${randomId()}`,
  ];
  const path = paths[randomInt(paths.length)] ?? "/";
  const upgrade =
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
  const body = randomBytes(randomInt(200));
  const head =
    `${["GET", "POST", "PUT"][randomInt(3)]} ${path} HTTP/1.1\r\nHost: example.test\r\n${randomInt(2) === 0 ? upgrade : ""}` +
    `Authorization: Tandem2 g1 a ${Date.now()} ${randomId()}\r\n${versionHeader}: ${protocolVersion}\r\nContent-Length: ${body.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head, "latin1"), body]);
}

function overTls({ host, port, ca, domain }: Way): Socket {
  return connectTls({ host, port, ca, servername: domain });
}

function udpSender({ host, port }: Way): Sender {
  const socket = createSocket("udp4");
  const counts = { name: "UDP", sent: 0, closed: 0 };
  return {
    counts,
    send: () => {
      socket.send(sipJunk(), port, host);
      counts.sent += 1;
    },
    close: () => socket.close(),
  };
}

/** Some connections in turn; one that was ended is made anew. */
function streamSender(name: string, open: () => Socket, junk: () => Buffer): Sender {
  const sockets: Socket[] = [];
  const counts = { name, sent: 0, closed: 0 };
  let isClosing = false;
  const opened = (): Socket => {
    const socket = open();
    socket.on("error", () => undefined);
    socket.on("close", () => void (counts.closed += isClosing ? 0 : 1));
    socket.resume();
    return socket;
  };
  return {
    counts,
    send: () => {
      const place = counts.sent % connectionsEach;
      const known = sockets[place];
      const socket = known === undefined || known.destroyed || !known.writable ? opened() : known;
      sockets[place] = socket;
      socket.write(junk());
      counts.sent += 1;
    },
    close: () => {
      isClosing = true;
      for (const socket of sockets) socket.destroy();
    },
  };
}

function webSocketSender(name: string, { host, port }: Way): Sender {
  const sockets: WebSocket[] = [];
  const counts = { name, sent: 0, closed: 0 };
  let isClosing = false;
  const opened = (): WebSocket => {
    const socket = new WebSocket(`ws://${host}:${port}`, "sip");
    // All that is to be said before it is open waits for that.
    socket.setMaxListeners(0);
    socket.on("error", () => undefined);
    socket.on("close", () => void (counts.closed += isClosing ? 0 : 1));
    return socket;
  };
  return {
    counts,
    send: () => {
      const place = counts.sent % connectionsEach;
      const known = sockets[place];
      const socket = known === undefined || known.readyState >= WebSocket.CLOSING ? opened() : known;
      sockets[place] = socket;
      const octets = sipJunk();
      const say = (): void => socket.send(randomInt(2) === 0 ? octets : octets.toString("latin1"));
      if (socket.readyState === WebSocket.OPEN) say();
      else socket.once("open", say);
      counts.sent += 1;
    },
    close: () => {
      isClosing = true;
      for (const socket of sockets) socket.terminate();
    },
  };
}
