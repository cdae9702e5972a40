import { afterEach, describe, expect, test } from "vitest";
import { Gateway } from "../../gateway/gateway.ts";
import { delayMs } from "../../actors/gateway/backoff.ts";
import { exchangeQueueNewOctetsMax } from "../../actors/gateway/limits.ts";
import { RecordKind } from "../../cluster/backhaul/frame.ts";
import { FakeCell, mapOf, mirror } from "./fake-cell.ts";
import { Started, configOf, listenerOf, nativeDatagrams, startPair, startRig } from "./harness.ts";
import { UdpPhone } from "./phones.ts";
import { requestText } from "./sip-text.ts";

const started = new Started();
afterEach(() => started.end());

async function udpPhone(): Promise<UdpPhone> {
  const phone = await UdpPhone.open();
  started.add(() => phone.close());
  return phone;
}

function callIdsOf(cell: FakeCell): string[] {
  return cell.messages().map((text) => /Call-ID: (\S+)/.exec(text)?.[1] ?? "");
}

function messageOf(callId: string): string {
  return requestText("MESSAGE", "sip:bob@example.test", { callId });
}

function bigMessage(number: number): string {
  return requestText("MESSAGE", "sip:bob@example.test", { callId: `big-${1000 + number}`, body: "x".repeat(50_000) });
}

describe("backhauls", () => {
  test("to both replicas of every exchange; the first record of each is the hello, the control link says hello too", async () => {
    const { a, b, gateway } = await startPair(started, { exchangeCount: 2 });
    for (const cell of [a, b]) {
      await cell.until(() => cell.ofKind(RecordKind.hello).length === 2 && cell.hellos.length === 1, "hellos");
      const [first] = cell.ofKind(RecordKind.hello);
      const hello = JSON.parse(Buffer.from(first?.record.octets ?? []).toString()) as { boot: string; listeners: unknown };
      expect(first?.record.key).toBe("g1");
      expect(hello.listeners).toEqual(gateway.listeners);
      expect(cell.hellos[0]).toEqual({ type: "hello", name: "g1", ...hello });
    }
  });

  test.each([
    ["many at once", nativeDatagrams()],
    ["one by one", undefined],
  ])("the control link says what the gateway has counted, and how it has its datagrams (%s)", async (_name, native) => {
    const { cell, gateway } = await startRig(started, [listenerOf("UDP")], native === undefined ? { native: "none" } : {});
    const tally = {
      isNative: native !== undefined,
      datagramsLost: 0,
      datagramsDropped: 0,
      datagramsPaced: 0,
      shed: 0,
      noise: 0,
      noisySources: 0,
    };
    await cell.until(() => cell.tallies.length > 0, "the first");
    expect(cell.tallies[0]).toEqual(tally);
    Object.assign(gateway.counters, { datagramsLost: 1, datagramsDropped: 2, datagramsPaced: 3, shed: 4, noise: 5 });
    for (const control of cell.controls) control.close();
    const counted = { ...tally, datagramsLost: 1, datagramsDropped: 2, datagramsPaced: 3, shed: 4, noise: 5 };
    await cell.until(() => cell.tallies.some(({ shed }) => shed === 4), "that of the next link");
    expect(cell.tallies.at(-1)).toEqual(counted);
  });

  test("a message goes to the primary of its exchange, a response to the cell in its token", async () => {
    const { a, b, port } = await startPair(started, { exchangeCount: 2 });
    const phone = await udpPhone();
    // FNV-1a decides which of the two exchanges serves an address-of-record: over many, each serves some.
    for (let i = 0; i < 20; i += 1) phone.send(requestText("MESSAGE", `sip:user${i}@example.test`), port);
    await a.until(() => a.messages().length + b.messages().length === 20, "all");
    expect(new Set(a.ofKind(RecordKind.message).map(({ exchange }) => exchange))).toEqual(new Set([0]));
    expect(new Set(b.ofKind(RecordKind.message).map(({ exchange }) => exchange))).toEqual(new Set([1]));
    phone.send(`SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKtd0.r.l;td=b*f*s\r\nCall-ID: from-b\r\n\r\n`, port);
    await b.until(() => callIdsOf(b).includes("from-b"), "the response");
    expect(b.arrivals.at(-1)?.exchange).toBe(0);
  });

  test("killed and back: what was not acknowledged and what came meanwhile arrives, in order", async () => {
    const { cell, ports } = await startRig(started, [listenerOf("UDP")]);
    const [port = 0] = ports;
    const phone = await udpPhone();
    cell.acknowledges = false;
    for (const callId of ["1", "2"]) phone.send(messageOf(callId), port);
    await cell.until(() => cell.messages().length === 2, "the first two");
    await cell.stop();
    for (const callId of ["3", "4"]) phone.send(messageOf(callId), port);
    cell.arrivals.length = 0;
    cell.acknowledges = true;
    await cell.start();
    await cell.until(() => cell.messages().length === 4, "all four");
    expect(callIdsOf(cell)).toEqual(["1", "2", "3", "4"]);
    expect(cell.arrivals[0]?.record.kind).toBe(RecordKind.hello);
  });

  test("a cell that stays away: held messages are answered 503 with Retry-After, later ones at once, ACKs with silence", async () => {
    const { cell, ports, gateway } = await startRig(started, [listenerOf("UDP")]);
    const [port = 0] = ports;
    const phone = await udpPhone();
    await cell.stop();
    phone.send(messageOf("held"), port);
    phone.send(requestText("ACK", "sip:bob@example.test"), port);
    const begin = performance.now();
    const first = await phone.inbox.untilText("Call-ID: held");
    expect(first).toMatch(/^SIP\/2\.0 503 /);
    expect(first).toContain("Retry-After: 5\r\n");
    expect(first).toMatch(/^To: .*;tag=/m);
    expect(performance.now() - begin).toBeGreaterThan(3_000);
    phone.send(messageOf("late"), port);
    await phone.inbox.untilText("Call-ID: late");
    expect(performance.now() - begin).toBeLessThan(8_000);
    await cell.until(() => gateway.counters.dropped === 1, "the end of the ACK");
    expect(phone.inbox.texts).toHaveLength(2);
    expect(gateway.counters.refused).toBe(2);
  });

  test("over exchangeQueueNewOctetsMax requests are refused with 503, and the rest arrives", async () => {
    const heartbeat = { periodMs: 1_000, missed: 10 };
    const { cell, ports, gateway } = await startRig(started, [listenerOf("UDP")], { map: { heartbeat } });
    const phone = await udpPhone();
    cell.acknowledges = false;
    // Each is another one: a copy of a datagram that is on its way to a cell that is late adds nothing.
    const big = bigMessage(0);
    for (let i = 0; i < 200 && gateway.counters.refused === 0; i += 1) {
      phone.send(bigMessage(i), ports[0] ?? 0);
      await cell.until(() => gateway.counters.messagesIn === i + 1, "the datagram");
    }
    await phone.inbox.untilText("SIP/2.0 503");
    const accepted = gateway.counters.messagesIn - 1;
    // The last one found so much held that it still might come.
    expect((accepted - 1) * big.length).toBeLessThanOrEqual(exchangeQueueNewOctetsMax);
    expect((accepted + 1) * big.length).toBeGreaterThan(exchangeQueueNewOctetsMax);
    await cell.until(() => cell.messages().length === accepted, "what was accepted");
  });

  test("a silent cell is given up after 3 missed pings and connected to again", async () => {
    const { cell, gateway, events } = await startRig(started, [listenerOf("UDP")]);
    cell.pongs = false;
    await cell.until(() => gateway.counters.backhaulFailures === 1, "the failure");
    cell.pongs = true;
    await cell.until(() => cell.backhauls.get(0)?.socket.readyState === 1 && gateway.isReachable, "a new backhaul");
    expect(events).toContain("backhaul-down");
  });

  test("pings that are answered keep an idle backhaul", async () => {
    const { cell, gateway } = await startRig(started, [listenerOf("UDP")], { map: { heartbeat: { periodMs: 20, missed: 2 } } });
    let beats = 0;
    cell.backhauls.get(0)?.socket.on("message", () => {
      beats += 1;
    });
    await cell.until(() => beats > 10, "ten pings");
    expect(gateway.counters.backhaulFailures).toBe(0);
  });

  test("a frame that is none ends the backhaul, and the next one works", async () => {
    const { cell, ports } = await startRig(started, [listenerOf("UDP")]);
    const [before] = cell.backhauls.values();
    before?.socket.send(new Uint8Array([1, 2, 3]));
    await cell.until(() => cell.backhauls.get(0) !== before, "a new backhaul");
    cell.answer = mirror;
    const phone = await udpPhone();
    phone.send(messageOf("after"), ports[0] ?? 0);
    expect(await phone.inbox.untilText("after")).toBe(messageOf("after"));
  });

  test("a refused gateway comes back at once, then with growing pauses", async () => {
    const { cell } = await startRig(started, [listenerOf("UDP")]);
    cell.refusesWith = 401;
    cell.attempts.length = 0;
    for (const { socket } of cell.backhauls.values()) socket.terminate();
    await cell.until(() => cell.attempts.length >= 5, "five attempts");
    const pauses = cell.attempts.slice(1).map((at, i) => at - (cell.attempts[i] ?? 0));
    // 50, 100, 200, 400 ms, each shortened by at most half.
    for (const [i, pause] of pauses.slice(0, 4).entries()) expect(pause).toBeGreaterThan(25 * 2 ** i - 5);
  });

  test("backoff: at once, then doubling to 2 s, shortened by up to half", () => {
    expect([0, 1, 2, 3, 7, 50].map((failures) => delayMs(failures, 0))).toEqual([0, 50, 100, 200, 2000, 2000]);
    expect([0, 1, 2, 50].map((failures) => delayMs(failures, 1))).toEqual([0, 25, 50, 1000]);
  });
});

describe("the cluster map", () => {
  test("a gateway that is up before its cells holds what comes, and delivers it when there is a map", async () => {
    const cell = new FakeCell("a");
    await cell.start();
    const { url } = cell;
    await cell.stop();
    const gateway = new Gateway(configOf([cell], [listenerOf("UDP")]), () => {}, nativeDatagrams());
    await gateway.start();
    started.add(() => gateway.stop());
    const phone = await udpPhone();
    phone.send(messageOf("early"), gateway.listeners[0]?.port ?? 0);
    cell.map = mapOf([cell]);
    await cell.start();
    started.add(() => cell.stop());
    expect(cell.url).toBe(url);
    await cell.until(() => callIdsOf(cell).includes("early"), "the early message");
  });

  test("a new map adds and removes backhauls; those that stay are not touched; an older map is ignored", async () => {
    const { a, b, gateway, port } = await startPair(started, { exchangeCount: 2 });
    const kept = a.backhauls.get(0);
    a.sendMap(mapOf([a, b], { version: 2, exchangeCount: 3 }));
    await a.until(() => a.backhauls.has(2) && b.backhauls.has(2), "the third exchange");
    b.sendMap(mapOf([a, b], { version: 1, exchangeCount: 7 }));
    a.sendMap(mapOf([a, b], { version: 3, exchangeCount: 1 }));
    await a.until(
      () => a.backhauls.get(1)?.socket.readyState === 3 && b.backhauls.get(2)?.socket.readyState === 3,
      "the end of two exchanges",
    );
    expect(a.backhauls.get(0)).toBe(kept);
    expect(kept?.socket.readyState).toBe(1);
    expect(a.backhauls.has(6)).toBe(false);
    const phone = await udpPhone();
    a.answer = mirror;
    for (let i = 0; i < 5; i += 1) phone.send(requestText("MESSAGE", `sip:user${i}@example.test`), port);
    await phone.inbox.until(() => phone.inbox.texts.length === 5, "all on exchange 0");
    expect(gateway.isReachable).toBe(true);
  });

  test("what a removed backhaul had not delivered finds its new place", async () => {
    const { a, b, port } = await startPair(started, { exchangeCount: 2 });
    await b.stop();
    const phone = await udpPhone();
    for (let i = 0; i < 8; i += 1) phone.send(messageTo(i), port);
    await a.until(() => a.messages().length > 0, "those of exchange 0");
    a.sendMap(mapOf([a], { version: 2, exchangeCount: 1 }));
    await a.until(() => a.messages().length === 8, "all eight");
    expect(new Set(callIdsOf(a)).size).toBe(8);
  });

  test.each([
    ["no JSON", "{"],
    ["another type", '{"type":"view"}'],
    ["a map without cells", JSON.stringify({ type: "map", map: { ...mapOf([]), version: 9 } })],
    [
      "a map with too many exchanges",
      JSON.stringify({ type: "map", map: { ...mapOf([new FakeCell("a")]), version: 9, exchangeCount: 1e9 } }),
    ],
  ])("a broken map is refused: %s", async (_name, text) => {
    const { cell, gateway } = await startRig(started, [listenerOf("UDP")]);
    for (const control of cell.controls) control.send(text);
    cell.sendMap(mapOf([cell], { version: 2, exchangeCount: 2 }));
    await cell.until(() => cell.backhauls.has(1), "the good map after it");
    expect(gateway.isReachable).toBe(true);
  });
});

function messageTo(user: number): string {
  return requestText("MESSAGE", `sip:user${user}@example.test`, { callId: `call-${user}` });
}
