import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { RecordKind } from "../../cluster/backhaul/frame.ts";
import { PacedDestination, Pacing } from "../../gateway/connections/pacing.ts";
import { pacedBurst, pacedCountMax, pacedOctetsMax, pacedPerMsMin } from "../../gateway/limits.ts";
import { serializeFlowKey } from "../../sip/flow/flow.ts";
import { octetsOf } from "../../sip/message/octets.ts";
import { Started, listenerOf, startRig, udpSockets } from "./harness.ts";
import { UdpPhone } from "./phones.ts";
import { requestText } from "./sip-text.ts";

type Numbered = { readonly to: number; readonly number: number; readonly octets: Uint8Array };

const octets = new Uint8Array(500);

/** Destinations that are sent to, and what has left for each of them at which time. */
class Paced {
  readonly pacing = new Pacing<Numbered>();
  readonly #destinations: PacedDestination<Numbered>[] = [];
  readonly left: { readonly to: number; readonly number: number; readonly at: number }[] = [];
  #count = 0;

  offer(to: number, count: number, now: number): void {
    this.#destinations[to] ??= new PacedDestination();
    for (let i = 0; i < count; i += 1) {
      const datagram = { to, number: this.#count, octets };
      this.#count += 1;
      if (this.pacing.offer(this.#destinations[to], datagram, now) === "leaves") this.#leave([datagram], now);
    }
  }

  /** A millisecond with nothing new. */
  look(now: number): void {
    this.#leave(this.pacing.due(now), now);
  }

  /** Looks each millisecond until nothing waits; the time then. */
  drain(now: number): number {
    let at = now;
    while (this.pacing.isWaiting && at < now + 60_000) {
      at += 1;
      this.look(at);
    }
    return at;
  }

  to(which: number): { readonly number: number; readonly at: number }[] {
    return this.left.filter(({ to }) => to === which);
  }

  #leave(datagrams: readonly Numbered[], at: number): void {
    for (const { to, number } of datagrams) this.left.push({ to, number, at });
  }
}

/** Most datagrams to one destination within so many milliseconds. */
function mostWithin(ms: number, left: readonly { readonly at: number }[]): number {
  let most = 0;
  for (const { at } of left) most = Math.max(most, left.filter((each) => each.at >= at && each.at < at + ms).length);
  return most;
}

describe("pacing", () => {
  test("a burst from nowhere is spread, so that a socket that nobody reads for five milliseconds holds it", () => {
    const paced = new Paced();
    paced.offer(0, 600, 1_000);
    expect(paced.left).toHaveLength(pacedBurst);
    const end = paced.drain(1_000);
    expect(paced.left).toHaveLength(600);
    expect(mostWithin(5, paced.left)).toBeLessThanOrEqual(80);
    expect(end).toBeLessThanOrEqual(1_000 + 600 / pacedPerMsMin);
  });

  test("at an even rate nothing waits: 6000 a second to one port from the first, and 16 000 after a second of less", () => {
    const paced = new Paced();
    let now = 5_000;
    for (const perMs of [6, 12, 16]) {
      for (const end = now + 2_000; now < end; now += 1) {
        paced.look(now);
        paced.offer(0, perMs, now);
      }
      expect(paced.pacing.isWaiting).toBe(false);
    }
    expect(paced.left).toHaveLength(2_000 * (6 + 12 + 16));
  });

  test("a rate that is new and high waits a while only", () => {
    const paced = new Paced();
    for (let now = 0; now < 3_000; now += 1) {
      paced.look(now);
      paced.offer(0, 24, now);
    }
    const late = paced.left.map(({ number, at }) => at - Math.floor(number / 24));
    expect(Math.max(...late)).toBeLessThanOrEqual(128);
    expect(Math.max(...late.slice(-24))).toBe(0);
  });

  test("the queue of one destination delays no other", () => {
    const paced = new Paced();
    paced.offer(0, 2_000, 0);
    for (let now = 1; now < 50; now += 1) {
      paced.offer(1, 1, now);
      expect(paced.to(1)).toHaveLength(now);
      paced.look(now);
    }
    expect(paced.pacing.isWaiting).toBe(true);
  });

  test("who stood still does not send at once what it could have sent meanwhile", () => {
    const paced = new Paced();
    paced.offer(0, 400, 0);
    paced.look(1_000);
    expect(paced.left.filter(({ at }) => at === 1_000)).toHaveLength(pacedBurst);
  });

  test("what waits for one destination has a bound, and room again when it has left", () => {
    const paced = new Paced();
    paced.offer(0, pacedBurst + pacedCountMax + 100, 0);
    const end = paced.drain(0);
    expect(paced.left).toHaveLength(pacedBurst + pacedCountMax);
    paced.offer(0, pacedBurst + 50, end + 1_000);
    paced.drain(end + 1_000);
    expect(paced.left).toHaveLength(2 * pacedBurst + pacedCountMax + 50);
  });

  test("what waits for all destinations together has a bound in octets", () => {
    const paced = new Paced();
    const full = Math.ceil(pacedOctetsMax / octets.length / pacedCountMax);
    for (let to = 0; to <= full; to += 1) paced.offer(to, pacedBurst + pacedCountMax, 0);
    const waited = paced.pacing.takeAll().length;
    expect(waited).toBe(Math.floor(pacedOctetsMax / octets.length));
    paced.offer(full, 10, 0);
    expect(paced.pacing.takeAll()).toHaveLength(10);
  });

  test("at the end everything leaves", () => {
    const paced = new Paced();
    paced.offer(0, 300, 0);
    paced.offer(1, 200, 0);
    expect(paced.pacing.takeAll().map(({ to }) => to)).toEqual([
      ...Array.from({ length: 300 - pacedBurst }, () => 0),
      ...Array.from({ length: 200 - pacedBurst }, () => 1),
    ]);
    expect(paced.pacing.isWaiting).toBe(false);
  });

  test("whatever comes when, all of it leaves once and in order, and never more than the rate allows", () => {
    const step = fc.record({ to: fc.nat(3), count: fc.nat(300), waitMs: fc.nat(40) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const paced = new Paced();
        let now = 0;
        let offered = 0;
        for (const { to, count, waitMs } of steps) {
          paced.offer(to, count, now);
          offered += count;
          for (const end = now + waitMs; now < end;) {
            now += 1;
            paced.look(now);
          }
        }
        paced.drain(now);
        expect(paced.left).toHaveLength(offered);
        for (const to of [0, 1, 2, 3]) {
          const left = paced.to(to);
          expect(left.map(({ number }) => number)).toEqual(left.map(({ number }) => number).toSorted((a, b) => a - b));
        }
      }),
      { numRuns: 50 },
    );
  });
});

describe.each(udpSockets)("a gateway that sends %s", (_name, sockets) => {
  const started = new Started();
  afterEach(() => started.end());

  test("spreads a frame of 600 answers to one port so that its socket, as Linux makes it, loses none", async () => {
    const { cell, gateway, ports } = await startRig(started, [listenerOf("UDP")], sockets);
    const phone = await UdpPhone.open();
    started.add(() => phone.close());
    const key = serializeFlowKey({ transport: "UDP", listener: 0, connection: "", address: "127.0.0.1", port: phone.port });
    const answers = Array.from({ length: 600 }, (_, i) => `<${i}>${"x".repeat(800)}`);
    // This process reads nothing while it sends: without a pace the socket is full after a hundred.
    cell.answer = () => answers.map((text) => ({ kind: RecordKind.send, key, octets: octetsOf(text) }));
    phone.send(requestText("INVITE", "sip:bob@example.test"), ports[0] ?? 0);
    await phone.inbox.until(() => phone.inbox.texts.length === answers.length, "all answers");
    expect(phone.inbox.texts).toEqual(answers);
    expect(gateway.counters).toMatchObject({ datagramsDropped: 0, undeliverable: 0 });
    expect(gateway.counters.datagramsPaced).toBeGreaterThan(500);
  });
});
