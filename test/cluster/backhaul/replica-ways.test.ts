import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type Frame,
  type FrameRecord,
  RecordKind,
  decodeFrame,
  encodeFrame,
  isFrameError,
  recordOctets,
} from "../../../cluster/backhaul/frame.ts";
import { busyMachineFactor, busyMachineMs, datagramsUnderWayMax, backhaulLateMs } from "../../../cluster/limits.ts";
import { ReplicaWays } from "../../../cluster/backhaul/replica-ways.ts";
import type { ReplicaWaysLimits } from "../../../cluster/backhaul/replica-ways-limits.ts";

const limits: ReplicaWaysLimits = {
  octetsMax: 2_000,
  holdMs: 4_000,
  servingAssumedMs: 1_000,
  helloAnswerMs: 10_000,
  flapMs: 1_000,
  returnWaitMs: 200,
  returnSettleMs: 100,
  movesMax: 4,
};
const hello: FrameRecord = { kind: RecordKind.hello, key: "g1", octets: new Uint8Array([123, 125]) };
const nothing = new Uint8Array(0);

function message(key: string, size = 1): FrameRecord {
  return { kind: RecordKind.message, key, octets: new Uint8Array(size) };
}

function serving(isServing: boolean): FrameRecord {
  return { kind: RecordKind.serving, key: isServing ? "1" : "0", octets: nothing };
}

/** The other end of one connection: it takes frames when told to, and checks their numbers. */
class Connection {
  readonly cell: string;
  readonly onTheWay: Frame[] = [];
  /** Records that were put on it, in order; `takeover` and keys of messages. */
  readonly put: string[] = [];
  processed = 0;
  sent = 0;
  /** Step at which it ended. */
  closedAt = Number.POSITIVE_INFINITY;

  constructor(cell: string) {
    this.cell = cell;
  }

  take(octets: Uint8Array): void {
    const frame = decodeFrame(octets);
    if (isFrameError(frame)) throw new Error(frame.frameError);
    // Sequence number 0: an acknowledgement, which nobody answers.
    if (frame.seq !== 0) this.onTheWay.push(frame);
    for (const record of frame.records) if (record.kind !== RecordKind.hello) this.put.push(nameOf(record));
  }
}

type Place = { readonly connection: Connection; readonly putAt: number };

function nameOf({ kind, key }: FrameRecord): string {
  switch (kind) {
    case RecordKind.message:
      return key;
    case RecordKind.takeover:
      return "takeover";
    default:
      return `${kind}:${key}`;
  }
}

/** The ways, and the cells at their other ends, which process and answer only when told to. */
class Rig {
  readonly ways: ReplicaWays;
  readonly connections: Connection[] = [];
  /** What each cell processed, over all its connections. */
  readonly processed = new Map<string, string[]>();
  readonly abandoned: string[] = [];
  readonly events: string[] = [];
  /** Where each message was put, in order. */
  readonly places = new Map<string, Place[]>();
  #steps = 0;
  now: number;

  constructor(cells: readonly string[] = ["a", "b"], now = 0, changes: Partial<ReplicaWaysLimits> = {}) {
    this.now = now;
    const heartbeat = { periodMs: 1_000, missed: 3 };
    this.ways = new ReplicaWays(cells, { hello, heartbeat, limits: { ...limits, ...changes } }, now);
  }

  at(cell: string): Connection | undefined {
    return this.connections.findLast((each) => each.cell === cell && each.closedAt === Number.POSITIVE_INFINITY);
  }

  run(): void {
    this.ways.tick(this.now);
    for (const effect of this.ways.takeEffects()) {
      switch (effect.type) {
        case "frame":
          this.#take(effect.cell, effect.octets);
          break;
        case "drop":
          this.events.push(`drop ${effect.cell}`);
          this.#close(effect.cell);
          break;
        case "abandoned":
          for (const record of effect.records) this.abandoned.push(nameOf(record));
          break;
        case "takenOver":
          this.events.push(`${effect.to} takes over from ${effect.from}: ${effect.records}`);
          break;
        case "returned":
          this.events.push(`${effect.from} to ${effect.to}`);
          break;
        default:
          effect satisfies never;
      }
    }
  }

  /** Time passes, with everything that becomes due on the way. */
  wait(ms: number): void {
    const end = this.now + ms;
    this.run();
    for (let next = this.ways.nextDeadline(); next !== undefined && next <= end; next = this.ways.nextDeadline()) {
      this.now = Math.max(this.now, next);
      const before = this.now;
      this.run();
      if ((this.ways.nextDeadline() ?? Infinity) <= before) throw new Error("a deadline that was served is not over");
    }
    this.now = end;
    this.run();
  }

  open(cell: string, isServing: boolean | "silent" = true): void {
    this.connections.push(new Connection(cell));
    this.ways.opened(cell, this.now);
    this.run();
    if (isServing === "silent") return;
    this.process(cell);
    this.answer(cell, [serving(isServing)]);
  }

  lose(cell: string): void {
    this.#close(cell);
    this.ways.lost(cell, this.now);
    this.run();
  }

  /** Offers messages; true for each that was taken. */
  offer(...keys: string[]): string[] {
    return keys.map((key) => this.offerTo(undefined, key));
  }

  offerTo(cell: string | undefined, key: string, size = 1): string {
    return this.ways.offer(message(key, size), cell, this.now) ?? "refused";
  }

  /** The cell processes frames that came, in order. */
  process(cell: string, frames = Number.POSITIVE_INFINITY): void {
    const connection = this.at(cell);
    if (connection === undefined) return;
    const all = this.processed.get(cell) ?? [];
    this.processed.set(cell, all);
    for (const { seq, records } of connection.onTheWay.splice(0, frames)) {
      if (seq !== connection.processed + 1) throw new Error(`frame ${seq} after ${connection.processed}`);
      connection.processed = seq;
      for (const record of records) if (record.kind !== RecordKind.hello) all.push(nameOf(record));
    }
  }

  /** The cell acknowledges what it processed. */
  answer(cell: string, records: readonly FrameRecord[] = []): void {
    const connection = this.at(cell);
    if (connection === undefined) return;
    if (records.length > 0) connection.sent += 1;
    const back = this.ways.receive(cell, encodeFrame(records.length > 0 ? connection.sent : 0, connection.processed, records), this.now);
    if ("frameError" in back) throw new Error(back.frameError);
    this.run();
  }

  /** Both cells process and answer everything, for a while. */
  settle(): void {
    for (let round = 0; round < 4; round += 1) {
      for (const cell of ["a", "b"]) {
        this.process(cell);
        this.answer(cell);
      }
      this.wait(50);
    }
  }

  /** What was put on the present connection to a cell. */
  put(cell: string): string[] {
    return this.at(cell)?.put ?? [];
  }

  #close(cell: string): void {
    const connection = this.at(cell);
    this.#steps += 1;
    if (connection !== undefined) connection.closedAt = this.#steps;
  }

  #take(cell: string, octets: Uint8Array): void {
    const connection = this.at(cell);
    if (connection === undefined) throw new Error(`a frame for ${cell}, which has no connection`);
    const before = connection.put.length;
    connection.take(octets);
    this.#steps += 1;
    for (const name of connection.put.slice(before)) {
      if (name === "takeover") continue;
      this.places.set(name, [...(this.places.get(name) ?? []), { connection, putAt: this.#steps }]);
    }
  }
}

/** Both replicas serve, and have for long. */
function both(): Rig {
  const rig = new Rig();
  rig.open("a");
  rig.open("b");
  rig.wait(5_000);
  return rig;
}

describe("which replica", () => {
  test("a token's cell, else the primary; the other's when one is lost", () => {
    const rig = both();
    expect([rig.offerTo(undefined, "1"), rig.offerTo("a", "2"), rig.offerTo("b", "3"), rig.offerTo("z", "4")]).toEqual([
      "a",
      "a",
      "b",
      "a",
    ]);
    rig.run();
    expect([rig.put("a"), rig.put("b")]).toEqual([["1", "2", "4"], ["3"]]);
    rig.lose("b");
    expect(rig.offerTo("b", "5")).toBe("a");
  });

  test("only one that said that it serves: connected alone is not enough", () => {
    const rig = new Rig();
    rig.open("a", false);
    expect(rig.ways.isUsable).toBe(false);
    rig.offer("held");
    rig.wait(100);
    expect(rig.put("a")).toEqual([]);
    rig.open("b");
    expect(rig.put("b")).toEqual(["held"]);
    rig.answer("a", [serving(true)]);
    expect(rig.ways.routeOf()).toBe("a");
  });

  test("an older exchange says nothing: it serves a second after it answered the hello, never while it does not", () => {
    const rig = new Rig(["a"]);
    rig.open("a", "silent");
    rig.offer("1");
    rig.wait(3_000);
    expect(rig.put("a")).toEqual([]);
    rig.process("a");
    rig.answer("a");
    expect(rig.put("a")).toEqual(["1"]);
    const prompt = new Rig(["a"]);
    prompt.open("a", "silent");
    prompt.process("a");
    prompt.answer("a");
    prompt.offer("1");
    prompt.wait(999);
    expect(prompt.put("a")).toEqual([]);
    prompt.wait(1);
    expect(prompt.put("a")).toEqual(["1"]);
  });

  test("one cell alone: what it had is sent to it again, without a takeover", () => {
    const rig = new Rig(["a"]);
    rig.open("a");
    rig.offer("1", "2");
    rig.run();
    rig.lose("a");
    rig.offer("3");
    rig.open("a");
    rig.wait(2);
    expect(rig.put("a")).toEqual(["1", "2", "3"]);
  });
});

describe("a cell that drains", () => {
  const a = new Set(["a"]);

  test("is given nothing new, and goes on with what names it; then everything again", () => {
    const rig = both();
    rig.ways.setDraining(a, rig.now);
    expect([rig.ways.routeOf(), rig.ways.routeOf("a"), rig.ways.routeOf("b")]).toEqual(["b", "a", "b"]);
    rig.offer("new");
    rig.offerTo("a", "response of a");
    rig.offerTo("b", "response of b");
    rig.wait(2);
    expect([rig.put("a"), rig.put("b")]).toEqual([["response of a"], ["new", "response of b"]]);
    rig.ways.setDraining(new Set(), rig.now);
    rig.settle();
    rig.offer("newer");
    rig.wait(2);
    expect(rig.put("a")).toEqual(["response of a", "newer"]);
  });

  test("has answered what it was given before the other is given more: no CANCEL overtakes its INVITE", () => {
    const rig = both();
    rig.offer("INVITE");
    rig.wait(2);
    rig.ways.setDraining(a, rig.now);
    rig.offer("CANCEL");
    rig.wait(50);
    expect(rig.put("b")).toEqual([]);
    rig.process("a");
    rig.answer("a");
    rig.wait(limits.returnSettleMs);
    expect(rig.put("b")).toEqual(["CANCEL"]);
    expect(rig.events).toEqual(["a to b"]);
  });

  test("is used when nobody else can be: the other is lost, drains as well, or is none", () => {
    const rig = both();
    rig.ways.setDraining(a, rig.now);
    rig.lose("b");
    expect(rig.ways.routeOf()).toBe("a");
    rig.open("b");
    rig.wait(limits.flapMs);
    expect(rig.ways.routeOf()).toBe("b");
    rig.ways.setDraining(new Set(["a", "b"]), rig.now);
    expect(rig.ways.routeOf()).toBe("a");
    const single = new Rig(["a"]);
    single.open("a");
    single.ways.setDraining(a, single.now);
    expect(single.ways.routeOf()).toBe("a");
  });

  test("may die then: what it had not acknowledged goes to the other behind a takeover", () => {
    const rig = both();
    rig.ways.setDraining(a, rig.now);
    rig.offerTo("a", "BYE");
    rig.wait(2);
    rig.lose("a");
    rig.wait(2);
    expect(rig.put("b")).toEqual(["takeover", "BYE"]);
    rig.open("a");
    rig.settle();
    expect(rig.ways.routeOf()).toBe("b");
  });
});

describe("take-over", () => {
  test("first the takeover, then what was not acknowledged in its order, then what is new", () => {
    const rig = both();
    rig.offer("1");
    rig.run();
    rig.process("a");
    rig.answer("a");
    rig.offer("2");
    rig.run();
    rig.offer("3");
    rig.wait(2);
    rig.process("a", 1);
    rig.offer("4");
    rig.lose("a");
    rig.offer("5");
    rig.wait(4);
    expect(rig.put("b")).toEqual(["takeover", "2", "3", "4", "5"]);
    expect(rig.events.at(-1)).toBe("b takes over from a: 3");
  });

  test("without anything on the way it is told all the same: the calls must be adopted", () => {
    const rig = both();
    rig.lose("a");
    expect(rig.put("b")).toEqual(["takeover"]);
    const other = both();
    other.lose("b");
    expect(other.put("a")).toEqual(["takeover"]);
  });

  test("once for one loss, however often connecting fails; again when it was back in between", () => {
    const rig = both();
    rig.lose("a");
    rig.lose("a");
    rig.open("a", false);
    rig.lose("a");
    expect(rig.put("b")).toEqual(["takeover"]);
    rig.open("a");
    rig.lose("a");
    rig.wait(2);
    expect(rig.put("b")).toEqual(["takeover", "takeover"]);
  });

  test("refused from the start: the other is told, for an earlier life of this gateway had calls there", () => {
    const rig = new Rig();
    rig.ways.lost("a", 0);
    rig.open("b");
    expect(rig.put("b")).toEqual(["takeover"]);
  });

  test("both lost: who comes first gets everything in order, with a takeover only where the other's calls are", () => {
    for (const first of ["a", "b"]) {
      const rig = both();
      rig.offerTo("b", "1");
      rig.offerTo("a", "2");
      rig.offerTo("b", "3");
      rig.run();
      rig.lose("a");
      rig.lose("b");
      rig.offer("4");
      rig.open(first);
      rig.wait(2);
      expect(rig.put(first)).toEqual(["takeover", "1", "2", "3", "4"]);
      rig.open(first === "a" ? "b" : "a");
      rig.settle();
      expect([...rig.put("a"), ...rig.put("b")].filter((name) => name === "takeover")).toHaveLength(1);
    }
  });

  test("a takeover that was never acknowledged is owed again", () => {
    const rig = both();
    rig.lose("a");
    rig.lose("b");
    rig.open("b");
    expect(rig.put("b")).toEqual(["takeover"]);
    rig.process("b");
    rig.answer("b");
    rig.lose("b");
    rig.open("b");
    expect(rig.put("b")).toEqual([]);
  });

  test("an answer to a question goes only to the replica that asked", () => {
    const rig = both();
    rig.ways.offer({ kind: RecordKind.resolved, key: "q1", octets: nothing }, "a", rig.now);
    rig.ways.offer({ kind: RecordKind.undeliverable, key: "f1", octets: nothing }, "a", rig.now);
    rig.run();
    rig.lose("a");
    expect(rig.put("b")).toEqual(["takeover", `${RecordKind.undeliverable}:f1`]);
    const alone = new Rig(["a"]);
    alone.open("a");
    alone.ways.offer({ kind: RecordKind.resolved, key: "q1", octets: nothing }, "a", alone.now);
    alone.run();
    alone.lose("a");
    alone.open("a");
    expect(alone.put("a")).toEqual([`${RecordKind.resolved}:q1`]);
  });

  test("a message that ends every process that reads it does not go round for ever", () => {
    const rig = both();
    rig.offer("poison");
    rig.run();
    for (let i = 0; i < 20 && rig.abandoned.length === 0; i += 1) {
      for (const cell of ["a", "b"]) {
        if (!rig.put(cell).includes("poison")) continue;
        rig.lose(cell);
        rig.open(cell);
      }
      rig.wait(2_000);
    }
    expect(rig.abandoned).toEqual(["poison"]);
    rig.offer("next");
    rig.settle();
    expect([...rig.put("a"), ...rig.put("b")]).toContain("next");
  });
});

/** b falls silent so long after a, which was silent, is back: when that is found, ms. */
function detectedAfter(pauseMs: number): number {
  const rig = both();
  rig.offer("1");
  rig.run();
  rig.wait(3_000);
  expect(rig.events.at(0)).toBe("drop a");
  rig.settle();
  rig.open("a");
  rig.settle();
  rig.wait(pauseMs);
  rig.offerTo("b", "2");
  rig.run();
  const from = rig.now;
  while (!rig.events.includes("drop b")) {
    rig.wait(10);
    rig.process("a");
    rig.answer("a");
  }
  return rig.now - from;
}

describe("silence", () => {
  test("a frame unanswered for periodMs x missed, from the oldest on, ends the connection; not a moment before", () => {
    const rig = both();
    rig.offer("1");
    rig.run();
    rig.wait(2_999);
    rig.offer("2");
    expect(rig.events.filter((event) => event.startsWith("drop"))).toEqual([]);
    rig.wait(1);
    expect(rig.events.at(0)).toBe("drop a");
    expect(rig.put("b")).toEqual(["takeover", "1", "2"]);
  });

  test("what is acknowledged in time keeps it, however long others wait behind", () => {
    const rig = both();
    for (let i = 0; i < 20; i += 1) {
      rig.offer(String(i));
      rig.wait(900);
      rig.process("a", 1);
      rig.answer("a");
    }
    expect(rig.events).toEqual([]);
  });

  test("a replica that answers frame after frame is late, not silent, however late; from its last answer on it is silent", () => {
    const rig = both();
    for (let i = 0; i < 30; i += 1) {
      rig.offer(String(i));
      rig.wait(400);
      if (i % 5 !== 4) continue;
      rig.process("a", 1);
      rig.answer("a");
    }
    expect(rig.events).toEqual([]);
    rig.wait(2_999);
    expect(rig.events).toEqual([]);
    rig.wait(1);
    expect(rig.events.at(0)).toBe("drop a");
  });

  test("a replica that falls silent soon after the other is waited for longer: the machine is busy; later it is not", () => {
    expect(detectedAfter(0)).toBe(3_000 * busyMachineFactor);
    expect(detectedAfter(busyMachineMs)).toBe(3_000);
  });

  test("a replica whose connection closed says nothing of the machine: the other one is given up as fast as ever", () => {
    const rig = both();
    rig.lose("a");
    rig.offer("1");
    rig.run();
    rig.wait(3_000);
    expect(rig.events).toContain("drop b");
  });

  test("a new heartbeat counts at once", () => {
    const rig = both();
    rig.offer("1");
    rig.wait(500);
    rig.ways.setHeartbeat({ periodMs: 100, missed: 3 }, rig.now);
    rig.run();
    expect(rig.events.at(0)).toBe("drop a");
  });

  test("a hello has longer, and so has everybody after this process itself stood still", () => {
    const rig = new Rig(["a"]);
    rig.open("a", "silent");
    rig.wait(9_999);
    expect(rig.events).toEqual([]);
    rig.wait(1);
    expect(rig.events).toEqual(["drop a"]);
    const stopped = both();
    stopped.offer("1");
    stopped.run();
    stopped.now += 60_000;
    stopped.ways.awoke(stopped.now);
    stopped.run();
    expect(stopped.events).toEqual([]);
    stopped.wait(3_000);
    expect(stopped.events.at(0)).toBe("drop a");
  });
});

describe("return", () => {
  test("new messages to the primary when it serves again, tokens of the other still to the other", () => {
    const rig = both();
    rig.lose("a");
    rig.settle();
    rig.open("a", false);
    expect(rig.offer("before")).toEqual(["b"]);
    rig.settle();
    rig.answer("a", [serving(true)]);
    rig.wait(200);
    expect([rig.offerTo(undefined, "new"), rig.offerTo("b", "dialog"), rig.offerTo("a", "old")]).toEqual(["a", "b", "a"]);
    rig.wait(2);
    expect(rig.put("a")).toEqual(["new", "old"]);
    expect(rig.put("b").at(-1)).toBe("dialog");
  });

  test("what the other has is waited for, and a little longer: a CANCEL does not overtake its INVITE", () => {
    const rig = both();
    rig.lose("a");
    rig.settle();
    rig.offer("INVITE");
    rig.run();
    rig.open("a");
    rig.offer("CANCEL");
    rig.wait(limits.returnWaitMs - 10);
    expect(rig.put("a")).toEqual([]);
    rig.process("b");
    rig.answer("b");
    rig.wait(limits.returnSettleMs - 1);
    expect(rig.put("a")).toEqual([]);
    rig.wait(1);
    expect(rig.put("a")).toEqual(["CANCEL"]);
  });

  test("an other that does not answer is waited for returnWaitMs, one that dies meanwhile not at all: INVITE first, then CANCEL", () => {
    for (const dies of [false, true]) {
      const rig = both();
      rig.lose("a");
      rig.settle();
      rig.offer("INVITE");
      rig.run();
      rig.open("a");
      rig.offer("CANCEL");
      if (dies) rig.lose("b");
      else rig.wait(limits.returnWaitMs);
      expect(rig.put("a")).toEqual(dies ? ["takeover", "INVITE", "CANCEL"] : ["CANCEL"]);
    }
  });

  test("a primary that goes again while the return waits: everything to the other, in order", () => {
    const rig = both();
    rig.lose("a");
    rig.settle();
    rig.offer("1");
    rig.run();
    rig.open("a");
    rig.offer("2");
    rig.lose("a");
    rig.offer("3");
    rig.wait(5);
    expect(rig.put("b").slice(-4)).toEqual(["1", "takeover", "2", "3"]);
  });

  test("serving=0 of a live primary: new messages to the other, what it has stays with it, nobody takes over", () => {
    const rig = both();
    rig.offer("1");
    rig.run();
    rig.answer("a", [serving(false)]);
    rig.offer("2");
    rig.wait(300);
    expect([rig.put("a"), rig.put("b")]).toEqual([["1"], ["2"]]);
  });
});

describe("flapping", () => {
  test("a primary that comes and goes within flapMs is used again only after it was stable for a period", () => {
    const rig = both();
    rig.lose("a");
    rig.settle();
    rig.open("a");
    rig.wait(999);
    rig.lose("a");
    rig.settle();
    rig.open("a");
    rig.wait(999);
    expect(rig.ways.routeOf()).toBe("b");
    rig.wait(1);
    expect(rig.ways.routeOf()).toBe("a");
  });

  test("serving that comes and goes is flapping as well; one that was stable before is trusted at once", () => {
    const rig = both();
    rig.answer("a", [serving(false)]);
    rig.answer("a", [serving(true)]);
    expect(rig.ways.routeOf()).toBe("a");
    rig.answer("a", [serving(false)]);
    rig.answer("a", [serving(true)]);
    expect(rig.ways.routeOf()).toBe("b");
    rig.wait(1_000);
    expect(rig.ways.routeOf()).toBe("a");
  });

  test("when there is nobody better, it is used as it is", () => {
    const rig = both();
    rig.lose("a");
    rig.open("a");
    rig.lose("a");
    rig.open("a");
    expect(rig.ways.routeOf()).toBe("b");
    rig.lose("b");
    expect(rig.ways.routeOf()).toBe("a");
  });

  test("a hundred times within a second: everything arrives, most of it where it was stable", () => {
    const rig = both();
    let count = 0;
    for (let i = 0; i < 100; i += 1) {
      rig.lose("a");
      rig.wait(5);
      rig.offer(String(count++));
      rig.open("a");
      rig.offer(String(count++));
      rig.wait(5);
      rig.process("b");
      rig.answer("b");
    }
    rig.settle();
    expect(rig.abandoned).toEqual([]);
    const atB = (rig.processed.get("b") ?? []).filter((name) => name !== "takeover");
    expect(atB).toEqual(Array.from({ length: count }, (_, i) => String(i)));
  });
});

describe("bounds", () => {
  test("held and unacknowledged together stay below octetsMax, over any number of moves; refused is refused at once", () => {
    const rig = both();
    const size = recordOctets("0", new Uint8Array(190));
    const fit = Math.floor(limits.octetsMax / size);
    const taken: string[] = [];
    for (let i = 0; i < fit + 3; i += 1) taken.push(rig.offerTo(i % 2 === 0 ? "a" : "b", String(i % 10), 190));
    expect(taken.filter((cell) => cell === "refused")).toHaveLength(3);
    for (const cell of ["a", "b"]) rig.lose(cell);
    expect(rig.ways.octetsHeld).toBe(fit * size);
    expect(rig.offerTo(undefined, "x", 190)).toBe("refused");
    rig.open("b");
    rig.wait(2);
    expect(rig.put("b")).toHaveLength(fit + 1);
    rig.process("b");
    rig.answer("b");
    expect(rig.ways.octetsHeld).toBe(0);
  });

  test("neither usable: what is held is given back after holdMs, and later offers are refused at once", () => {
    const rig = both();
    rig.offer("sent");
    rig.run();
    rig.lose("a");
    rig.lose("b");
    rig.wait(100);
    rig.offer("held");
    rig.wait(3_900);
    expect(rig.abandoned).toEqual([]);
    rig.wait(1);
    expect(rig.abandoned).toEqual(["sent"]);
    rig.wait(100);
    expect(rig.abandoned).toEqual(["sent", "held"]);
    expect(rig.offer("late")).toEqual(["refused"]);
    rig.open("b");
    expect(rig.put("b")).toEqual(["takeover"]);
    expect(rig.offer("new")).toEqual(["b"]);
  });

  test("a datagram that comes again while it is held is held once: given up or given out, never both", () => {
    const rig = new Rig();
    rig.offer("1");
    rig.wait(500);
    expect(rig.offer("1")).toEqual(["a"]);
    rig.wait(3_501);
    expect(rig.abandoned).toEqual(["1"]);
    expect(rig.ways.octetsHeld).toBe(0);
    rig.open("a");
    rig.wait(2);
    expect(rig.put("a")).toEqual([]);
  });

  test("connected and not serving, both: the same", () => {
    const rig = new Rig();
    rig.open("a", false);
    rig.open("b", false);
    rig.offer("1");
    rig.wait(4_001);
    expect(rig.abandoned).toEqual(["1"]);
    expect(rig.offer("2")).toEqual(["refused"]);
  });
});

describe("a new map", () => {
  test("a cell that stays keeps its connection; what the removed one had goes to the rest behind a takeover", () => {
    const rig = both();
    rig.offerTo("b", "1");
    rig.run();
    rig.ways.setCells(["a", "c"], rig.now);
    rig.run();
    expect(rig.put("a")).toEqual(["takeover", "1"]);
    rig.open("c");
    expect(rig.offerTo("c", "2")).toBe("c");
    rig.ways.setCells(["c", "a"], rig.now);
    expect(rig.ways.routeOf()).toBe("c");
  });

  test("at the end everything that nobody acknowledged comes out in order", () => {
    const rig = both();
    rig.offerTo("b", "1");
    rig.offerTo("a", "2");
    rig.offerTo("b", "3");
    rig.run();
    rig.lose("a");
    expect(rig.ways.takeAll(rig.now).map(({ key }) => key)).toEqual(["1", "2", "3"]);
  });
});

/** What may happen to the ways, in any order. */
const cellName = fc.constantFrom("a", "b");
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("offer" as const),
      cell: fc.constantFrom(undefined, "a", "b"),
      size: fc.integer({ min: 0, max: 150 }),
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("wait" as const), ms: fc.constantFrom(0, 1, 2, 5, 30, 250, 1_000, 3_000) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("process" as const), cell: cellName, frames: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("answer" as const), cell: cellName }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("say" as const), cell: cellName, isServing: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("lose" as const), cell: cellName }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("open" as const), cell: cellName }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("drain" as const), cells: fc.subarray(["a", "b"]) }) },
);

test("whatever happens: at least once to the replicas together, never to two that live, in order, within bounds", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200, size: "max" }), (steps) => {
      // An answer that is waited for for ever makes the order exact.
      const rig = new Rig(["a", "b"], 0, { movesMax: 1_000, returnWaitMs: Number.POSITIVE_INFINITY });
      const accepted: Accepted[] = [];
      for (const each of steps) {
        if (each.do === "offer") {
          const name = String(accepted.length);
          // What names the primary goes with what prefers none, except while that drains.
          const way = each.cell === "b" ? "other" : each.cell === "a" && steps.some((some) => some.do === "drain") ? "own" : "main";
          if (rig.offerTo(each.cell, name, each.size) !== "refused") accepted.push({ name, way });
        } else if (each.do === "wait") rig.wait(each.ms);
        else if (each.do === "process") rig.process(each.cell, each.frames);
        else if (each.do === "answer") rig.answer(each.cell);
        else if (each.do === "say") rig.answer(each.cell, [serving(each.isServing)]);
        else if (each.do === "drain") rig.ways.setDraining(new Set(each.cells), rig.now);
        else if (each.do === "lose") rig.lose(each.cell);
        else if (rig.at(each.cell) === undefined) rig.open(each.cell);
        rig.run();
        expect(rig.ways.octetsHeld).toBeLessThanOrEqual(limits.octetsMax + 100);
      }
      // In the end both cells are well and in service.
      rig.ways.setDraining(new Set(), rig.now);
      for (const cell of ["a", "b"]) {
        rig.process(cell);
        if (rig.at(cell) === undefined) rig.open(cell);
        rig.answer(cell, [serving(true)]);
      }
      rig.settle();
      rig.wait(1_000);
      rig.settle();
      checkDelivery(rig, accepted);
      expect(rig.ways.octetsHeld).toBe(0);
      expect(rig.ways.routeOf()).toBe("a");
      expect(rig.ways.nextDeadline()).toBeUndefined();
    }),
    { numRuns: 400 },
  );
});

type Accepted = { readonly name: string; readonly way: "main" | "other" | "own" };

function checkDelivery(rig: Rig, accepted: readonly Accepted[]): void {
  const processed = new Set([...rig.processed.values()].flat());
  const abandoned = new Set(rig.abandoned);
  expect(abandoned.size).toBe(rig.abandoned.length);
  for (const { name } of accepted) expect(processed.has(name) || abandoned.has(name), `${name} arrived or was given back`).toBe(true);
  for (const { put } of rig.connections) {
    const messages = put.filter((name) => name !== "takeover").map(Number);
    expect(new Set(messages).size, "never twice on one connection").toBe(messages.length);
    for (const way of ["main", "other"]) {
      const sameWay = messages.filter((index) => accepted[index]?.way === way);
      expect(sameWay, "in the order of arrival").toEqual(sameWay.toSorted((left, right) => left - right));
    }
  }
  // A record was put on another connection only when the one before was lost without an answer to it.
  for (const [name, places] of rig.places) {
    for (const [index, place] of places.slice(1).entries()) {
      expect(places[index]?.connection.closedAt, `${name} in two places`).toBeLessThan(place.putAt);
    }
  }
}

function asOctets(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

const datagramKey = "u0..c633640713c4";
const streamKey = "t1.1.c633640713c4";

/** What is put on the backhaul to a of datagrams that come, and come again, when its first frame has been unanswered for so long. */
function putAfter(ms: number, key: string, texts: readonly string[]): number {
  const rig = both();
  rig.offer("first");
  rig.run();
  rig.wait(ms);
  for (const text of texts) rig.ways.offer({ kind: RecordKind.message, key, octets: asOctets(text) }, undefined, rig.now);
  rig.wait(100);
  return rig.put("a").length - 1;
}

describe("a replica that is late", () => {
  test("is not given copies of a datagram that is on its way to it; others pass, and so does all before it is late", () => {
    expect(putAfter(backhaulLateMs, datagramKey, ["INVITE 1", "INVITE 1", "INVITE 2", "INVITE 1", "INVITE 2"])).toBe(2);
    expect(putAfter(backhaulLateMs - 1, datagramKey, ["INVITE 1", "INVITE 1", "INVITE 2", "INVITE 1", "INVITE 2"])).toBe(5);
    expect(putAfter(backhaulLateMs, streamKey, ["INVITE 1", "INVITE 1"])).toBe(2);
  });

  test("is given the copy when it has read the first one", () => {
    const rig = both();
    rig.offer("first");
    rig.run();
    rig.wait(backhaulLateMs);
    const record = { kind: RecordKind.message, key: datagramKey, octets: asOctets("BYE") };
    rig.ways.offer(record, undefined, rig.now);
    rig.wait(50);
    rig.ways.offer({ ...record, key: `${datagramKey.slice(0, -1)}5` }, undefined, rig.now);
    rig.wait(50);
    rig.process("a", 2);
    rig.answer("a");
    rig.wait(backhaulLateMs);
    rig.ways.offer(record, undefined, rig.now);
    rig.wait(50);
    expect(rig.put("a")).toEqual(["first", datagramKey, `${datagramKey.slice(0, -1)}5`, datagramKey]);
  });

  test(`is remembered ${datagramsUnderWayMax} datagrams: copies of more pass, and nothing is lost`, () => {
    const rig = new Rig(["a", "b"], 0, { octetsMax: 8 * 1024 * 1024 });
    rig.open("a");
    rig.open("b");
    rig.offer("first");
    rig.run();
    rig.wait(backhaulLateMs);
    const texts = Array.from({ length: datagramsUnderWayMax + 10 }, (_, index) => `INVITE ${index}`);
    for (const text of [...texts, ...texts])
      rig.ways.offer({ kind: RecordKind.message, key: datagramKey, octets: asOctets(text) }, undefined, rig.now);
    rig.wait(100);
    expect(rig.put("a").length - 1).toBe(texts.length + 10);
  });

  test("what it was given is taken to the other when it is lost, once", () => {
    const rig = both();
    rig.offer("first");
    rig.run();
    rig.wait(backhaulLateMs);
    for (const text of ["INVITE", "INVITE"])
      rig.ways.offer({ kind: RecordKind.message, key: datagramKey, octets: asOctets(text) }, undefined, rig.now);
    rig.wait(50);
    rig.lose("a");
    rig.wait(50);
    expect(rig.put("b")).toEqual(["takeover", "first", datagramKey]);
  });
});
