import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { newCounters } from "../../gateway/counters.ts";
import { Crowd } from "../../sip/flow/crowd.ts";
import { Doorkeeper } from "../../gateway/connections/doorkeeper.ts";
import { isRegistered } from "../../sip/flow/grant.ts";
import {
  firstMessageMs,
  framesPerMessageMax,
  greetingMs,
  handshakeMs,
  handshakesMax,
  strangersPerSourceMax,
  unwrittenOctetsMax,
} from "../../gateway/limits.ts";
import { steadyNow } from "../../gateway/steady-now.ts";
import { octetsOf } from "../../sip/message/octets.ts";
import { RecordKind } from "../../cluster/backhaul/frame.ts";
import { Started, certificateFor, listenerOf, startRig, type Rig } from "./harness.ts";
import { StreamPhone, WebSocketPhone } from "./phones.ts";
import { requestText } from "./sip-text.ts";

const started = new Started();
afterEach(() => started.end());

test("a crowd knows its largest source and who came first, whatever comes and goes", () => {
  const step = fc.record({ source: fc.constantFrom("a", "b", "c", "d"), leaves: fc.boolean(), which: fc.nat(20) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const crowd = new Crowd<{ source: string }>();
      let members: { source: string }[] = [];
      for (const { source, leaves, which } of steps) {
        const leaving = members[which % Math.max(1, members.length)];
        const removals: boolean[] = [];
        if (leaves && leaving !== undefined) {
          removals.push(crowd.remove(leaving), crowd.remove(leaving));
          members = members.filter((each) => each !== leaving);
        } else {
          const member = { source };
          members.push(member);
          crowd.add(member);
          crowd.add(member);
        }
        expect(removals).toEqual(removals.length === 0 ? [] : [true, false]);
        const counts = ["a", "b", "c", "d"].map((each) => members.filter((member) => member.source === each).length);
        expect(crowd.size).toBe(members.length);
        expect(["a", "b", "c", "d"].map((each) => crowd.countOf(each))).toEqual(counts);
        const first = crowd.firstOfLargest();
        expect(crowd.countOf(first?.source ?? "")).toBe(Math.max(...counts));
        expect(first).toBe(members.find((member) => member.source === first?.source));
      }
    }),
  );
});

function answer(status: string, cSeq: string, rest = ""): Uint8Array {
  return octetsOf(`SIP/2.0 ${status}\r\nVia: SIP/2.0/TCP a\r\n${cSeq}\r\nAllow: REGISTER\r\n\r\n${rest}`);
}

test("only the 2xx for a REGISTER shows a password", () => {
  expect(isRegistered(answer("200 OK", "CSeq: 1 REGISTER"))).toBe(true);
  expect(isRegistered(answer("200 OK", "cseq : 22  REGISTER"))).toBe(true);
  for (const octets of [
    answer("401 Unauthorized", "CSeq: 1 REGISTER"),
    answer("100 Trying", "CSeq: 1 REGISTER"),
    answer("200 OK", "CSeq: 1 OPTIONS"),
    answer("200 OK", "CSeq: 1 INVITE", "CSeq: 1 REGISTER\r\n"),
    octetsOf("REGISTER sip:a SIP/2.0\r\nCSeq: 1 REGISTER\r\n\r\n"),
  ]) {
    expect(isRegistered(octets)).toBe(false);
  }
});

/** A connection, as far as the doorkeeper looks at it. */
class FakeSocket {
  static #port = 1;
  readonly remoteAddress: string;
  readonly remotePort: number = (FakeSocket.#port += 1);
  destroyed = false;
  #close = (): void => {};

  constructor(remoteAddress: string) {
    this.remoteAddress = remoteAddress;
  }

  once(_event: string, run: () => void): void {
    this.#close = run;
  }

  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.#close();
  }
}

class World {
  readonly counters = newCounters();
  readonly doorkeeper: Doorkeeper;

  constructor(connectionsMax: number) {
    this.doorkeeper = new Doorkeeper(connectionsMax, this.counters);
  }

  /** Connects; false: it was refused. */
  come(address: string, now: number, transport: "TCP" | "TLS" | "WS" = "TCP"): FakeSocket {
    const socket = new FakeSocket(address);
    this.doorkeeper.admit(socket as unknown as Socket, transport, now);
    return socket;
  }

  register(socket: FakeSocket): void {
    const guest = this.doorkeeper.greeted(socket as unknown as Socket);
    if (guest === undefined) throw new Error("it is not there");
    this.doorkeeper.spoke(guest);
    this.doorkeeper.proved(guest);
  }
}

describe("the doorkeeper", () => {
  test("whoever fills the gateway from some addresses loses his own: registered phones stay, and one of another address gets in", () => {
    const world = new World(20_000);
    const office = Array.from({ length: 1_000 }, () => world.come("192.0.2.1", 0));
    for (const phone of office) world.register(phone);
    const silent: FakeSocket[] = [];
    for (let n = 0; n < 100_000; n += 1) silent.push(world.come(`198.51.100.${n % 8}`, n / 10, "TCP"));
    expect(world.doorkeeper.size).toBeLessThanOrEqual(20_000);
    for (let n = 0; n < 500; n += 1) world.register(world.come("203.0.113.5", 10_000 + n));
    expect(office.every(({ destroyed }) => !destroyed)).toBe(true);
    for (const socket of silent) socket.destroy();
    expect(world.doorkeeper.size).toBe(1_500);
  });

  test("one address has its share of strangers, and no more", () => {
    const world = new World(20_000);
    for (let n = 0; n < 3 * strangersPerSourceMax; n += 1) world.come(`2001:db8:1:2::${n.toString(16)}`, 0);
    expect(world.doorkeeper.size).toBe(strangersPerSourceMax);
    expect(world.counters.connectionsRefused).toBe(2 * strangersPerSourceMax);
    // Who comes from there later is let in for one that is of no use.
    expect(world.come("2001:db8:1:2::1", greetingMs + 1).destroyed).toBe(false);
    expect(world.doorkeeper.size).toBe(strangersPerSourceMax);
  });

  test("those who register make room for others of their address", () => {
    const world = new World(3 * strangersPerSourceMax);
    for (let n = 0; n < 2 * strangersPerSourceMax; n += 1) world.register(world.come("192.0.2.1", 0));
    expect(world.doorkeeper.size).toBe(2 * strangersPerSourceMax);
    expect(world.counters.connectionsRefused).toBe(0);
  });

  test("handshakes have a bound of their own, shared by all listeners", () => {
    const world = new World(20_000);
    for (let n = 0; n < 3 * handshakesMax; n += 1) world.come(`198.51.100.${n % 2}`, 0, n % 2 === 0 ? "TLS" : "WS");
    expect(world.doorkeeper.size).toBe(handshakesMax);
    expect(world.come("203.0.113.5", 1, "TLS").destroyed).toBe(false);
    expect(world.doorkeeper.size).toBe(handshakesMax);
    // A plain connection has none.
    expect(world.come("198.51.100.1", 1, "TCP").destroyed).toBe(false);
  });

  test("nobody stays who does not finish his handshake, or has nothing to say", () => {
    const world = new World(20_000);
    const handshake = world.come("192.0.2.1", 0, "TLS");
    const registered = world.come("192.0.2.1", 0, "WS");
    world.register(registered);
    const came = 5_000;
    const silent = world.come("192.0.2.1", came, "TCP");
    for (const [at, states] of [
      [handshakeMs, [false, false, false]],
      [handshakeMs + 1, [true, false, false]],
      [came + firstMessageMs, [true, false, false]],
      [came + firstMessageMs + 1, [true, true, false]],
    ] as const) {
      world.doorkeeper.sweep(at);
      expect([handshake, silent, registered].map(({ destroyed }) => destroyed)).toEqual(states);
    }
    expect(world.doorkeeper.size).toBe(1);
  });
});

/** Connects from an address and says only this. */
function silentFrom(localAddress: string, port: number, text = ""): Promise<StreamPhone> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", localAddress });
    socket.once("error", reject).once("connect", () => {
      const phone = new StreamPhone(socket);
      if (text !== "") phone.send(text);
      started.add(() => phone.close());
      resolve(phone);
    });
  });
}

const allTransports = ["TCP", "TLS", "WS", "WSS"] as const;
/** What an attacker says at each of them: nothing, or the beginning of a handshake. */
const beginnings = ["", "\x16\x03\x01\x02\x00\x01", "GET / HTTP/1.1\r\nHost: x\r\n"];

/** A phone over each transport, registered. */
async function phonesAt({ ports, ca }: Rig & { ca: string }): Promise<(StreamPhone | WebSocketPhone)[]> {
  const [tcp = 0, tls = 0, ws = 0, wss = 0] = ports;
  const phones = [
    await StreamPhone.tcp(tcp),
    await StreamPhone.tls(tls, ca),
    await WebSocketPhone.open(ws),
    await WebSocketPhone.open(wss, { ca }),
  ];
  for (const phone of phones) {
    started.add(() => phone.close());
    phone.send(requestText("REGISTER", "sip:example.test"));
    await phone.inbox.untilText("200 OK");
  }
  return phones;
}

describe("silent connections at every listener", () => {
  const registered = "SIP/2.0 200 OK\r\nCSeq: 1 REGISTER\r\nContent-Length: 0\r\n\r\n";

  async function rig(connectionsMax: number): Promise<Rig & { ca: string }> {
    const tls = await certificateFor("example.test");
    const limits = { connectionsMax, messagesPerSource: 0, trusted: [] };
    const system = await startRig(
      started,
      allTransports.map((transport) => listenerOf(transport)),
      { config: { tls, limits } },
    );
    system.cell.answer = ({ record }) =>
      record.kind === RecordKind.message ? [{ kind: RecordKind.send, key: record.key, octets: octetsOf(registered) }] : [];
    return { ...system, ca: tls.cert };
  }

  test("fill nothing: phones that are registered stay, and others come while it goes on", { timeout: 60_000 }, async () => {
    const system = await rig(60);
    const { ports, gateway } = system;
    const before = await phonesAt(system);
    for (let n = 0; n < 400; n += 1) {
      await silentFrom(`127.0.0.${2 + (n % 3)}`, ports[n % 4] ?? 0, beginnings[n % 3]).catch(() => {});
      if (n % 100 === 99) await phonesAt(system);
    }
    expect(gateway.doorkeeper.size).toBeLessThanOrEqual(60 + 64);
    expect(gateway.counters.connectionsEvicted).toBeGreaterThan(100);
    expect(before.some(({ inbox }) => inbox.isClosed)).toBe(false);
  });

  test("end after their time, whatever they began, and leave nothing behind", { timeout: 60_000 }, async () => {
    const system = await rig(1_000);
    const { cell, ports, gateway } = system;
    const phones = await phonesAt(system);
    const silent = await Promise.all(
      beginnings.flatMap((text) => ports.flatMap((port) => [silentFrom("127.0.0.2", port, text), silentFrom("127.0.0.3", port, text)])),
    );
    const [, tls = 0] = ports;
    const secure = connectTls({ port: tls, host: "127.0.0.1", ca: system.ca, servername: "example.test" });
    await new Promise((resolve) => secure.once("secureConnect", resolve));
    silent.push(new StreamPhone(secure));
    await cell.until(() => gateway.doorkeeper.size > phones.length, "some of them");
    gateway.doorkeeper.sweep(Date.now() + firstMessageMs + 1);
    for (const phone of silent) await phone.untilClosed();
    await cell.until(() => gateway.doorkeeper.size === phones.length, "their ends");
    expect(gateway.connections.size).toBe(phones.length);
    expect(phones.some(({ inbox }) => inbox.isClosed)).toBe(false);
  });
});

describe("a connection with keep-alives and no message", () => {
  test("[RFC5626 3.5.1] has them answered, and ends when its time for the first message is over", async () => {
    const { cell, ports, gateway } = await startRig(started, [listenerOf("TCP"), listenerOf("WS")]);
    const [tcp = 0, ws = 0] = ports;
    const phones = [await StreamPhone.tcp(tcp), await WebSocketPhone.open(ws)];
    const speaker = await StreamPhone.tcp(tcp);
    for (const phone of [...phones, speaker]) {
      started.add(() => phone.close());
      phone.send("\r\n\r\n");
      await phone.inbox.untilText("\r\n");
    }
    speaker.send(requestText("MESSAGE", "sip:bob@example.test"));
    await cell.until(() => cell.messages().length === 1, "the message");
    expect(gateway.counters.keepAlives).toBe(3);
    gateway.doorkeeper.sweep(steadyNow() + firstMessageMs + 1);
    for (const phone of phones) await phone.untilClosed();
    await cell.until(() => gateway.doorkeeper.size === 1, "their ends");
    expect(speaker.inbox.isClosed).toBe(false);
    speaker.send("\r\n\r\n");
    await cell.until(() => gateway.counters.keepAlives === 4, "a keep-alive of the one that has spoken");
  });
});

async function openAt(port: number): Promise<StreamPhone> {
  const phone = await silentFrom("127.0.0.1", port);
  phone.send(
    "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: sip\r\n\r\n",
  );
  await phone.inbox.untilText("\r\n\r\n");
  return phone;
}

describe("a WebSocket that floods", () => {
  test("with a message in frames of one octet is closed; one in some frames is read", async () => {
    const { cell, ports } = await startRig(started, [listenerOf("WS")]);
    const phone = await openAt(ports[0] ?? 0);
    const text = requestText("INVITE", "sip:bob@example.test");
    const size = Math.ceil(text.length / framesPerMessageMax);
    for (let at = 0; at < text.length; at += size) {
      const part = text.slice(at, at + size);
      const start = (at === 0 ? 0x01 : 0x00) | (at + size >= text.length ? 0x80 : 0);
      phone.send(`${String.fromCharCode(start, 0x80 | part.length)}\0\0\0\0${part}`);
    }
    await cell.until(() => cell.messages().length === 1, "the message");
    phone.send(`\x01\x81\0\0\0\0I${"\x00\x81\0\0\0\0x".repeat(framesPerMessageMax)}`);
    await phone.untilClosed();
    expect(cell.messages()).toEqual([text]);
  });

  test("with pings, and reads no pong, is closed before it fills the memory", async () => {
    const { cell, gateway, ports } = await startRig(started, [listenerOf("WS")]);
    const phone = await openAt(ports[0] ?? 0);
    phone.socket.pause();
    const pings = `\x89\xfd\0\0\0\0${"x".repeat(125)}`.repeat(1_000);
    let sent = 0;
    while (gateway.connections.size > 0) {
      await new Promise<void>((resolve) => void phone.socket.write(Buffer.from(pings, "latin1"), () => resolve()));
      sent += pings.length;
      expect(sent).toBeLessThan(64 * unwrittenOctetsMax);
    }
    await cell.until(() => gateway.doorkeeper.size === 0, "its end");
  });
});
