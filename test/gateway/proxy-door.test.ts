import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { RecordKind } from "../../cluster/backhaul/frame.ts";
import { parseFlowKey } from "../../sip/flow/flow.ts";
import { isParseError } from "../../sip/errors.ts";
import { octetsOf } from "../../sip/message/octets.ts";
import { parseMessage } from "../../sip/message/sip-message.ts";
import { Started, certificateFor, listenerOf, startRig, type Rig } from "./harness.ts";
import { StreamPhone, WebSocketPhone } from "./phones.ts";
import { binaryHeader, headers, tlv } from "./proxy-headers.ts";
import { requestText } from "./sip-text.ts";

const started = new Started();
afterEach(() => started.end());

const balancer = "127.0.0.9";
const transports = ["TCP", "TLS", "WS", "WSS"] as const;
const request = requestText("REGISTER", "sip:example.test");
type Manner = "glued" | "octet by octet";

type System = Rig & { readonly ca: string };

/** A gateway with all transports that believes one balancer, or these. */
async function rig(proxyFrom: readonly string[] = [balancer]): Promise<System> {
  const tls = await certificateFor("example.test");
  const limits = { connectionsMax: 100, messagesPerSource: 0, trusted: [] };
  const system = await startRig(
    started,
    transports.map((transport) => listenerOf(transport)),
    { config: { tls, proxyFrom, limits } },
  );
  system.cell.answer = ({ record }) => {
    const octets = octetsOf("SIP/2.0 200 OK\r\nCSeq: 1 REGISTER\r\nContent-Length: 0\r\n\r\n");
    return record.kind === RecordKind.message ? [{ kind: RecordKind.send, key: record.key, octets }] : [];
  };
  return { ...system, ca: tls.cert };
}

/** Connects to the gateway as a load balancer. */
function fromBalancer(port: number, localAddress = balancer): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", localAddress, noDelay: true });
    started.add(() => socket.destroy());
    socket.once("error", reject).once("connect", () => resolve(socket));
  });
}

/** A load balancer with one listener; the port of that. What it says for a connection stands before what the phone says. */
async function balance(port: number, header: Buffer, manner: Manner): Promise<number> {
  const server = createServer({ noDelay: true }, (phone) => {
    phone.on("error", () => {});
    const gateway = connect({ port, host: "127.0.0.1", localAddress: balancer, noDelay: true });
    gateway.on("error", () => {}).pipe(phone);
    phone.once("data", (first) => void begin(phone, gateway, first));
  });
  const begin = async (phone: Socket, gateway: Socket, first: Buffer): Promise<void> => {
    phone.pause();
    if (manner === "octet by octet") {
      for (const octet of Buffer.concat([header, first.subarray(0, 20)])) {
        gateway.write(Buffer.of(octet));
        await turn();
      }
      gateway.write(first.subarray(20));
    } else gateway.write(Buffer.concat([header, first]));
    phone.pipe(gateway);
  };
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  started.add(() => server.close());
  return (server.address() as AddressInfo).port;
}

function open(transport: (typeof transports)[number], port: number, ca: string): Promise<StreamPhone | WebSocketPhone> {
  switch (transport) {
    case "TCP":
      return StreamPhone.tcp(port);
    case "TLS":
      return StreamPhone.tls(port, ca);
    case "WS":
      return WebSocketPhone.open(port);
    case "WSS":
      return WebSocketPhone.open(port, { ca });
  }
}

/** Where the gateway says that the last message came from. */
function placeOfLast({ cell }: System): { address: string; port: number } | undefined {
  const key = parseFlowKey(cell.arrivals.findLast(({ record }) => record.kind === RecordKind.message)?.record.key ?? "");
  return key === undefined ? undefined : { address: key.address, port: key.port };
}

describe("a configured load balancer", () => {
  test.each(transports.flatMap((transport) => (["glued", "octet by octet"] as const).map((manner) => [transport, manner] as const)))(
    "says whose connection it is over %s, its header %s",
    async (transport, manner) => {
      const system = await rig();
      const port = system.ports[transports.indexOf(transport)] ?? 0;
      for (const { name, octets, from } of headers) {
        const phone = await open(transport, await balance(port, octets, manner), system.ca);
        started.add(() => phone.close());
        phone.send(request);
        await phone.inbox.untilText("200 OK");
        const { address, port: its } = placeOfLast(system) ?? { address: "", port: 0 };
        // Whom it does not name is at its own address, and at any port.
        expect([name, address, from === undefined || from.port === its]).toEqual([name, from?.address ?? balancer, true]);
      }
      expect(system.gateway.counters.proxyHeadersRefused).toBe(0);
      expect(system.gateway.counters.junk).toBe(0);
    },
  );

  test("may be a network, and IPv6 in it is no neighbour", async () => {
    const system = await rig(["127.0.0.8/30", "2001:db8::1"]);
    const [tcp = 0] = system.ports;
    for (const [address, believed] of [
      ["127.0.0.10", "192.0.2.1"],
      ["127.0.0.12", "127.0.0.12"],
    ] as const) {
      const socket = await fromBalancer(tcp, address);
      socket.write("PROXY TCP4 192.0.2.1 198.51.100.1 40000 5060\r\n");
      socket.write(request);
      await new StreamPhone(socket).inbox.untilText("200 OK");
      expect(placeOfLast(system)?.address).toBe(believed);
    }
  });

  test("limits count the phones behind it, and not all of them as one", async () => {
    const { gateway, ports, cell } = await startRig(started, [listenerOf("TCP")], {
      config: { proxyFrom: [balancer], limits: { connectionsMax: 100, messagesPerSource: 3, trusted: [] } },
    });
    const [tcp = 0] = ports;
    for (const address of ["192.0.2.1", "192.0.2.2"]) {
      const socket = await fromBalancer(tcp);
      socket.write(`PROXY TCP4 ${address} 198.51.100.1 40000 5060\r\n`);
      for (let n = 0; n < 5; n += 1) socket.write(requestText("MESSAGE", "sip:bob@example.test", { callId: `${address}-${n}` }));
    }
    await cell.until(() => cell.messages().length + gateway.counters.limited === 10, "all of them");
    expect([cell.messages().length, gateway.counters.limited]).toEqual([6, 4]);
  });

  test("an answer finds its phone by the address that was named, and Via says that address", async () => {
    const { ports } = await rig();
    const [tcp = 0] = ports;
    const socket = await fromBalancer(tcp);
    socket.write(binaryHeader({ rest: tlv(0x20, 20) }));
    socket.write(requestText("OPTIONS", "sip:example.test", { via: "SIP/2.0/TCP 10.0.0.1:5060;rport;branch=z9hG4bK1" }));
    expect(await new StreamPhone(socket).inbox.untilText("\r\n\r\n")).toContain(";received=192.0.2.1;rport=40000");
  });
});

/** Says this as the first of a connection, at TCP. What became of it: closed, or given to the exchange, and as whose: no message of SIP it is. */
async function outcomeOf(system: System, said: Buffer, localAddress: string): Promise<string> {
  const { cell, ports } = system;
  const before = cell.messages().length;
  const socket = await fromBalancer(ports[0] ?? 0, localAddress);
  socket.write(said);
  const { inbox } = new StreamPhone(socket);
  await inbox.until((all) => inbox.isClosed || all.includes("200 OK"), "an answer, or the end");
  socket.destroy();
  const came = cell.messages().slice(before);
  if (came.length === 0) return "closed";
  const isSip = came.some((text) => !isParseError(parseMessage(octetsOf(text))));
  return `${isSip ? "SIP" : "junk"} of ${placeOfLast(system)?.address}`;
}

describe("what is no header, or comes late", () => {
  test.each([
    ["none at all", request],
    ["a malformed one", `PROXY TCP4 192.0.2.1 198.51.100.1 40000\r\n${request}`],
    ["one that is too long", binaryHeader({ rest: tlv(1, 4_000) })],
    ["one of version 2 within one of version 1", Buffer.concat([Buffer.from("PROXY TCP4 "), binaryHeader({})])],
  ])("ends the connection of a balancer, and is counted: %s", async (_name, said) => {
    const system = await rig();
    for (const port of system.ports) {
      const socket = await fromBalancer(port);
      socket.write(said);
      await new StreamPhone(socket).untilClosed();
    }
    expect(system.gateway.counters.proxyHeadersRefused).toBe(system.ports.length);
    expect(system.gateway.doorkeeper.size).toBe(0);
    expect(system.cell.messages()).toEqual([]);
    // One line for all of them.
    expect(system.events.filter((event) => event === "proxy-header-refused")).toHaveLength(1);
  });

  test("half of one: the connection ends in its time", async () => {
    const system = await rig();
    const sockets = await Promise.all(system.ports.map((port) => fromBalancer(port)));
    for (const socket of sockets) socket.write("PROXY TCP4 192.0.2.1 ");
    await Promise.all(sockets.map((socket) => new StreamPhone(socket).untilClosed()));
    expect(system.gateway.counters.proxyHeadersRefused).toBe(system.ports.length);
  });

  test("a balancer that only looks whether a port is open is no news", async () => {
    const system = await rig();
    const [tcp = 0] = system.ports;
    for (let n = 0; n < 3; n += 1) (await fromBalancer(tcp)).end();
    const begun = await fromBalancer(tcp);
    begun.end("PROX");
    const { cell, gateway } = system;
    await cell.until(() => gateway.counters.proxyHeadersRefused > 0, "the one that had begun");
    expect(gateway.counters.proxyHeadersRefused).toBe(1);
  });

  test("a second one, of either version, is what a phone says: junk", async () => {
    const system = await rig();
    for (const second of [Buffer.from("PROXY TCP4 203.0.113.1 198.51.100.1 1 2\r\n"), binaryHeader({})]) {
      const said = Buffer.concat([binaryHeader({}), second, Buffer.from(request)]);
      expect(["closed", "junk of 192.0.2.1"]).toContain(await outcomeOf(system, said, balancer));
    }
  });

  test.each([
    ["from anybody else", [balancer]],
    ["where no balancer is configured", []],
  ])("%s it is junk like any, whatever it names", async (_name, proxyFrom) => {
    const system = await rig(proxyFrom);
    const [, ...others] = system.ports;
    let closed = 0;
    for (const { octets } of headers) {
      const said = Buffer.concat([octets, Buffer.from(request)]);
      const outcome = await outcomeOf(system, said, "127.0.0.1");
      expect(["closed", "junk of 127.0.0.1"]).toContain(outcome);
      if (outcome === "closed") closed += 1;
      const before = system.cell.messages().length;
      for (const port of others) {
        const socket = await fromBalancer(port, "127.0.0.1");
        socket.write(said);
        await new StreamPhone(socket).untilClosed();
      }
      expect(system.cell.messages()).toHaveLength(before);
    }
    expect(system.gateway.counters.proxyHeadersRefused).toBe(0);
    expect(system.gateway.counters.junk).toBe(headers.length * others.length + closed);
  });
});
