import { afterEach, describe, expect, test } from "vitest";
import type { GatewayConfig } from "../../gateway/config/config.ts";
import { handshakesMax, httpRequestMs, unwrittenOctetsMax } from "../../gateway/limits.ts";
import { messageOctetsMax } from "../../sip/limits.ts";
import { octetsOf } from "../../sip/message/octets.ts";
import { serializeFlowKey } from "../../sip/flow/flow.ts";
import { RecordKind, type FrameRecord } from "../../cluster/backhaul/frame.ts";
import { type FakeCell, mirror } from "./fake-cell.ts";
import { type Rig, Started, certificateFor, listenerOf, startRig } from "./harness.ts";
import { StreamPhone, WebSocketPhone } from "./phones.ts";
import { requestText } from "./sip-text.ts";

const started = new Started();
afterEach(() => started.end());

const invite = requestText("INVITE", "sip:bob@example.test", { via: "SIP/2.0/WS x7q.invalid;branch=z9hG4bKw1", body: "v=0\r\n" });

function sendOf(key: string, octets: string | Uint8Array): FrameRecord {
  return { kind: RecordKind.send, key, octets: typeof octets === "string" ? octetsOf(octets) : octets };
}

async function rigOf(
  limits: GatewayConfig["limits"] = { connectionsMax: 100, messagesPerSource: 0, trusted: [] },
): Promise<Rig & { port: number }> {
  const rig = await startRig(started, [listenerOf("WS")], { config: { limits } });
  return { ...rig, port: rig.ports[0] ?? 0 };
}

async function phoneAt(port: number, options: Parameters<typeof WebSocketPhone.open>[1] = {}): Promise<WebSocketPhone> {
  const phone = await WebSocketPhone.open(port, options);
  started.add(() => phone.close());
  return phone;
}

async function rawAt(port: number): Promise<StreamPhone> {
  const phone = await StreamPhone.tcp(port);
  started.add(() => phone.close());
  return phone;
}

/** The flow of a phone that has said something. */
async function flowOf(cell: FakeCell): Promise<string> {
  await cell.until(() => cell.messages().length > 0, "the message");
  return cell.ofKind(RecordKind.message)[0]?.record.key ?? "";
}

const handshake =
  "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: sip\r\n\r\n";

/** A masked frame, whose mask changes nothing. */
function frameOf(start: number, payload: string, length = payload.length): string {
  const size = length > 125 ? String.fromCharCode(0xfe, length >> 8, length & 0xff) : String.fromCharCode(0x80 | length);
  return `${String.fromCharCode(start)}${size}\0\0\0\0${payload}`;
}

describe.each(["WS", "WSS"] as const)("%s, a softphone's WebSocket", (transport) => {
  async function rig(): Promise<Rig & { phone: WebSocketPhone }> {
    const tls = await certificateFor("example.test");
    const system = await startRig(started, [listenerOf(transport)], { config: { tls } });
    const phone = await phoneAt(system.ports[0] ?? 0, transport === "WSS" ? { ca: tls.cert } : {});
    return { ...system, phone };
  }

  test("[RFC7118 4.2] text and binary carry one message each, and the phone is called on the connection it came on", async () => {
    const { cell, phone } = await rig();
    cell.answer = mirror;
    expect(phone.socket.protocol).toBe("sip");
    phone.send(invite);
    phone.send(Buffer.from(`${invite}\xff`, "latin1"));
    await phone.inbox.until(() => phone.inbox.texts.length === 2, "both");
    // What is no UTF-8 cannot be text.
    expect(phone.inbox.texts).toEqual([invite, `${invite}\xff`]);
    expect(phone.isBinary).toEqual([false, true]);
    const keys = new Set(cell.ofKind(RecordKind.message).map(({ record }) => record.key));
    expect([...keys][0]).toMatch(transport === "WS" ? /^w0\.[0-9a-z]+\.7f000001[0-9a-f]{4}$/ : /^x0\.[0-9a-z]+\.7f000001[0-9a-f]{4}$/);
    expect(keys.size).toBe(1);
  });

  test("[RFC5626 5.3] its end is told to the exchanges that it talked to, and messages for it come back at once", async () => {
    const { cell, gateway, phone } = await rig();
    phone.send(invite);
    const key = await flowOf(cell);
    phone.close();
    await cell.until(() => cell.ofKind(RecordKind.closed).length === 1, "closed");
    expect(cell.ofKind(RecordKind.closed)[0]?.record.key).toBe(key);
    // Nor is anybody else called in its place, or a connection made (RFC 7118 5).
    const any = key.replace(/\.[^.]*\./, "..");
    cell.backhauls.get(0)?.send([sendOf(key, "late"), sendOf(any, "to any")]);
    await cell.until(() => cell.ofKind(RecordKind.undeliverable).length === 2, "undeliverable");
    expect(gateway.counters.connectionsOpened).toBe(0);
  });

  test("closeFlow closes it with 1000", async () => {
    const { cell, phone } = await rig();
    phone.send(invite);
    const key = await flowOf(cell);
    cell.backhauls.get(0)?.send([{ kind: RecordKind.closeFlow, key, octets: new Uint8Array(0) }]);
    expect(await phone.untilClosed()).toBe("1000 closed by the registrar");
    await cell.until(() => cell.ofKind(RecordKind.closed).length === 1, "closed");
  });

  test("[RFC6455 7.4.1] a gateway that stops says so with 1001", async () => {
    const { gateway, phone } = await rig();
    await gateway.stop();
    expect(await phone.untilClosed()).toBe("1001 this gateway stops: connect again");
  });
});

describe("the handshake", () => {
  test.each([[["chat"]], [[]]])("[RFC7118 5] without subprotocol sip it is refused as a cell does: %j", async (protocols) => {
    const { gateway, port } = await rigOf();
    await expect(phoneAt(port, { protocols })).rejects.toThrow("400 This WebSocket speaks SIP: ask for subprotocol sip (RFC 7118).");
    expect(gateway.connections.size).toBe(0);
  });

  test("sip may be one of several subprotocols, in any case, and a query is no other place", async () => {
    const { port } = await rigOf();
    expect((await phoneAt(port, { protocols: ["chat", "sip"], path: "/?transport=ws" })).socket.protocol).toBe("sip");
    const raw = await rawAt(port);
    raw.send(handshake.replace("Protocol: sip", "Protocol: chat, SIP"));
    expect(await raw.inbox.untilText("\r\n\r\n")).toMatch(/^HTTP\/1\.1 101 [^]*Sec-WebSocket-Protocol: sip\r\n/);
  });

  test("elsewhere there is nothing", async () => {
    const { port } = await rigOf();
    await expect(phoneAt(port, { path: "/ws" })).rejects.toThrow("404 GET /ws: there is nothing here");
  });

  test("over IPv6", async () => {
    const { cell, ports } = await startRig(started, [listenerOf("WS", "::1")]);
    cell.answer = mirror;
    const phone = await phoneAt(ports[0] ?? 0, { host: "::1" });
    phone.send(invite);
    await phone.inbox.untilText("INVITE");
    expect(await flowOf(cell)).toMatch(/^w0\.[0-9a-z]+\.0{31}1[0-9a-f]{4}$/);
  });

  test("a plain GET is told what this is, anything else that there is nothing", async () => {
    const { port } = await rigOf();
    const response = await fetch(`http://127.0.0.1:${port}/`);
    expect([response.status, await response.text()]).toEqual([
      200,
      "Tandem, a SIP registrar and proxy. This is gateway g1; softphones connect here over WebSocket, subprotocol sip.\n",
    ]);
    const other = await fetch(`http://127.0.0.1:${port}/api/status`, { method: "POST", body: "x" });
    expect([other.status, await other.text()]).toEqual([404, "POST /api/status: there is nothing here\n"]);
  });

  test.each([
    ["SIP over TCP", invite],
    ["random octets", "\xff\xfe\0\x01\r\n\r\n"],
    ["headers without end", `GET / HTTP/1.1\r\n${"X: y\r\n".repeat(20_000)}`],
  ])("what is no HTTP is told so: %s", async (_name, junk) => {
    const { gateway, port } = await rigOf();
    const phone = await rawAt(port);
    phone.send(junk);
    await phone.untilClosed();
    // Where more has come than was read, the end may overtake the answer.
    expect(phone.inbox.all).toMatch(/^$|^HTTP\/1\.1 400 [^]*This port speaks SIP over WebSocket/);
    expect(gateway.counters.junk).toBe(1);
  });

  test("one that is not completed ends after its time, and not before", { timeout: 2 * httpRequestMs }, async () => {
    const { port } = await rigOf();
    const [silent, slow] = [await rawAt(port), await rawAt(port)];
    const at = performance.now();
    slow.send(handshake.slice(0, -2));
    const ends = [silent, slow].map(
      (phone) =>
        new Promise<number>((resolve) => {
          phone.socket.once("close", () => resolve(performance.now() - at));
        }),
    );
    for (const ms of await Promise.all(ends)) expect(ms).toBeGreaterThan(0.9 * httpRequestMs);
  });

  test("over the connection limit it is answered 503, and the others live", async () => {
    const { cell, gateway, port } = await rigOf({ connectionsMax: 2, messagesPerSource: 0, trusted: [] });
    const first = await phoneAt(port);
    await phoneAt(port);
    await expect(phoneAt(port)).rejects.toThrow("503 Gateway g1 has no place for another softphone.");
    expect(gateway.counters.connectionsRefused).toBe(1);
    first.send(invite);
    await cell.until(() => cell.messages().length === 1, "the message");
  });

  test("more connections that are no WebSockets yet than may be: the newest are closed", { timeout: 60_000 }, async () => {
    const { cell, gateway, port } = await rigOf({ connectionsMax: 2 * handshakesMax, messagesPerSource: 0, trusted: [] });
    const phones: StreamPhone[] = [];
    started.add(() => {
      for (const phone of phones) phone.close();
    });
    // As fast as they are accepted, so that none is older than its time is long.
    while (gateway.counters.connectionsRefused === 0) {
      phones.push(...(await Promise.all(Array.from({ length: 100 }, () => StreamPhone.tcp(port)))));
      expect(phones.length).toBeLessThan(handshakesMax + 1_000);
    }
    expect(phones.length).toBeGreaterThanOrEqual(handshakesMax);
    for (const phone of phones) phone.close();
    await cell.until(() => phones.every(({ inbox }) => inbox.isClosed), "their ends");
    await phoneAt(port);
  });
});

describe("messages", () => {
  test.each([
    ["text", "\r\n\r\n", false],
    ["binary", Buffer.from("\r\n\r\n"), true],
  ])("[RFC5626 3.5.1] CRLFCRLF is answered with CRLF, and a pong is none of our business: %s", async (_name, keepAlive, isBinary) => {
    const { cell, gateway, port } = await rigOf();
    const phone = await phoneAt(port);
    phone.send(keepAlive);
    await phone.inbox.untilText("\r\n");
    expect([phone.inbox.all, phone.isBinary]).toEqual(["\r\n", [isBinary]]);
    phone.send("\r\n");
    phone.send("");
    phone.send(invite);
    await cell.until(() => cell.messages().length === 1, "the message");
    expect(phone.inbox.all).toBe("\r\n");
    expect(gateway.counters.keepAlives).toBe(1);
    expect(gateway.counters.junk).toBe(0);
  });

  test("[RFC6455 5.5.2] a ping is answered with a pong", async () => {
    const { port } = await rigOf();
    const phone = await phoneAt(port);
    const pong = new Promise<string>((resolve) => {
      phone.socket.once("pong", (data) => resolve(data.toString()));
    });
    phone.socket.ping("are you there");
    expect(await pong).toBe("are you there");
  });

  test("[RFC7118 5.2] one without Content-Length, in fragments and split anywhere, comes as it is", async () => {
    const { cell, port } = await rigOf();
    const bare = invite.replace(/Content-Length: \d+\r\n/, "");
    const phone = await rawAt(port);
    phone.send(handshake);
    await phone.inbox.untilText("\r\n\r\n");
    const octets = frameOf(0x01, bare.slice(0, 100)) + frameOf(0x89, "ping") + frameOf(0x80, bare.slice(100));
    for (const octet of octets) {
      phone.send(octet);
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
    await cell.until(() => cell.messages().length === 1, "the message");
    expect(cell.messages()).toEqual([bare]);
  });

  test("junk stays here, and the next message is served", async () => {
    const { cell, gateway, port } = await rigOf();
    const phone = await phoneAt(port);
    for (const junk of ["{}", "hello", "GET / HTTP/1.1\r\n\r\n"]) phone.send(junk);
    phone.send(invite);
    await cell.until(() => cell.messages().length === 1, "the message");
    expect(cell.messages()).toEqual([invite]);
    expect(gateway.counters.junk).toBe(3);
  });

  test("[RFC6455 7.4.1] the largest message passes; a larger one ends its connection with 1009, before all of it has come", async () => {
    const { cell, gateway, port } = await rigOf();
    const largest = invite.padEnd(messageOctetsMax, "x");
    const phone = await phoneAt(port);
    phone.send(largest);
    await cell.until(() => cell.messages().length === 1, "the message");
    phone.send(`${largest}x`);
    expect(await phone.untilClosed()).toMatch(/^1009 /);
    // In fragments, of which each is small.
    const raw = await rawAt(port);
    raw.send(handshake);
    await raw.inbox.untilText("\r\n\r\n");
    raw.send(frameOf(0x01, "INVITE "));
    for (let sent = 0; sent <= messageOctetsMax; sent += 60_000) raw.send(frameOf(0x00, "x".repeat(60_000)));
    expect(await raw.inbox.until((all) => all.includes("\x88\x02\x03\xf1"), "1009")).toContain("101 Switching Protocols");
    expect(gateway.counters.junk).toBe(2);
    expect(cell.messages()).toHaveLength(1);
  });

  test.each([
    ["a frame without a mask", "\x81\x03abc", 1002],
    ["text that is no UTF-8", frameOf(0x81, "\xff\xfe"), 1007],
    ["a reserved opcode", frameOf(0x83, "abc"), 1002],
  ])("[RFC6455] %s ends its connection, and others live", async (_name, octets, code) => {
    const { cell, gateway, port } = await rigOf();
    const phone = await rawAt(port);
    phone.send(handshake);
    await phone.inbox.untilText("\r\n\r\n");
    phone.send(octets);
    const closing = `\x88\x02${String.fromCharCode(code >> 8, code & 0xff)}`;
    await phone.inbox.until((all) => all.includes(closing), `close with ${code}`);
    await phone.untilClosed();
    expect(gateway.counters.junk).toBe(1);
    const other = await phoneAt(port);
    other.send(invite);
    await cell.until(() => cell.messages().length === 1, "the message");
  });

  test("a source over its limit is ignored", async () => {
    const { cell, gateway, port } = await rigOf({ connectionsMax: 10, messagesPerSource: 5, trusted: [] });
    const phone = await phoneAt(port);
    for (let i = 0; i < 20; i += 1) phone.send(invite);
    await cell.until(() => gateway.counters.limited === 15, "the limit");
    await cell.until(() => cell.messages().length === 5, "those before it");
    expect(gateway.counters.limited).toBe(15);
  });

  test("who does not read is closed before it fills the memory, and what did not leave comes back", async () => {
    const { cell, port } = await rigOf();
    const phone = await phoneAt(port);
    phone.send(invite);
    const key = await flowOf(cell);
    phone.socket.pause();
    const octets = new Uint8Array(60_000).fill(0x78);
    let sent = 0;
    while (cell.ofKind(RecordKind.closed).length === 0) {
      cell.backhauls.get(0)?.send([sendOf(key, octets)]);
      sent += octets.length;
      // What the kernel's buffers take is not the gateway's.
      expect(sent).toBeLessThan(64 * unwrittenOctetsMax);
      await cell.until(() => cell.backhauls.get(0)?.acknowledged !== 0, "the backhaul");
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
    await cell.until(() => cell.ofKind(RecordKind.undeliverable).length > 0, "undeliverable");
  });
});

describe("connections that keep nobody company", () => {
  test.each([
    ["half a frame for 30 s", frameOf(0x81, "INVITE", 100), 31_000],
    ["half a header for 30 s", "\x81", 31_000],
    ["a message whose last fragment does not come", frameOf(0x01, "INVITE"), 31_000],
    ["nothing for longer than a registration lives", frameOf(0x81, "\r\n\r\n"), 3_901_000],
  ])("%s: closed; not before", async (_name, octets, afterMs) => {
    const { cell, gateway, port } = await rigOf();
    const phone = await rawAt(port);
    phone.send(handshake);
    await phone.inbox.untilText("\r\n\r\n");
    phone.send(frameOf(0x81, invite) + octets);
    await cell.until(() => cell.messages().length === 1, "the whole message before it");
    const now = Date.now();
    gateway.connections.sweep(now + afterMs / 2);
    // It would be undeliverable on a connection that is being closed.
    cell.backhauls.get(0)?.send([sendOf(await flowOf(cell), "still there")]);
    await phone.inbox.untilText("still there");
    gateway.connections.sweep(now + afterMs);
    await phone.inbox.until((all) => all.includes("\x03\xe8idle"), "1000");
    await phone.untilClosed();
    await cell.until(() => cell.ofKind(RecordKind.closed).length === 1, "closed");
    expect(gateway.connections.size).toBe(0);
  });

  test("one that does not answer a close is ended all the same", async () => {
    const { cell, gateway, port } = await rigOf();
    const phone = await phoneAt(port);
    phone.send(invite);
    const key = await flowOf(cell);
    phone.socket.pause();
    cell.backhauls.get(0)?.send([{ kind: RecordKind.closeFlow, key, octets: new Uint8Array(0) }, sendOf(key, "late")]);
    await cell.until(() => cell.ofKind(RecordKind.undeliverable).length === 1, "undeliverable");
    await cell.until(() => gateway.connections.size === 0, "its end");
    expect(phone.closing).toBe("");
  });
});

test("a connection of an earlier start is never mistaken for one of this", async () => {
  const { cell, port } = await rigOf();
  const phone = await phoneAt(port);
  phone.send(invite);
  const key = await flowOf(cell);
  cell.backhauls.get(0)?.send([sendOf(key.replace(/\.[^.]*\./, ".0000000a1."), "for another")]);
  cell.backhauls
    .get(0)
    ?.send([sendOf(serializeFlowKey({ transport: "WS", listener: 0, connection: "", address: "127.0.0.1", port: 9 }), "to nobody")]);
  await cell.until(() => cell.ofKind(RecordKind.undeliverable).length === 2, "undeliverable");
  expect(phone.inbox.all).toBe("");
});

test("messages of one turn share a frame", async () => {
  const { cell, port } = await rigOf();
  const phone = await phoneAt(port);
  for (let i = 0; i < 20; i += 1) phone.send(invite);
  await cell.until(() => cell.messages().length === 20, "20 messages");
  expect(Math.max(...cell.frameSizes)).toBeGreaterThan(10);
});
