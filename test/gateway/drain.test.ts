import { afterEach, describe, expect, test, vi } from "vitest";
import { until } from "../../kit/world/until.ts";
import { ConnectionDrain } from "../../gateway/connections/drain.ts";
import type { Connection } from "../../gateway/connections/connection.ts";
import { drainLateMs, drainPortionFirst, drainPortionMax, drainStepMs } from "../../actors/limits.ts";
import { drainMsMax, drainPatienceMs, drainQuietMs } from "../../gateway/limits.ts";
import { mapOf } from "./fake-cell.ts";
import { Started, listenerOf, startRig } from "./harness.ts";
import { StreamPhone, UdpPhone, WebSocketPhone } from "./phones.ts";
import { requestText } from "./sip-text.ts";

const started = new Started();
afterEach(() => started.end());

describe("a gateway that is drained", () => {
  test("says 503 with Retry-After to OPTIONS, keeps what it has, and serves who still comes", async () => {
    const { cell, gateway, ports } = await startRig(started, [listenerOf("UDP"), listenerOf("TCP"), listenerOf("WS")]);
    const [udpPort = 0, tcpPort = 0, wsPort = 0] = ports;
    const udp = await UdpPhone.open();
    const before = await StreamPhone.tcp(tcpPort);
    const webSocket = await WebSocketPhone.open(wsPort);
    for (const phone of [udp, before, webSocket]) started.add(() => phone.close());
    await cell.until(() => gateway.connections.size === 2, "both connections");
    const map = mapOf([cell]);
    cell.sendMap({ ...map, version: map.version + 1, drainingGateways: [{ id: "g1" }] });
    const options = requestText("OPTIONS", "sip:example.test");
    await until(() => {
      udp.send(options, udpPort);
      return udp.inbox.texts.some((text) => /^SIP\/2\.0 503 [^]*\r\nRetry-After: 5\r\n/.test(text));
    });
    before.send(requestText("OPTIONS", "sip:example.test", { via: "SIP/2.0/TCP 192.0.2.9;branch=z9hG4bK2" }));
    expect(await before.inbox.untilText("\r\n\r\n")).toMatch(/^SIP\/2\.0 503 /);
    const late = await StreamPhone.tcp(tcpPort);
    started.add(() => late.close());
    for (const [index, phone] of [before, webSocket, late].entries()) {
      phone.send(requestText("REGISTER", "sip:example.test", { callId: `still-${index}` }));
    }
    udp.send(requestText("INVITE", "sip:bob@example.test", { callId: "still-udp" }), udpPort);
    await cell.until(() => cell.messages().length === 4, "what phones say meanwhile");
    expect([before, webSocket, late].some(({ inbox }) => inbox.isClosed)).toBe(false);
    expect(cell.tallies.at(-1)).not.toHaveProperty("connectionsLeft", 0);
    cell.sendMap({ ...map, version: map.version + 2 });
    await until(() => {
      udp.send(options, udpPort);
      return udp.inbox.texts.at(-1)?.startsWith("SIP/2.0 200 ") === true;
    });
  });

  test("closes what it has after the deadline, and not who comes back", { timeout: 20_000 }, async () => {
    const { cell, gateway, ports } = await startRig(started, [listenerOf("TCP"), listenerOf("WS")]);
    const [tcpPort = 0, wsPort = 0] = ports;
    const phones = [await StreamPhone.tcp(tcpPort), await WebSocketPhone.open(wsPort)];
    for (const phone of phones) {
      started.add(() => phone.close());
      // Who says nothing is closed for that.
      phone.send(requestText("MESSAGE", "sip:bob@example.test"));
    }
    await cell.until(() => cell.messages().length === 2, "both");
    const map = mapOf([cell]);
    cell.sendMap({ ...map, version: map.version + 1, drainingGateways: [{ id: "g1", closeAt: Date.now() }] });
    await until(() => phones.every(({ inbox }) => inbox.isClosed));
    expect(phones[1]).toHaveProperty("closing", "1012 this gateway is taken out of service: connect to another one");
    await cell.until(() => cell.tallies.at(-1)?.connectionsLeft === 0, "that none is left");
    const back = await StreamPhone.tcp(tcpPort);
    started.add(() => back.close());
    back.send(requestText("MESSAGE", "sip:bob@example.test"));
    await cell.until(() => cell.messages().length === 3, "the one that came back");
    expect(gateway.connections.size).toBe(1);
  });
});

/** A connection, as far as the drain looks at it. */
class FakeConnection {
  activeAt = performance.now();
  isOpen = true;
  close(): void {
    this.isOpen = false;
  }
}

function made(count: number): FakeConnection[] {
  return Array.from({ length: count }, () => new FakeConnection());
}

/** `lateMs`: how late exchanges are. */
function drainOf(all: readonly FakeConnection[], lateMs: () => number | undefined = () => undefined): ConnectionDrain {
  const accepted = (): Connection[] => all.filter(({ isOpen }) => isOpen) as unknown as Connection[];
  const has = (connection: Connection): boolean => (connection as unknown as FakeConnection).isOpen;
  return new ConnectionDrain({ accepted, has }, lateMs, () => performance.now());
}

/** Their phones say something all the time. */
function talk(phones: readonly FakeConnection[]): void {
  const timer = setInterval(() => {
    for (const each of phones) each.activeAt = performance.now();
  }, 1_000);
  started.add(() => clearInterval(timer));
}

function openOf(all: readonly FakeConnection[]): number {
  return all.filter(({ isOpen }) => isOpen).length;
}

describe("connections that are to go elsewhere", () => {
  test("go a few at first and more with each step, quiet ones first, and all in the end", () => {
    vi.useFakeTimers();
    started.add(() => vi.useRealTimers());
    const quiet = made(150);
    vi.advanceTimersByTime(drainQuietMs);
    const talking = made(5);
    talk(talking);
    const all = [...talking, ...quiet];
    const drain = drainOf(all);
    drain.set(60_000);
    vi.advanceTimersByTime(59_999);
    expect(openOf(all)).toBe(all.length);
    vi.advanceTimersByTime(1);
    expect(openOf(quiet)).toBe(150 - drainPortionFirst);
    vi.advanceTimersByTime(10 * drainStepMs);
    expect([openOf(quiet), openOf(talking)]).toEqual([0, 5]);
    const later = made(1);
    all.push(...later);
    vi.advanceTimersByTime(drainPatienceMs);
    expect([openOf(talking), openOf(later)]).toEqual([0, 1]);
  });

  test("go slowly where exchanges are late, and by more again when they are in time", () => {
    vi.useFakeTimers();
    started.add(() => vi.useRealTimers());
    let lateMs = drainLateMs + 1;
    const all = made(100);
    vi.advanceTimersByTime(drainQuietMs);
    drainOf(all, () => lateMs).set(0);
    vi.advanceTimersByTime(4 * drainStepMs);
    const before = openOf(all);
    vi.advanceTimersByTime(5 * drainStepMs);
    expect(before - openOf(all)).toBe(5);
    lateMs = 0;
    vi.advanceTimersByTime(15 * drainStepMs);
    expect(openOf(all)).toBe(0);
  });

  test("have a longest time in all, where they are never quiet and keep exchanges late", () => {
    vi.useFakeTimers();
    started.add(() => vi.useRealTimers());
    const all = made(3_000);
    talk(all);
    drainOf(all, () => 10_000).set(0);
    let most = 0;
    for (let passed = 0; passed < drainMsMax; passed += drainStepMs) {
      const before = openOf(all);
      vi.advanceTimersByTime(drainStepMs);
      most = Math.max(most, before - openOf(all));
    }
    expect(openOf(all)).toBe(0);
    expect(most).toBeLessThanOrEqual(drainPortionMax);
  });

  test("stay where the gateway is taken back, or has no deadline", () => {
    vi.useFakeTimers();
    started.add(() => vi.useRealTimers());
    const all = made(150);
    vi.advanceTimersByTime(drainQuietMs);
    const drain = drainOf(all);
    drain.set("never");
    vi.advanceTimersByTime(drainPatienceMs);
    drain.set(1_000);
    vi.advanceTimersByTime(1_000);
    drain.set(undefined);
    vi.advanceTimersByTime(drainPatienceMs);
    expect(openOf(all)).toBe(150 - drainPortionFirst);
    expect(vi.getTimerCount()).toBe(0);
  });
});
