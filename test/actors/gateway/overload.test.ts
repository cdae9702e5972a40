import { describe, expect, it } from "vitest";
import type { CellConnectionEvents } from "../../../actors/gateway/cell-link.ts";
import { GatewayActor } from "../../../actors/gateway/gateway-actor.ts";
import { lateKnownMs } from "../../../actors/limits.ts";
import { decodeFrame, encodeFrame, isFrameError, RecordKind, type FrameRecord } from "../../../cluster/backhaul/frame.ts";
import { noisyAtOnce, noisyPerSecond, noisyPerSourceMin, shedColdMs } from "../../../cluster/limits.ts";
import type { ClusterMap } from "../../../cluster/map/cluster-map.ts";
import { newCounters } from "../../../gateway/counters.ts";
import { retryAfterSeconds, retrySpreadSeconds } from "../../../sip/limits.ts";
import { octetsOf, stringOf } from "../../../sip/message/octets.ts";
import { VirtualTime } from "../virtual-time.ts";

const map: ClusterMap = {
  version: 1,
  cells: [{ id: "a", url: "http://127.0.0.1:8801" }],
  exchangeCount: 1,
  lineCount: 1,
  domains: [{ name: "example.test", auth: "digest" }],
  aliases: [],
  heartbeat: { periodMs: 1_000, missed: 3 },
  replication: { ackTimeoutMs: 200 },
  flushMs: 1_000,
};
const flow = "u0..c6336407138e";

function request(method: string, call: string, toTag = ""): Uint8Array {
  return octetsOf(
    `${method} sip:bob@example.test SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7:5006;branch=z9hG4bK${call};rport\r\nMax-Forwards: 70\r\n` +
      `From: <sip:alice@example.test>;tag=1\r\nTo: <sip:bob@example.test>${toTag}\r\nCall-ID: ${call}\r\nCSeq: 1 ${method === "ACK" ? "INVITE" : method}\r\n` +
      `User-Agent: a phone that says as much as phones say, so that any answer is paid for by its request\r\n\r\n`,
  );
}

/** Of another source each. */
function anotherFlow(index: number): string {
  return `u0..0a${index.toString(16).padStart(6, "0")}138e`;
}

/** A gateway with one cell, which acknowledges each frame so many ms after it came. */
class Rig {
  readonly time = new VirtualTime();
  readonly counters = newCounters();
  readonly sent: string[] = [];
  /** First words of what the cell was brought. */
  readonly brought: string[] = [];
  readonly logged: string[] = [];
  /** What cells were told on the control links. */
  readonly told: string[] = [];
  readonly urgent: boolean[] = [];
  lateMs = 5;
  /** The cell's process stands still: not even its runtime answers. */
  isFrozen = false;
  /** How long datagrams wait in the gateway's own socket. */
  inputDelayMs = 0;
  #control: CellConnectionEvents | undefined;
  #backhaul: CellConnectionEvents | undefined;
  #turn: (() => void)[] = [];
  #seq = 0;
  #calls = 0;
  readonly actor: GatewayActor;

  constructor(trusted: readonly string[] = []) {
    const listeners = [{ transport: "UDP", host: "192.0.2.1", port: 5060 }] as const;
    this.actor = new GatewayActor(
      { name: "g1", boot: "1", listeners, cells: map.cells, counters: this.counters, trusted: new Set(trusted) },
      {
        now: () => this.time.now,
        wallAt: (moment: number) => moment,
        timer: (run) => this.time.timer(run),
        afterThisTurn: (run) => void this.#turn.push(run),
        random: () => 0,
        connect: ({ exchange }, events) => {
          if (exchange === "control") this.#control = events;
          else this.#backhaul = events;
          return { send: (data) => this.#took(data, events), close: () => undefined, cut: () => undefined };
        },
        log: (event, details = {}) =>
          void (/^(?:overload|noise)/.test(event) && this.logged.push(`${event} ${Object.keys(details).join(" ")}`)),
        send: (_flowKey, octets) => void this.sent.push(stringOf(octets)),
        close: () => undefined,
        resolve: (_uri, found) => found([]),
        isClusterMap: (value): value is ClusterMap => value !== undefined,
        looked: () => undefined,
        inputDelayMs: () => this.inputDelayMs,
        setUrgent: (isUrgent) => void this.urgent.push(isUrgent),
      },
    );
    this.#control?.opened();
    this.#control?.text(JSON.stringify({ type: "map", map }));
    this.#backhaul?.opened();
    this.#answer(1, { kind: RecordKind.serving, key: "1", octets: new Uint8Array(0) });
  }

  says(octets: Uint8Array, on = flow): void {
    this.actor.receive(on, octets, undefined);
    this.#runTurn();
  }

  /** The cell has a message sent. */
  sends(key: string, octets: Uint8Array): void {
    this.#answer(0, { kind: RecordKind.send, key, octets });
    this.sent.length = 0;
  }

  /** New calls for some time, 50 a second. */
  calls(ms: number): void {
    for (let passed = 0; passed < ms; passed += 20) {
      this.#calls += 1;
      this.says(request("INVITE", `call${this.#calls}`));
      this.time.pass(20);
      this.#runTurn();
    }
  }

  #runTurn(): void {
    for (const run of this.#turn.splice(0)) run();
  }

  #answer(ack: number, ...records: FrameRecord[]): void {
    if (records.length > 0) this.#seq += 1;
    this.#backhaul?.binary(encodeFrame(records.length > 0 ? this.#seq : 0, ack, records));
    this.#runTurn();
  }

  #took(data: Uint8Array | string, events: CellConnectionEvents): void {
    if (this.isFrozen) return;
    if (data === "ping") return events.text("pong");
    if (typeof data === "string") return void this.told.push(data);
    const frame = decodeFrame(data);
    if (isFrameError(frame)) throw new Error(frame.frameError);
    for (const { kind, octets } of frame.records)
      if (kind === RecordKind.message) this.brought.push(stringOf(octets).split("\r\n", 1)[0] ?? "");
    if (frame.seq > 1) this.time.timer(() => this.#answer(frame.seq)).set(this.lateMs);
  }
}

describe("a gateway whose cell is late", () => {
  it("[RFC3261 21.5.4] refuses new calls with 503, each to come back at another time, and says so once", () => {
    const rig = new Rig();
    rig.calls(shedColdMs);
    expect([rig.counters.shed, rig.sent]).toEqual([0, []]);
    rig.lateMs = 700;
    rig.calls(8_000);
    expect(rig.counters.shed).toBeGreaterThan(100);
    expect(rig.counters.refused).toBe(rig.counters.shed);
    expect(rig.sent.every((text) => text.startsWith("SIP/2.0 503 "))).toBe(true);
    const seconds = rig.sent.map((text) => Number(/Retry-After: (\d+)/.exec(text)?.[1]));
    expect(Math.min(...seconds)).toBeGreaterThanOrEqual(retryAfterSeconds);
    expect(Math.max(...seconds)).toBeLessThanOrEqual(retryAfterSeconds + retrySpreadSeconds);
    expect(new Set(seconds).size).toBeGreaterThan(retrySpreadSeconds / 2);
    expect(rig.logged).toEqual(["overload exchange lateMs share"]);
    rig.lateMs = 5;
    rig.calls(6_000);
    expect(rig.logged).toEqual(["overload exchange lateMs share", "overload-over exchange refused"]);
    expect(rig.urgent).toEqual([true, false]);
  });

  it("knows how late, as long as it was so a moment ago: its connections are sent elsewhere by that", () => {
    const rig = new Rig();
    rig.calls(1_000);
    expect(rig.actor.lateMs(rig.time.now)).toBeLessThan(100);
    rig.lateMs = 400;
    rig.calls(2_000);
    expect(rig.actor.lateMs(rig.time.now)).toBeGreaterThan(300);
    rig.time.pass(1_000 + lateKnownMs);
    expect(rig.actor.lateMs(rig.time.now) ?? 0).toBe(0);
  });

  it("tells its cells with each beat, and once when it is over", () => {
    const rig = new Rig();
    rig.calls(shedColdMs);
    rig.lateMs = 700;
    rig.calls(8_000);
    rig.lateMs = 5;
    rig.calls(8_000);
    const shares = rig.told.map((text) => JSON.parse(text)).flatMap(({ type, refused }) => (type === "load" ? [refused] : []));
    expect(shares.length).toBeGreaterThan(5);
    expect(shares.slice(0, -1).some((share) => share > 0.5)).toBe(true);
    expect(shares.at(-1)).toBe(0);
  });

  it("keeps the ACKs of its own refusals, and brings those of others", () => {
    const rig = new Rig();
    rig.calls(shedColdMs);
    rig.lateMs = 700;
    rig.calls(8_000);
    const tag = /^To:.*;tag=(\S+)/m.exec(rig.sent.at(-1) ?? "")?.[1];
    rig.says(request("ACK", "mine", `;tag=${tag}`));
    rig.says(request("ACK", "others", ";tag=another"));
    rig.time.pass(1_000);
    expect(rig.brought.filter((line) => line.startsWith("ACK "))).toHaveLength(1);
  });

  it("brings the end of a call, and all of a source that is trusted", () => {
    const rig = new Rig(["c6336407"]);
    rig.calls(shedColdMs);
    rig.lateMs = 700;
    rig.calls(8_000);
    expect(rig.counters.shed).toBe(0);
    const other = new Rig();
    other.calls(shedColdMs);
    other.lateMs = 700;
    other.calls(8_000);
    for (let index = 0; index < 100; index += 1) other.says(request("BYE", `bye${index}`, ";tag=2"));
    other.time.pass(3_000);
    expect(other.brought.filter((line) => line.startsWith("BYE "))).toHaveLength(100);
  });
});

describe("a queue that is nearly full", () => {
  it("has room for what goes on, most of all where a call is known: new calls are refused before", () => {
    const rig = new Rig();
    const proved = "u0..c6336408138e";
    rig.sends(proved, request("INVITE", "called"));
    rig.isFrozen = true;
    for (let index = 0; index < 25_000; index += 1) rig.says(request("INVITE", `new${index}`), anotherFlow(index % 5_000));
    const refused = rig.counters.refused;
    expect([refused > 100, rig.counters.dropped]).toEqual([true, 0]);
    for (let index = 0; index < 100; index += 1) rig.says(request("BYE", `bye${index}`, ";tag=2"));
    expect([rig.counters.refused, rig.counters.dropped]).toEqual([refused, 0]);
    for (let index = 0; index < 5_000; index += 1) rig.says(request("BYE", `flood${index}`, ";tag=2"));
    const dropped = rig.counters.dropped;
    expect([rig.counters.refused, dropped > 100]).toEqual([refused, true]);
    for (let index = 0; index < 100; index += 1) rig.says(request("BYE", `proved${index}`, ";tag=2"), proved);
    expect([rig.counters.refused, rig.counters.dropped]).toEqual([refused, dropped]);
  });
});

describe("a source that asks for much and gets nothing", () => {
  it("is cut down before anything is late, and others are not", () => {
    const rig = new Rig();
    for (let index = 0; index < 10_000; index += 1) {
      rig.says(request("INVITE", `flood${index}`));
      if (index % 5 === 4) rig.time.pass(1);
    }
    const flooded = rig.brought.length;
    expect(flooded).toBeGreaterThan(2 * noisyPerSecond);
    expect(flooded).toBeLessThan(noisyAtOnce + 6 * noisyPerSecond);
    for (let index = 0; index < noisyPerSourceMin; index += 1) rig.says(request("INVITE", `other${index}`), anotherFlow(1));
    rig.time.pass(100);
    expect(rig.brought).toHaveLength(flooded + noisyPerSourceMin);
    expect(rig.logged).toEqual(["noise refused sources ofSource source"]);
    expect([rig.counters.noise > 5_000, rig.counters.noisySources, rig.counters.shed]).toEqual([true, 1, 0]);
    // Nobody says anything more.
    rig.time.pass(20_000);
    expect(rig.logged).toEqual(["noise refused sources ofSource source", "noise-over refused sources ofSource source"]);
    expect(rig.counters.noisySources).toBe(0);
  });

  it("is not its victim, whose address it writes: a phone that has registered loses no call, and no message of a call", () => {
    const rig = new Rig();
    const [forged, phone] = ["u0..c63364071fff", flow];
    for (let index = 0; index < 2_000; index += 1) rig.says(request("INVITE", `first${index}`), forged);
    rig.says(request("REGISTER", "phone"), phone);
    rig.sends(phone, octetsOf("SIP/2.0 200 OK\r\nCSeq: 1 REGISTER\r\n\r\n"));
    rig.time.pass(100);
    const before = rig.brought.length;
    for (let index = 0; index < 15_000; index += 1) {
      rig.says(request("INVITE", `flood${index}`), forged);
      if (index % 50 === 0) {
        rig.says(request("INVITE", `call${index}`), phone);
        rig.says(request("ACK", `call${index}`), phone);
        rig.says(request("BYE", `call${index}`), phone);
      }
      if (index % 3 === 2) rig.time.pass(2);
    }
    rig.time.pass(100);
    const brought = rig.brought.slice(before);
    const ofPhone = ["ACK", "BYE"].map((method) => brought.filter((line) => line.startsWith(`${method} `)).length);
    expect(ofPhone).toEqual([300, 300]);
    expect(rig.sent.filter((text) => /Call-ID: call/.test(text))).toEqual([]);
    expect(brought.length).toBeLessThan(3 * 300 + 12 * noisyPerSecond + noisyAtOnce);
  });

  it("is let in again as far as something comes of it", () => {
    const rig = new Rig();
    for (let index = 0; index < 10_000; index += 1) {
      rig.says(request("INVITE", `call${index}`));
      rig.sends(flow, octetsOf("SIP/2.0 180 Ringing\r\nCSeq: 1 INVITE\r\n\r\n"));
      if (index % 5 === 4) rig.time.pass(1);
    }
    expect([rig.counters.shed, rig.counters.noise]).toEqual([0, 0]);
  });
});

describe("a gateway that is late itself", () => {
  it("refuses as well, though its cell is in time", () => {
    const rig = new Rig();
    rig.calls(shedColdMs);
    rig.inputDelayMs = 500;
    rig.calls(5_000);
    expect(rig.counters.shed).toBeGreaterThan(50);
  });
});

describe("a cell that falls silent while there is too much to do", () => {
  it("is given three times as long: what it does would only be done twice", () => {
    const rig = new Rig();
    rig.calls(shedColdMs);
    rig.lateMs = 700;
    rig.calls(4_000);
    rig.isFrozen = true;
    rig.calls(8_000);
    expect(rig.counters.backhaulFailures).toBe(0);
    rig.calls(3_000);
    expect(rig.counters.backhaulFailures).toBeGreaterThan(0);
    const usual = new Rig();
    usual.calls(shedColdMs);
    usual.isFrozen = true;
    usual.calls(4_500);
    expect(usual.counters.backhaulFailures).toBeGreaterThan(0);
  });
});

describe("a cell that is silent", () => {
  it("is not late: its calls wait for the other replica", () => {
    const rig = new Rig();
    rig.calls(shedColdMs);
    rig.isFrozen = true;
    rig.calls(2_900);
    expect([rig.counters.shed, rig.logged]).toEqual([0, []]);
  });

  it("but for its runtime, which answers pings, is late: it lives and has not come to what it was given", () => {
    const rig = new Rig();
    rig.calls(shedColdMs);
    rig.lateMs = 1_000_000;
    rig.calls(4_500);
    expect(rig.counters.shed).toBeGreaterThan(20);
    expect([rig.logged, rig.counters.backhaulFailures]).toEqual([["overload exchange lateMs share"], 0]);
  });
});
