import { afterEach, describe, expect, test } from "vitest";
import { RecordKind } from "../../cluster/backhaul/frame.ts";
import { exchangeQueueNewOctetsMax, flapMs } from "../../actors/gateway/limits.ts";
import { type FakeCell, mapOf, mirror } from "./fake-cell.ts";
import { type PairRig, Started, startPair } from "./harness.ts";
import { UdpPhone } from "./phones.ts";
import { requestText } from "./sip-text.ts";

const started = new Started();
afterEach(() => started.end());

/** Detection of silence takes this at least, and with the last ping's grace and a slow machine not much more. */
const heartbeat = { periodMs: 100, missed: 3 };
const silenceMs = heartbeat.periodMs * heartbeat.missed;

/** What a cell's exchange was told, in order: Call-IDs, and `takeover`. */
function told(cell: FakeCell): string[] {
  const names: string[] = [];
  for (const { record } of cell.arrivals) {
    if (record.kind === RecordKind.takeover) names.push("takeover");
    else if (record.kind === RecordKind.message)
      names.push(/Call-ID: (\S+)/.exec(Buffer.from(record.octets).toString("latin1"))?.[1] ?? "?");
    else if (record.kind === RecordKind.closed || record.kind === RecordKind.undeliverable) names.push(`${record.kind} ${record.key}`);
  }
  return names;
}

function messageOf(callId: string, cell?: string): string {
  const headers = cell === undefined ? "" : `Route: <sip:td1*0*${cell}*t*g1~x*g1~y*s@127.0.0.1;lr>\r\n`;
  return requestText("MESSAGE", "sip:bob@example.test", { callId, headers });
}

class Caller {
  readonly phone: UdpPhone;
  readonly #port: number;
  readonly #rig: PairRig;

  constructor(phone: UdpPhone, rig: PairRig) {
    this.phone = phone;
    this.#port = rig.port;
    this.#rig = rig;
  }

  /** Sends, and waits until the gateway has each: UDP keeps no order otherwise. */
  async send(...texts: string[]): Promise<void> {
    for (const text of texts) {
      const before = this.#rig.gateway.counters.messagesIn;
      this.phone.send(text, this.#port);
      await this.#rig.a.until(() => this.#rig.gateway.counters.messagesIn > before, "the datagram");
    }
  }
}

async function start(map: Parameters<typeof startPair>[1] = {}): Promise<PairRig & { caller: Caller }> {
  const rig = await startPair(started, { heartbeat, ...map });
  const phone = await UdpPhone.open();
  started.add(() => phone.close());
  return { ...rig, caller: new Caller(phone, rig) };
}

/** How the gateway comes to know, and how long that takes at least and at most. */
const faults: readonly [string, (rig: PairRig) => unknown, number][] = [
  ["killed", ({ a }) => a.stop(), 0],
  ["reset", ({ a }) => a.reset(), 0],
  ["frozen", ({ a }) => a.freeze(), silenceMs],
  [
    "hung, while its runtime answers pings",
    ({ a }) => {
      a.acknowledges = false;
    },
    silenceMs,
  ],
];

/** What the primary has been given and not answered when it is lost. */
const moments: readonly [string, (rig: PairRig & { caller: Caller }) => Promise<void>, readonly string[]][] = [
  ["nothing on the way", async () => {}, []],
  [
    "frames unanswered",
    async ({ a, caller }) => {
      a.acknowledges = false;
      await caller.send(messageOf("1"), messageOf("2"));
      await a.until(() => told(a).length === 2, "both");
    },
    ["1", "2"],
  ],
  [
    "the first answered, the others not",
    async ({ a, caller }) => {
      await caller.send(messageOf("0"));
      await a.until(() => a.backhauls.get(0)?.done === 2, "the answer");
      a.acknowledges = false;
      await caller.send(messageOf("1"), messageOf("2"));
      await a.until(() => told(a).length === 3, "all");
    },
    ["1", "2"],
  ],
];

describe.each(faults)("the primary is %s", (_name, fault, detectionMs) => {
  test.each(moments)("with %s: takeover, the unanswered in order, then the new", async (_moment, prepare, unanswered) => {
    const rig = await start();
    const { b, gateway, caller } = rig;
    await prepare(rig);
    const begin = performance.now();
    await fault(rig);
    await caller.send(messageOf("3"), messageOf("4"));
    const expected = ["takeover", ...unanswered, "3", "4"];
    await b.until(() => told(b).length >= expected.length, "everything");
    expect(told(b)).toEqual(expected);
    const switchMs = performance.now() - begin;
    // Unanswered frames were sent a little before the fault.
    expect(switchMs).toBeGreaterThan(detectionMs - heartbeat.periodMs);
    expect(switchMs).toBeLessThan(detectionMs + 900);
    expect(gateway.counters).toMatchObject({ refused: 0, dropped: 0, takeovers: 1 });
  });

  test("then a message with its token goes to the other", async () => {
    const rig = await start();
    await fault(rig);
    await rig.caller.send(messageOf("dialog", "a"), messageOf("other-dialog", "b"));
    await rig.b.until(() => told(rig.b).length === 3, "both");
    expect(new Set(told(rig.b))).toEqual(new Set(["takeover", "dialog", "other-dialog"]));
  });
});

describe("silence", () => {
  test("of the other, not of the primary: the primary takes over, and nothing else changes", async () => {
    const { a, b, caller } = await start();
    b.freeze();
    await caller.send(messageOf("1"), messageOf("2", "b"));
    await a.until(() => told(a).includes("2"), "what b had");
    expect(told(a)).toEqual(["1", "takeover", "2"]);
  });

  test("of pings alone, when no frame is on the way", async () => {
    const { a, b, gateway, events } = await start();
    a.pongs = false;
    const begin = performance.now();
    await b.until(() => told(b).includes("takeover"), "the takeover");
    const ms = performance.now() - begin;
    expect(ms).toBeGreaterThan(silenceMs - heartbeat.periodMs);
    expect(ms).toBeLessThan(silenceMs + 900);
    expect(gateway.counters.backhaulFailures).toBeGreaterThan(0);
    expect(events.find(({ event }) => event === "backhaul-down")?.fields).toMatchObject({ cell: "a", reason: "missed 3 pings" });
  });

  test("two lost heartbeats change nothing", async () => {
    const { a, b, gateway } = await start({ heartbeat: { periodMs: 250, missed: 3 } });
    let pings = 0;
    a.pongs = false;
    a.backhauls.get(0)?.socket.on("message", () => {
      pings += 1;
      if (pings === 2) a.pongs = true;
    });
    await a.until(() => pings >= 6, "six pings");
    expect(gateway.counters.backhaulFailures).toBe(0);
    expect(told(b)).toEqual([]);
  });

  test("a new map changes the heartbeat while it runs", async () => {
    const { a, b, caller } = await start({ heartbeat: { periodMs: 60_000, missed: 3 } });
    a.acknowledges = false;
    await caller.send(messageOf("1"));
    await a.until(() => told(a).length === 1, "the message");
    a.sendMap(mapOf([a, b], { version: 2, heartbeat }));
    await b.until(() => told(b).length === 2, "the switch");
    expect(told(b)).toEqual(["takeover", "1"]);
  });

  test("a cell that is frozen before the hello is not used, and not missed", async () => {
    const { a, b, gateway, caller } = await start();
    await a.stop();
    await a.start();
    a.freeze();
    await b.until(() => a.attempts.length > 2, "an attempt");
    await caller.send(messageOf("1"));
    await b.until(() => told(b).includes("1"), "the message");
    a.thaw();
    await a.until(() => gateway.routeOf(0) === "a", "the return");
    expect(told(b)).toEqual(["takeover", "1"]);
  });

  test("a cell that was frozen gets nothing late: its connections end with a reset when it wakes", async () => {
    const { a, b, gateway, caller } = await start();
    const [backhaul] = a.backhauls.values();
    let closedWith = 0;
    backhaul?.socket.on("close", (code: number) => {
      closedWith = code;
    });
    a.freeze();
    await caller.send(messageOf("1"));
    await b.until(() => told(b).includes("1"), "the switch");
    const before = told(a).length;
    await caller.send(messageOf("2"));
    await b.until(() => told(b).includes("2"), "the next");
    a.thaw();
    await a.until(() => gateway.routeOf(0) === "a", "the return");
    await a.until(() => closedWith !== 0, "the end of the old connection");
    expect(closedWith).toBe(1006);
    // At most what its kernel already had.
    expect(told(a).slice(before)).not.toContain("2");
    await caller.send(messageOf("3"));
    await a.until(() => told(a).includes("3"), "the primary serves again");
    expect(told(b)).toEqual(["takeover", "1", "2"]);
  });
});

describe("return to the primary", () => {
  test("when it serves again, not when it is connected; the other's dialogs stay with the other", async () => {
    const { a, b, gateway, caller } = await start();
    await a.stop();
    await b.until(() => gateway.routeOf(0) === "b", "the switch");
    a.serving = false;
    await a.start();
    await a.until(() => a.ofKind(RecordKind.hello).length === 2, "the second hello");
    await caller.send(messageOf("while-syncing"));
    await b.until(() => told(b).includes("while-syncing"), "at the other");
    const begin = performance.now();
    a.say(true);
    await a.until(() => gateway.routeOf(0) === "a", "the return");
    await caller.send(messageOf("new"), messageOf("dialog", "b"), messageOf("old-dialog", "a"));
    await a.until(() => told(a).length === 2 && told(b).includes("dialog"), "all");
    expect(performance.now() - begin).toBeLessThan(heartbeat.periodMs + 900);
    expect(told(a)).toEqual(["new", "old-dialog"]);
    expect(told(b)).toEqual(["takeover", "while-syncing", "dialog"]);
  });

  test("under load: every message once, nothing refused, and the order is kept", async () => {
    const { a, b, gateway, caller } = await start();
    const sent: string[] = [];
    const some = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i += 1) {
        sent.push(`m${sent.length}`);
        await caller.send(messageOf(sent.at(-1) ?? ""));
      }
    };
    await some(50);
    await a.stop();
    await some(50);
    await a.start();
    for (let i = 0; i < 200 && gateway.routeOf(0) !== "a"; i += 1) await some(10);
    await some(50);
    await a.until(() => told(a).includes(sent.at(-1) ?? ""), "the last");
    const all = [...told(a), ...told(b)].filter((name) => name !== "takeover");
    expect(new Set(all)).toEqual(new Set(sent));
    expect(gateway.counters.refused).toBe(0);
    const atB = told(b).filter((name) => name !== "takeover");
    // The last that a answered may not have been known here: it came to b as well.
    const twice = told(a).filter((name) => atB.includes(name));
    expect(twice.length).toBeLessThanOrEqual(2);
    for (const names of [told(a), atB]) {
      const indexes = names.map((name) => sent.indexOf(name));
      expect(indexes).toEqual(indexes.toSorted((left, right) => left - right));
      expect(new Set(indexes).size).toBe(indexes.length);
    }
  });

  test("one that comes and goes is used when it was stable for a period, and the phones notice nothing", async () => {
    const { a, b, gateway, caller } = await start({ heartbeat: { periodMs: 600, missed: 3 } });
    b.answer = mirror;
    a.answer = mirror;
    for (let i = 0; i < 5; i += 1) {
      const before = a.ofKind(RecordKind.hello).length;
      a.reset();
      await a.until(() => a.ofKind(RecordKind.hello).length > before, "a new backhaul");
      await caller.send(messageOf(`flap${i}`));
      await caller.phone.inbox.untilText(`flap${i}`);
    }
    const stableFrom = performance.now();
    expect(gateway.routeOf(0)).toBe("b");
    expect(told(a)).toEqual([]);
    await a.until(() => gateway.routeOf(0) === "a", "the return");
    expect(performance.now() - stableFrom).toBeGreaterThan(400);
    expect(flapMs).toBeGreaterThan(600);
    expect(gateway.counters.refused).toBe(0);
  });
});

describe("neither", () => {
  test("both down, then one up: what was held and unanswered arrives there, behind a takeover", async () => {
    for (const first of ["a", "b"] as const) {
      const { a, b, gateway, caller } = await start();
      const cells = { a, b };
      a.acknowledges = false;
      await caller.send(messageOf("1"));
      await a.until(() => told(a).length === 1, "the first");
      await Promise.all([a.stop(), b.stop()]);
      await caller.send(messageOf("2"), messageOf("3", "b"));
      for (const cell of [a, b]) {
        cell.arrivals.length = 0;
        cell.acknowledges = true;
      }
      await cells[first].start();
      await cells[first].until(() => told(cells[first]).length >= 3, "all");
      expect(told(cells[first]).filter((name) => name !== "takeover")).toEqual(["1", "2", "3"]);
      expect(told(cells[first])[0]).toBe("takeover");
      expect(gateway.counters.refused).toBe(0);
      await started.end();
    }
  });

  test("both connected, neither serves: held, and delivered when one does", async () => {
    const { a, b, gateway, caller } = await start();
    for (const cell of [a, b]) cell.say(false);
    await a.until(() => gateway.routeOf(0) === undefined, "nobody");
    await caller.send(messageOf("1"));
    expect(gateway.isReachable).toBe(false);
    b.say(true);
    await b.until(() => told(b).length === 1, "the message");
    // Both live: there is nothing to take over.
    expect([told(a), told(b)]).toEqual([[], ["1"]]);
  });

  test("for too long: 503 with Retry-After for requests, at once for later ones, and service when one is back", async () => {
    const { a, b, gateway, caller } = await start();
    for (const cell of [a, b]) cell.say(false);
    await a.until(() => gateway.routeOf(0) === undefined, "nobody");
    await caller.send(messageOf("held"), requestText("ACK", "sip:bob@example.test"));
    const refusal = await caller.phone.inbox.untilText("Call-ID: held");
    expect(refusal).toMatch(/^SIP\/2\.0 503 /);
    expect(refusal).toContain("Retry-After: 5\r\n");
    await caller.send(messageOf("late"));
    await caller.phone.inbox.untilText("Call-ID: late");
    await a.until(() => gateway.counters.dropped === 1, "the end of the ACK");
    expect(gateway.counters.refused).toBe(2);
    b.say(true);
    await caller.send(messageOf("again"));
    await b.until(() => told(b).includes("again"), "service");
    expect([told(a), told(b)]).toEqual([[], ["again"]]);
  });

  test("memory is bounded: over exchangeQueueNewOctetsMax requests are refused, and the rest arrives when one is back", async () => {
    const { a, b, gateway, caller } = await start({ heartbeat: { periodMs: 1_000, missed: 10 } });
    for (const cell of [a, b]) cell.say(false);
    await a.until(() => gateway.routeOf(0) === undefined, "nobody");
    // Each is another one: a datagram that repeats a held one is not held as well.
    let sent = 0;
    const big = (): string => {
      sent += 1;
      return requestText("MESSAGE", "sip:bob@example.test", { callId: `big-${1000 + sent}`, body: "x".repeat(60_000) });
    };
    const { length } = big();
    while (gateway.counters.refused === 0) await caller.send(big());
    const accepted = gateway.counters.messagesIn - 1;
    // The last one found so much held that it still might come.
    expect((accepted - 1) * length).toBeLessThanOrEqual(exchangeQueueNewOctetsMax);
    expect((accepted + 1) * length).toBeGreaterThan(exchangeQueueNewOctetsMax);
    a.say(true);
    await a.until(() => a.messages().length === accepted, "what was accepted");
    expect(gateway.counters.refused).toBe(1);
  });
});

describe("views", () => {
  test("a cell declared down that is silent is left at once, though its sockets look open", async () => {
    const { a, b, caller, events } = await start({ heartbeat: { periodMs: 60_000, missed: 3 } });
    await caller.send(messageOf("0"));
    await a.until(() => told(a).length === 1, "the first");
    a.freeze();
    await caller.send(messageOf("1"));
    const begin = performance.now();
    b.sendView({ a: "down", b: "up" });
    await b.until(() => told(b).length === 2, "the switch");
    expect(performance.now() - begin).toBeLessThan(1_200);
    expect(told(b)).toEqual(["takeover", "1"]);
    expect(events.find(({ event }) => event === "backhaul-down")?.fields).toMatchObject({ reason: "declared down by cell b, and silent" });
  });

  test("a cut between the cells: each declares the other down, both answer here, nobody is left", async () => {
    const { a, b, gateway, caller, events } = await start();
    a.sendView({ a: "up", b: "down" });
    b.sendView({ a: "down", b: "up" });
    await a.until(() => events.filter(({ event }) => event === "view").length === 2, "the views");
    let pings = 0;
    for (const cell of [a, b]) cell.backhauls.get(0)?.socket.on("message", () => (pings += 1));
    await a.until(() => pings > 10, "more pings than a doubt lasts");
    await caller.send(messageOf("1"), messageOf("2", "b"));
    await a.until(() => told(a).length + told(b).length === 2, "both");
    expect([told(a), told(b)]).toEqual([["1"], ["2"]]);
    expect(gateway.counters).toMatchObject({ backhaulFailures: 0, takeovers: 0 });
  });

  test("a cell that is up again is connected to at once, whatever the backoff", async () => {
    const { a, b, gateway, events } = await start();
    await a.stop();
    b.sendView({ a: "down", b: "up" });
    // Refused until the pauses are long.
    await b.until(() => events.filter(({ event }) => event === "view").length === 1, "the view");
    await a.start();
    b.sendView({ a: "up", b: "up" }, 3);
    const begin = performance.now();
    await a.until(() => gateway.routeOf(0) === "a", "the return");
    expect(performance.now() - begin).toBeLessThan(heartbeat.periodMs + 900);
  });

  test("a cell out of service that starts anew is given nothing new until it says that it is up", async () => {
    const { a, b, gateway, caller, events } = await start();
    const views = (count: number) => a.until(() => events.filter(({ event }) => event === "view").length === count, "the view");
    a.sendView({ a: "draining", b: "up" });
    await views(1);
    expect(gateway.routeOf(0)).toBe("b");
    await a.stop();
    await a.start();
    await a.until(() => a.controls.size > 0 && a.backhauls.has(0), "the connections to the new process");
    a.sendView({ a: "joining", b: "up" }, 3);
    await views(2);
    const stands = "standing";
    for (let tries = 0; !told(a).includes(stands); tries += 1) {
      const before = told(a).length + told(b).length;
      await caller.send(messageOf(stands, "a"));
      await a.until(() => told(a).length + told(b).length > before, "the message at one of the cells");
      expect(tries).toBeLessThan(10_000);
    }
    await caller.send(messageOf("new"));
    await a.until(() => told(a).includes("new") || told(b).includes("new"), "the new message");
    expect(told(a)).not.toContain("new");
    a.sendView({ a: "up", b: "up" }, 4);
    await a.until(() => gateway.routeOf(0) === "a", "the return");
  });

  test.each([
    ["no cells", { epoch: 3 }],
    ["a cell without a state", { epoch: 3, cells: [{ id: "a" }] }],
    ["no object", 7],
    ["an older epoch", { epoch: 1, cells: [{ id: "a", state: "down" }] }],
  ])("a broken or old view is ignored: %s", async (_name, view) => {
    const { a, b, gateway, events } = await start();
    b.sendView({ a: "up", b: "up" }, 2);
    await b.until(() => events.some(({ event }) => event === "view"), "the good one");
    a.pongs = false;
    for (const control of b.controls) control.send(JSON.stringify({ type: "view", view }));
    for (const control of b.controls) control.send(JSON.stringify({ type: "view", view: { epoch: 4, cells: [] } }));
    await b.until(() => events.filter(({ event }) => event === "view").length === 2, "the next good one");
    expect(gateway.counters.backhaulFailures).toBe(0);
    expect(a.backhauls.size).toBe(1);
  });
});

describe("what is no message", () => {
  test("the end of a connection and what could not be delivered are told to the other when the one that had them is lost", async () => {
    const { a, b, gateway } = await start();
    a.backhauls.get(0)?.send([{ kind: RecordKind.send, key: "t0.gone.7f00000113c4", octets: Buffer.from("BYE") }]);
    await a.until(() => told(a).length === 1, "undeliverable");
    a.acknowledges = false;
    a.backhauls.get(0)?.send([{ kind: RecordKind.send, key: "t0.gone.7f00000113c5", octets: Buffer.from("BYE") }]);
    await b.until(() => told(b).length === 2, "the switch");
    expect(told(b)).toEqual(["takeover", `${RecordKind.undeliverable} t0.gone.7f00000113c5`]);
    expect(gateway.counters.undeliverable).toBe(2);
  });
});
