import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { connect as connectTls, createServer as createTlsServer, type ConnectionOptions } from "node:tls";
import { afterEach, describe, expect, test } from "vitest";
import { freePorts } from "../../kit/world/free-ports.ts";
import { octetsOf } from "../../sip/message/octets.ts";
import { serializeFlowKey } from "../../sip/flow/flow.ts";
import { RecordKind, type FrameRecord } from "../../cluster/backhaul/frame.ts";
import { mirror } from "./fake-cell.ts";
import { Started, certificateFor, listenerOf, startRig, udpSockets } from "./harness.ts";
import { StreamPhone, UdpPhone } from "./phones.ts";
import { requestText } from "./sip-text.ts";

const started = new Started();
afterEach(() => started.end());

function sendOf(key: string, text: string): FrameRecord {
  return { kind: RecordKind.send, key, octets: octetsOf(text) };
}

async function udpPhone(host?: string): Promise<UdpPhone> {
  const phone = await UdpPhone.open(host);
  started.add(() => phone.close());
  return phone;
}

async function tcpPhone(port: number, host?: string): Promise<StreamPhone> {
  const phone = await StreamPhone.tcp(port, host);
  started.add(() => phone.close());
  return phone;
}

/** A server that stands for a next hop outside: what connects to it is a phone in the test's hands. */
async function outside(make: (onSocket: (socket: Socket) => void) => Server): Promise<{ port: number; accepted: StreamPhone[] }> {
  const accepted: StreamPhone[] = [];
  const server = make((socket) => {
    accepted.push(new StreamPhone(socket));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  started.add(() => {
    for (const each of accepted) each.close();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, accepted };
}

const invite = requestText("INVITE", "sip:bob@example.test", { body: "v=0\r\n" });

describe.each(udpSockets)("UDP, %s", (_name, sockets) => {
  test.each(["127.0.0.1", "::1"])(
    "octets come as they are with a self-describing flow key, and go back to where they came from (%s)",
    async (host) => {
      const { cell, ports } = await startRig(started, [listenerOf("UDP", host)], sockets);
      cell.answer = mirror;
      const phone = await udpPhone(host);
      const odd = `${invite}\0\x80\xff`;
      phone.send(odd, ports[0] ?? 0, host);
      expect(await phone.inbox.untilText("\xff")).toBe(odd);
      expect(cell.ofKind(RecordKind.message)[0]?.record.key).toBe(
        serializeFlowKey({ transport: "UDP", listener: 0, connection: "", address: host, port: phone.port }),
      );
    },
  );

  test("[RFC3581 4] what is sent to a phone leaves from the listener that its flow names", async () => {
    const { cell, ports } = await startRig(started, [listenerOf("UDP"), listenerOf("UDP", "127.0.0.2")], sockets);
    cell.answer = mirror;
    const phone = await udpPhone();
    phone.send(invite, ports[1] ?? 0, "127.0.0.2");
    await phone.inbox.untilText("INVITE");
    expect(cell.ofKind(RecordKind.message)[0]?.record.key).toMatch(/^u1\./);
  });

  test("a restarted gateway still reaches a phone by the flow key of the one before: no state is kept", async () => {
    const first = await startRig(started, [listenerOf("UDP")], sockets);
    const phone = await udpPhone();
    phone.send(invite, first.ports[0] ?? 0);
    await first.cell.until(() => first.cell.messages().length === 1, "the message");
    const key = first.cell.ofKind(RecordKind.message)[0]?.record.key ?? "";
    await first.gateway.stop();
    const second = await startRig(started, [listenerOf("UDP", "127.0.0.1", first.ports[0])], sockets);
    second.cell.backhauls.get(0)?.send([sendOf(key, "BYE for the phone")]);
    expect(await phone.inbox.untilText("BYE")).toBe("BYE for the phone");
  });

  test("junk and keep-alives stay here: nothing of them reaches the exchange, and the next message is served", async () => {
    const { cell, gateway, ports } = await startRig(started, [listenerOf("UDP")], sockets);
    cell.answer = mirror;
    const phone = await udpPhone();
    for (const junk of ["", "\r\n\r\n", "\0\0\0\0", "\xff\xfe random", "GET / HTTP/1.1\r\n\r\n", "x".repeat(60_000)])
      phone.send(junk, ports[0] ?? 0);
    phone.send(invite, ports[0] ?? 0);
    await phone.inbox.untilText("INVITE");
    expect(cell.messages()).toHaveLength(1);
    expect(gateway.counters.junk).toBe(3);
    expect(gateway.counters.keepAlives).toBe(3);
  });

  test("[RFC5626 3.5.2] a STUN binding request is answered with the mapped address", async () => {
    const { ports } = await startRig(started, [listenerOf("UDP")], sockets);
    const phone = await udpPhone();
    const request = Buffer.from("000100002112a4420102030405060708090a0b0c", "hex");
    phone.send(request, ports[0] ?? 0);
    const answer = Buffer.from(await phone.inbox.until((all) => all.length > 0, "an answer"), "latin1");
    expect(answer.subarray(0, 20).toString("hex")).toBe("0101000c2112a4420102030405060708090a0b0c");
    expect(answer.readUInt16BE(26) ^ 0x2112).toBe(phone.port);
    expect((answer.readUInt32BE(28) ^ 0x2112a442) >>> 0).toBe(0x7f000001);
  });

  test.each([
    ["127.0.0.1", "u9"],
    ["127.0.0.1", "u1"],
    ["::1", "u0"],
  ])("a phone of a gateway that died is reached through any listener of its family: %s by %s", async (host, listener) => {
    const { cell } = await startRig(started, [listenerOf("UDP"), listenerOf("UDP", "::1")], sockets);
    const phone = await udpPhone(host);
    const key = serializeFlowKey({ transport: "UDP", listener: 0, connection: "", address: host, port: phone.port });
    cell.backhauls.get(0)?.send([sendOf(listener + key.slice(2), "BYE for the phone")]);
    expect(await phone.inbox.untilText("BYE")).toBe("BYE for the phone");
    expect(cell.ofKind(RecordKind.undeliverable)).toEqual([]);
  });

  test("what the system refuses to send comes back as undeliverable, with its octets", async () => {
    const { cell } = await startRig(started, [listenerOf("UDP")], sockets);
    const keys = ["u0..7f0000010000", "u9..7f0000010000", "u0..20010db800000000000000000000000113c4", "junk"];
    cell.backhauls.get(0)?.send(keys.map((key) => sendOf(key, `to ${key}`)));
    await cell.until(() => cell.ofKind(RecordKind.undeliverable).length === keys.length, "undeliverable");
    const back = new Set(
      cell.ofKind(RecordKind.undeliverable).map(({ record }) => `${record.key}: ${Buffer.from(record.octets).toString()}`),
    );
    expect(back).toEqual(new Set(keys.map((key) => `${key}: to ${key}`)));
  });
});

describe.each(["TCP", "TLS"] as const)("%s, connections that phones made", (transport) => {
  async function rig() {
    const tls = await certificateFor("example.test");
    const system = await startRig(started, [listenerOf(transport)], { config: { tls } });
    const [port = 0] = system.ports;
    const phone = transport === "TCP" ? await StreamPhone.tcp(port) : await StreamPhone.tls(port, tls.cert);
    started.add(() => phone.close());
    return { ...system, phone, port };
  }

  test("a message comes whole from any split, and the phone is called on the connection it came on", async () => {
    const { cell, phone } = await rig();
    cell.answer = mirror;
    for (const octet of invite) {
      phone.send(octet);
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
    await phone.inbox.untilText("v=0\r\n");
    phone.send(invite + invite);
    await phone.inbox.until((all) => all === invite.repeat(3), "three messages");
    const keys = new Set(cell.ofKind(RecordKind.message).map(({ record }) => record.key));
    expect([...keys][0]).toMatch(transport === "TCP" ? /^t0\.[0-9a-z]+\.7f000001[0-9a-f]{4}$/ : /^s0\.[0-9a-z]+\.7f000001[0-9a-f]{4}$/);
    expect(keys.size).toBe(1);
  });

  test("[RFC5626 3.5.1] CRLFCRLF is answered with CRLF, also between messages", async () => {
    const { cell, phone } = await rig();
    phone.send(`\r\n\r\n${invite}\r\n\r\n`);
    await phone.inbox.until((all) => all === "\r\n\r\n", "two CRLF");
    await cell.until(() => cell.messages().length === 1, "the message");
    expect(cell.messages()).toEqual([invite]);
  });

  test("[RFC3261 18.3] a request without Content-Length is answered 400, and the connection closed", async () => {
    const { phone, gateway, port } = await rig();
    phone.send(invite.replace(/Content-Length: \d+\r\n/, ""));
    expect(await phone.untilClosed()).toMatch(/^SIP\/2\.0 400 /);
    const other = transport === "TCP" ? await StreamPhone.tcp(port) : undefined;
    other?.close();
    expect(gateway.counters.junk).toBe(1);
  });

  test.each(["v=0 octets that are no message\r\n", invite.replace(/Content-Length: \d+\r\n/, "")])(
    "[RFC3261 18.3] what comes behind a good request and cannot be followed ends the connection when that is answered: %j",
    async (beyond) => {
      const { cell, phone } = await rig();
      phone.send(invite + beyond);
      await cell.until(() => cell.messages().length === 1, "the good request");
      const [{ record } = { record: undefined }] = cell.ofKind(RecordKind.message);
      const answers = ["SIP/2.0 100 Trying\r\n\r\n", "SIP/2.0 404 Not Found\r\n\r\n"];
      for (const answer of answers) cell.backhauls.get(0)?.send([sendOf(record?.key ?? "", answer)]);
      const said = await phone.untilClosed();
      for (const answer of answers) expect(said).toContain(answer);
    },
  );

  test("a stream that cannot be followed ends also when nobody answers what came before", async () => {
    const { cell, phone, gateway } = await rig();
    phone.send(`${invite}\xff`);
    await cell.until(() => gateway.counters.junk === 1, "the junk");
    expect(await phone.untilClosed()).toBe("");
    expect(cell.messages()).toHaveLength(1);
  });

  test.each([
    ["random octets", "\xff\xfe\x00\x01"],
    ["a start line without end", "INVITE ".repeat(20_000)],
  ])("junk ends its connection: %s", async (_name, junk) => {
    const { cell, phone, gateway } = await rig();
    phone.send(junk);
    await phone.untilClosed();
    expect(gateway.counters.junk).toBeGreaterThan(0);
    expect(cell.messages()).toEqual([]);
  });

  test("[RFC5626 5.3] a closed connection is told to the exchanges that it talked to, and messages for it come back", async () => {
    const { cell, phone } = await rig();
    phone.send(invite);
    await cell.until(() => cell.messages().length === 1, "the message");
    const key = cell.ofKind(RecordKind.message)[0]?.record.key ?? "";
    phone.close();
    await cell.until(() => cell.ofKind(RecordKind.closed).length === 1, "closed");
    expect(cell.ofKind(RecordKind.closed)[0]?.record.key).toBe(key);
    cell.backhauls.get(0)?.send([sendOf(key, "late")]);
    await cell.until(() => cell.ofKind(RecordKind.undeliverable).length === 1, "undeliverable");
  });

  test("a connection that said nothing to anybody ends in silence", async () => {
    const { cell, phone, gateway } = await rig();
    phone.send("\r\n\r\n");
    await phone.inbox.untilText("\r\n");
    phone.close();
    await cell.until(() => gateway.counters.connectionsClosed === 1, "the end");
    expect(cell.ofKind(RecordKind.closed)).toEqual([]);
  });

  test("closeFlow closes the connection", async () => {
    const { cell, phone } = await rig();
    phone.send(invite);
    await cell.until(() => cell.messages().length === 1, "the message");
    const key = cell.ofKind(RecordKind.message)[0]?.record.key ?? "";
    cell.backhauls.get(0)?.send([{ kind: RecordKind.closeFlow, key, octets: new Uint8Array(0) }]);
    expect(await phone.untilClosed()).toBe("");
  });
});

describe("connections that the gateway makes", () => {
  test("TCP: opened from the cluster address when there is none, used again, and answered on", async () => {
    const { cell, gateway } = await startRig(started, [listenerOf("TCP", "127.0.0.3")]);
    const hop = await outside((onSocket) => createServer(onSocket));
    const key = serializeFlowKey({ transport: "TCP", listener: 0, connection: "", address: "127.0.0.1", port: hop.port });
    cell.backhauls.get(0)?.send([sendOf(key, "first "), sendOf(key, "second ")]);
    await cell.until(() => hop.accepted.length === 1, "a connection");
    const [peer] = hop.accepted;
    await peer?.inbox.untilText("first second ");
    cell.backhauls.get(0)?.send([sendOf(key, "third")]);
    await peer?.inbox.untilText("first second third");
    expect(peer?.socket.remoteAddress).toBe("127.0.0.3");
    peer?.send(invite);
    await cell.until(() => cell.messages().length === 1, "an answer on it");
    expect(cell.ofKind(RecordKind.message)[0]?.record.key).toMatch(/^t0\.[0-9a-z]+\.7f000001/);
    expect(gateway.counters.connectionsOpened).toBe(1);
  });

  test("TCP: an accepted connection from that very address and port is used", async () => {
    const { cell, ports, gateway } = await startRig(started, [listenerOf("TCP")]);
    const phone = await tcpPhone(ports[0] ?? 0);
    phone.send(invite);
    await cell.until(() => cell.messages().length === 1, "the message");
    const key = cell.ofKind(RecordKind.message)[0]?.record.key ?? "";
    cell.backhauls.get(0)?.send([sendOf(key.replace(/\.[^.]*\./, ".."), "hello")]);
    await phone.inbox.untilText("hello");
    expect(gateway.counters.connectionsOpened).toBe(0);
  });

  test("refused: all that waited comes back as undeliverable, and closed is not told of what never was", async () => {
    const { cell } = await startRig(started, [listenerOf("TCP")]);
    const key = serializeFlowKey({
      transport: "TCP",
      listener: 0,
      connection: "",
      address: "127.0.0.1",
      port: await freePorts(1),
    });
    cell.backhauls.get(0)?.send([sendOf(key, "one"), sendOf(key, "two")]);
    await cell.until(() => cell.ofKind(RecordKind.undeliverable).length === 2, "undeliverable");
    expect(cell.ofKind(RecordKind.closed)).toEqual([]);
  });

  test("a connection of an earlier start is never mistaken for one of this", async () => {
    const { cell, ports } = await startRig(started, [listenerOf("TCP")]);
    const phone = await tcpPhone(ports[0] ?? 0);
    phone.send(invite);
    await cell.until(() => cell.messages().length === 1, "the message");
    const key = cell.ofKind(RecordKind.message)[0]?.record.key ?? "";
    cell.backhauls.get(0)?.send([sendOf(key.replace(/\.[^.]*\./, ".0000000a1."), "for another")]);
    await cell.until(() => cell.ofKind(RecordKind.undeliverable).length === 1, "undeliverable");
    expect(phone.inbox.all).toBe("");
  });

  test.each([
    ["the certificate is for the domain", "example.test", true],
    ["it is for another domain", "other.test", false],
  ])("[RFC5922 7] TLS is verified: %s", async (_name, serverName, delivered) => {
    const tls = await certificateFor("example.test");
    const { cell } = await startRig(started, [listenerOf("TLS")], { config: { tls } });
    const hop = await outside((onSocket) => createTlsServer({ cert: tls.cert, key: tls.key }, onSocket));
    const key = serializeFlowKey({ transport: "TLS", listener: 0, connection: "", address: "127.0.0.1", port: hop.port, serverName });
    cell.backhauls.get(0)?.send([sendOf(key, "over TLS")]);
    await cell.until(
      () => hop.accepted.some(({ inbox }) => inbox.all === "over TLS") || cell.ofKind(RecordKind.undeliverable).length > 0,
      "an outcome",
    );
    expect(cell.ofKind(RecordKind.undeliverable)).toHaveLength(delivered ? 0 : 1);
  });

  test.each(["AES128-SHA", "AES256-SHA", "ECDHE-RSA-AES128-SHA", "ECDHE-ECDSA-AES128-SHA256", "DHE-RSA-AES128-GCM-SHA256"])(
    "[RFC9325 4.2] a handshake that offers %s alone fails",
    async (ciphers) => {
      const { gateway } = await startRig(started, [listenerOf("TLS")], { config: { tls: await certificateFor("example.test") } });
      const port = gateway.listeners[0]?.port ?? 0;
      expect(await handshakeOf({ port, ciphers, maxVersion: "TLSv1.2" })).toBe("refused");
    },
  );

  test.each([
    ["ECDHE-ECDSA-AES128-GCM-SHA256", "TLSv1.2"],
    ["ECDHE-ECDSA-CHACHA20-POLY1305", "TLSv1.2"],
    ["TLS_AES_128_GCM_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256", "TLSv1.3"],
  ] as const)("[RFC9325 4.2] one that offers %s has %s", async (ciphers, maxVersion) => {
    const { gateway } = await startRig(started, [listenerOf("TLS")], { config: { tls: await certificateFor("example.test") } });
    expect(await handshakeOf({ port: gateway.listeners[0]?.port ?? 0, ciphers, maxVersion })).toBe(maxVersion);
  });

  test("TLS to an unknown authority is refused, unless verify is off", async () => {
    const theirs = await certificateFor("example.test");
    const ours = await certificateFor("example.test");
    for (const verify of [true, false]) {
      const { cell } = await startRig(started, [listenerOf("TLS")], { config: { tls: { ...ours, verify } } });
      const hop = await outside((onSocket) => createTlsServer({ cert: theirs.cert, key: theirs.key }, onSocket));
      const key = serializeFlowKey({
        transport: "TLS",
        listener: 0,
        connection: "",
        address: "127.0.0.1",
        port: hop.port,
        serverName: "example.test",
      });
      cell.backhauls.get(0)?.send([sendOf(key, "over TLS")]);
      await cell.until(
        () => hop.accepted.some(({ inbox }) => inbox.all !== "") || cell.ofKind(RecordKind.undeliverable).length > 0,
        "an outcome",
      );
      expect(cell.ofKind(RecordKind.undeliverable)).toHaveLength(verify ? 1 : 0);
    }
  });

  test("over the connection limit the newest is closed, and the others live", async () => {
    const { cell, ports, gateway } = await startRig(started, [listenerOf("TCP")], {
      config: { limits: { connectionsMax: 2, messagesPerSource: 0, trusted: [] } },
    });
    const first = await tcpPhone(ports[0] ?? 0);
    await tcpPhone(ports[0] ?? 0);
    await cell.until(() => gateway.connections.size === 2, "two connections");
    const third = await tcpPhone(ports[0] ?? 0);
    await third.untilClosed();
    expect(gateway.counters.connectionsRefused).toBe(1);
    first.send(invite);
    await cell.until(() => cell.messages().length === 1, "the message");
  });
});

describe("connections that keep nobody company", () => {
  test.each([
    ["half a message for 30 s", requestText("INVITE", "sip:bob@example.test").slice(0, 100), 31_000],
    ["nothing for longer than a registration lives", "\r\n\r\n", 3_901_000],
  ])("%s: closed; not before", async (_name, text, afterMs) => {
    const { cell, gateway, ports } = await startRig(started, [listenerOf("TCP")]);
    const phone = await tcpPhone(ports[0] ?? 0);
    phone.send(invite + text);
    await cell.until(() => cell.messages().length === 1, "the whole message before it");
    const now = Date.now();
    gateway.connections.sweep(now + afterMs / 2);
    expect(gateway.connections.size).toBe(1);
    gateway.connections.sweep(now + afterMs);
    await phone.untilClosed();
    await cell.until(() => cell.ofKind(RecordKind.closed).length === 1, "closed");
  });
});

test("messages of one turn share a frame", async () => {
  const { cell, ports } = await startRig(started, [listenerOf("TCP")]);
  const phone = await tcpPhone(ports[0] ?? 0);
  phone.send(invite.repeat(20));
  await cell.until(() => cell.messages().length === 20, "20 messages");
  expect(Math.max(...cell.frameSizes)).toBe(20);
});

test("a source over its limit is ignored, others are not", async () => {
  const { cell, ports, gateway } = await startRig(started, [listenerOf("UDP", "127.0.0.1")], {
    config: { limits: { connectionsMax: 10, messagesPerSource: 5, trusted: [] } },
  });
  const flood = await udpPhone("127.0.0.9");
  for (let i = 0; i < 20; i += 1) flood.send(invite, ports[0] ?? 0);
  await cell.until(() => gateway.counters.limited === 15, "the limit");
  const phone = await udpPhone();
  phone.send(invite, ports[0] ?? 0);
  await cell.until(() => cell.messages().length === 6, "the others");
  expect(gateway.counters.limited).toBe(15);
});

/** The version that a handshake with these options agrees on. A client's own OpenSSL must still offer old ciphers: its security level is lowered. */
async function handshakeOf({ ciphers, ...options }: ConnectionOptions & { readonly ciphers: string }): Promise<string> {
  const socket = connectTls({ ...options, host: "127.0.0.1", ciphers: `${ciphers}:@SECLEVEL=0`, rejectUnauthorized: false });
  try {
    return await new Promise((resolve, reject) => {
      socket.once("secureConnect", () => resolve(socket.getProtocol() ?? ""));
      socket.once("error", (error: Error & { code?: string }) => {
        if (error.code?.startsWith("ERR_SSL") === true) resolve("refused");
        else reject(error);
      });
    });
  } finally {
    socket.destroy();
  }
}
