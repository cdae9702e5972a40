import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { afterEach, describe, expect, it } from "vitest";
import { WebSocketServer } from "ws";
import { NodeConnector } from "../../../kit/connections/node-connector.ts";
import { messageText } from "../../../kit/phone/message-text.ts";
import type { Link, LinkHandlers, PhoneTransport, Target } from "../../../kit/phone/link.ts";
import { octetsOf, stringOf } from "../../../sip/message/octets.ts";
import { certificateFor } from "../../gateway/harness.ts";

const closing: (() => void)[] = [];

afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** What happened on a link, as text, in order. */
class Seen implements LinkHandlers {
  readonly events: string[] = [];

  opened(): void {
    this.events.push("opened");
  }

  received(octets: Uint8Array): void {
    this.events.push(stringOf(octets));
  }

  pong(): void {
    this.events.push("pong");
  }

  closed(_: Link, cause: string): void {
    this.events.push(`closed: ${cause}`);
  }

  async until(count: number): Promise<readonly string[]> {
    await expect.poll(() => this.events.length).toBeGreaterThanOrEqual(count);
    return this.events;
  }
}

const request = messageText("OPTIONS sip:example.test SIP/2.0", ["Call-ID: one"]);

async function portOf(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closing.push(() => server.close());
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** Repeats what it hears. */
function echo(socket: Socket): void {
  closing.push(() => socket.destroy());
  socket.on("error", () => undefined);
  socket.pipe(socket);
}

type Peer = { readonly port: number; readonly ca?: string };

async function peerOf(transport: PhoneTransport): Promise<Peer> {
  switch (transport) {
    case "udp": {
      const socket = createSocket("udp4").bind(0, "127.0.0.1");
      await once(socket, "listening");
      socket.on("message", (octets, { port, address }) => socket.send(octets, port, address));
      closing.push(() => socket.close());
      return { port: socket.address().port };
    }
    case "tcp":
      return { port: await portOf(createServer(echo)) };
    case "tls": {
      const { cert, key, ca } = await certificateFor("example.test");
      return { port: await portOf(createTlsServer({ cert, key }, echo)), ca: ca ?? "" };
    }
    case "ws": {
      const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
      await once(server, "listening");
      server.on("connection", (socket) => socket.on("message", (data: Buffer) => socket.send(data.toString("latin1"))));
      closing.push(() => {
        for (const client of server.clients) client.terminate();
        server.close();
      });
      const address = server.address();
      return { port: typeof address === "object" && address !== null ? address.port : 0 };
    }
  }
}

/** Opens a link to a peer of this transport. */
async function open(transport: PhoneTransport, { port, ca }: Peer): Promise<{ readonly link: Link; readonly seen: Seen }> {
  const connector = new NodeConnector({ transport, domain: "example.test", host: "127.0.0.1", ca });
  const target: Target = { name: "peer", host: "127.0.0.1", port };
  const seen = new Seen();
  if (transport !== "udp") {
    const link = connector.connect(target, seen);
    closing.push(() => link.close("the test is over"));
    return { link, seen };
  }
  const endpoint = connector.bind([target], seen);
  closing.push(() => endpoint.close());
  endpoint.open();
  const [link] = endpoint.links;
  if (link === undefined) throw new Error("no link");
  return { link, seen };
}

describe.each(["udp", "tcp", "tls", "ws"] as const)("a phone's link over %s", (transport) => {
  it("opens, says what stands in Via and Contact, and carries messages both ways", async () => {
    const { link, seen } = await open(transport, await peerOf(transport));
    await seen.until(1);
    expect(link.via).toMatch(new RegExp(`^SIP/2\\.0/${transport.toUpperCase()} \\S+`));
    expect(link.contactHost).toMatch(transport === "udp" ? /^127\.0\.0\.1:\d+$/ : new RegExp(`;transport=${transport}$`));
    expect([link.isOpen, link.isReliable]).toEqual([true, transport !== "udp"]);
    link.send(octetsOf(request));
    expect(await seen.until(2)).toEqual(["opened", request]);
  });
});

describe.each(["tcp", "tls", "ws"] as const)("a phone's connection over %s", (transport) => {
  it("[RFC5626 3.5.1] pings, and says why it was closed", async () => {
    const { link, seen } = await open(transport, await peerOf(transport));
    await seen.until(1);
    link.ping();
    expect(await seen.until(2)).toEqual(["opened", "pong"]);
    link.close("enough");
    expect(await seen.until(3)).toEqual(["opened", "pong", "closed: enough"]);
    expect(link.isOpen).toBe(false);
  });

  it("says why it could not be opened", async () => {
    const { seen } = await open(transport, { port: 1 });
    expect(await seen.until(1)).toEqual([expect.stringMatching(/^closed: .*ECONNREFUSED/)]);
  });
});

it("a link over TLS trusts nobody else", async () => {
  const { port } = await peerOf("tls");
  const { ca = "" } = await certificateFor("example.test");
  const { seen } = await open("tls", { port, ca });
  expect((await seen.until(1))[0]).toMatch(/^closed: .*(certificate|signature)/i);
});

function ignore(): void {}

it("a link over UDP is known by address and port: gateways of two machines listen at the same one", async () => {
  const first = createSocket("udp4").bind(0, "127.0.0.1");
  await once(first, "listening");
  const { port } = first.address();
  const second = createSocket("udp4").bind(port, "127.0.0.2");
  await once(second, "listening");
  for (const socket of [first, second]) {
    socket.on("message", (octets, remote) => socket.send(octets, remote.port, remote.address));
    closing.push(() => socket.close());
  }
  const targets = ["127.0.0.1", "127.0.0.2"].map((host): Target => ({ name: host, host, port }));
  const came: string[] = [];
  const received: LinkHandlers["received"] = (_, { target }) => void came.push(target.name);
  const handlers: LinkHandlers = { opened: ignore, pong: ignore, closed: ignore, received };
  const endpoint = new NodeConnector({ transport: "udp", domain: "example.test", host: "0.0.0.0", ca: undefined }).bind(targets, handlers);
  closing.push(() => endpoint.close());
  endpoint.open();
  await expect.poll(() => endpoint.links.every(({ isOpen }) => isOpen)).toBe(true);
  for (const link of endpoint.links.toReversed()) {
    link.send(octetsOf(request));
    await expect.poll(() => came.at(-1)).toBe(link.target.name);
  }
});
