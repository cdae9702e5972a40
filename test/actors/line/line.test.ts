import { describe, expect, it } from "vitest";
import type { CallOutcome } from "../../../actors/line/exchange-link.ts";
import { Line } from "../../../actors/line/line.ts";
import { keptAskMs, owedAskMs, unreachableMs } from "../../../actors/limits.ts";
import type { Timer } from "../../../actors/timer.ts";
import { decodeFrame, encodeFrame, isFrameError, RecordKind, type FrameRecord } from "../../../cluster/backhaul/frame.ts";
import { keptRecord } from "../../../cluster/backhaul/kept.ts";
import { shedColdMs } from "../../../cluster/limits.ts";
import { exchangeOf, type ClusterMap } from "../../../cluster/map/cluster-map.ts";
import { octetsOf, stringOf } from "../../../sip/message/octets.ts";

const map: ClusterMap = {
  version: 1,
  cells: ["a", "b"].map((id) => ({ id, url: "http://127.0.0.1" })),
  exchangeCount: 4,
  lineCount: 1,
  domains: [{ name: "example.test", auth: "digest" }],
  aliases: [],
  heartbeat: { periodMs: 1_000, missed: 3 },
  replication: { ackTimeoutMs: 200 },
  flushMs: 1_000,
};
const bobs = exchangeOf(map, "bob@example.test");

function request(method: string, branch = "1", call = "c"): Uint8Array {
  return octetsOf(
    `${method} sip:bob@example.test SIP/2.0\r\nVia: SIP/2.0/WS x.invalid;branch=z9hG4bK${branch}\r\nMax-Forwards: 70\r\n` +
      `From: <sip:alice@example.test>;tag=1\r\nTo: <sip:bob@example.test>\r\nCall-ID: ${call}\r\nCSeq: 1 ${method}\r\n\r\n`,
  );
}

type Softphone = { readonly key: string; readonly exchanges: Set<number>; readonly heard: string[] };
type Call = {
  readonly exchange: number;
  readonly cell: string;
  readonly seq: number;
  readonly records: readonly FrameRecord[];
  /** When it came, ms. */
  readonly at: number;
  over: (outcome: CallOutcome) => void;
};

/** A line in cell b, its clock, and calls that are over when a test says so. */
class Rig {
  now = 1_790_000_000_000;
  readonly lost: string[] = [];
  readonly news: string[] = [];
  readonly exchanges: number[] = [];
  /** All that was brought to exchanges, as `cell: kinds`. */
  readonly brought: string[] = [];
  #underWay: Call[] = [];
  readonly #due = new Map<() => void, number>();
  readonly #softphones = new Map<string, Softphone>();
  readonly line = new Line<Softphone>(
    { access: "b.0", cell: "b", map: () => map },
    {
      now: () => this.now,
      wallAt: (moment: number) => moment,
      timer: (run) => this.#timer(run),
      send: (key, octets) => this.#softphones.get(key)?.heard.push(stringOf(octets).split("\r\n", 1)[0] ?? "") !== undefined,
      close: (key) => void this.#softphones.delete(key),
      remember: ({ exchanges }, exchange) => void exchanges.add(exchange),
      exchangesOf: ({ exchanges }) => exchanges,
      call: (exchange, cell, frame, over) => this.#called(exchange, cell, frame, over),
      random: () => 0,
      wentOnAgo: (told) => told(Number.POSITIVE_INFINITY),
      unreachable: (exchange, cell) => void this.lost.push(`${exchange} ${cell}`),
      overload: (_exchange, news) => void this.news.push(news),
    },
  );

  softphone(key: string): Softphone {
    const softphone = { key, exchanges: new Set<number>(), heard: [] };
    this.#softphones.set(key, softphone);
    return softphone;
  }

  says(softphone: Softphone, octets: Uint8Array): void {
    this.line.said({ key: softphone.key, octets, softphone }, this.now);
  }

  /** The oldest call that is under way: it is answered when a test says so. */
  taken(): Call {
    const call = this.#underWay.shift();
    if (call === undefined) throw new Error("no call is under way");
    return call;
  }

  /** The oldest call is answered with these records. */
  answer(...records: FrameRecord[]): void {
    const { seq, over } = this.taken();
    over(encodeFrame(0, seq, records));
  }

  refuse(): void {
    this.taken().over(new Error("refused"));
  }

  /** All calls are answered. */
  settle(): void {
    while (this.#underWay.length > 0) this.answer();
  }

  /** New calls for some time, 100 a second; each frame is answered so many ms after it came. */
  calls(softphone: Softphone, ms: number, lateMs: number): void {
    for (const until = this.now + ms; this.now < until; this.now += 10) {
      this.says(softphone, request("INVITE", String(this.now), String(this.now)));
      while ((this.#underWay[0]?.at ?? Number.POSITIVE_INFINITY) <= this.now - lateMs) this.answer();
    }
  }

  /** Time passes, and timers ring in it. */
  pass(ms: number): void {
    this.now += ms;
    for (const [run, at] of this.#due) if (at <= this.now && this.#due.delete(run)) run();
  }

  refuseAll(): void {
    while (this.#underWay.length > 0) this.refuse();
  }

  #timer(run: () => void): Timer {
    return { set: (delayMs) => void this.#due.set(run, this.now + delayMs), clear: () => void this.#due.delete(run) };
  }

  #called(exchange: number, cell: string, frame: Uint8Array, over: (outcome: CallOutcome) => void): void {
    const decoded = decodeFrame(frame);
    if (isFrameError(decoded)) throw new Error(decoded.frameError);
    const { seq, records } = decoded;
    this.exchanges.push(exchange);
    this.brought.push(`${cell}: ${records.map(({ kind }) => nameOf(kind)).join(" ")}`);
    this.#underWay.push({ exchange, cell, seq, records, at: this.now, over });
  }
}

function recordsOf(frame: Uint8Array): readonly FrameRecord[] {
  const decoded = decodeFrame(frame);
  if (isFrameError(decoded)) throw new Error(decoded.frameError);
  return decoded.records;
}

function nameOf(kind: number): string {
  return Object.entries(RecordKind).find(([, value]) => value === kind)?.[0] ?? String(kind);
}

function send(key: string, method: string): FrameRecord {
  return { kind: RecordKind.send, key, octets: request(method) };
}

function says(boot: string, count: number): FrameRecord {
  return keptRecord({ boot, count });
}

/** A softphone that has said this to an exchange, which has answered the hello before it with this. */
function spoken(method: string, ...helloAnswer: readonly FrameRecord[]): { readonly rig: Rig; readonly alice: Softphone } {
  const rig = new Rig();
  const alice = rig.softphone("alice");
  rig.says(alice, request(method));
  rig.answer(...helloAnswer);
  return { rig, alice };
}

/** One whose exchange in its cell cannot be reached any more. */
function moving(method: string): ReturnType<typeof spoken> {
  const moved = spoken(method);
  moved.rig.refuse();
  return moved;
}

/** One whose INVITE has been answered and not kept. */
function unkept(): ReturnType<typeof spoken> {
  const told = spoken("INVITE", says("first", 0));
  told.rig.answer(says("first", 0));
  return told;
}

describe("a softphone's message", () => {
  it("goes to the exchange of its routing key, in this cell, and what that answers goes to the softphone", () => {
    const { rig, alice } = spoken("OPTIONS");
    expect([rig.brought, rig.exchanges]).toEqual([
      ["b: hello", "b: message"],
      [bobs, bobs],
    ]);
    rig.answer({ kind: RecordKind.send, key: "alice", octets: octetsOf("SIP/2.0 200 OK\r\n\r\n") });
    expect(alice.heard).toEqual(["SIP/2.0 200 OK"]);
  });

  it("whose token names an exchange or a cell that does not exist goes to one, which refuses it", () => {
    const { rig, alice } = spoken("OPTIONS");
    for (const token of ["zz*a", `${bobs}*x`]) {
      rig.settle();
      rig.now += 10;
      const before = rig.brought.length;
      rig.says(alice, octetsOf(stringOf(request("INFO")).replace("bob@", `td2*${token}*1*2*3*4@`)));
      rig.settle();
      expect([rig.brought.slice(before).at(-1), alice.heard]).toEqual(["b: message", []]);
    }
  });

  it("goes to the other replica behind a takeover when this cell's cannot be reached, and there as long as that is so", () => {
    const { rig, alice } = moving("INVITE");
    expect(rig.lost).toEqual([`${bobs} b`]);
    rig.settle();
    expect(rig.brought.slice(2)).toEqual(["a: hello", "a: takeover", "a: message"]);
    rig.now += unreachableMs - 1;
    rig.says(alice, request("OPTIONS", "2"));
    rig.settle();
    rig.now += 1;
    rig.says(alice, request("OPTIONS", "3"));
    rig.settle();
    // In its own cell again, on a new connection.
    expect(rig.brought.slice(5)).toEqual(["a: message", "b: hello", "b: message"]);
  });

  it.each([
    [
      "is said to the other replica when the one that has it in hand is lost, though it was acknowledged",
      undefined,
      ["takeover", "message", "message"],
    ],
    ["is not when it was answered", "SIP/2.0 200 OK\r\nCall-ID: c\r\nCSeq: 1 BYE\r\n\r\n", ["takeover", "message"]],
  ])("of a call %s", (_what, answer, expected) => {
    const rig = new Rig();
    const alice = rig.softphone("w0.k1.c6336407138e");
    const ofA = `td2*${bobs}*a*1*2*3*4@`;
    rig.says(alice, octetsOf(stringOf(request("BYE")).replace("bob@", ofA)));
    rig.settle();
    if (answer !== undefined) rig.line.deliver(encodeFrame(0, 0, [{ kind: RecordKind.send, key: alice.key, octets: octetsOf(answer) }]));
    rig.now += 10;
    rig.says(alice, octetsOf(stringOf(request("INVITE", "2", "d")).replace("bob@", ofA)));
    rig.refuse();
    const before = rig.brought.length;
    rig.settle();
    const got = rig.brought.slice(before - 1).flatMap((each) => each.replace("b: ", "").split(" "));
    expect(got.filter((kind) => kind !== "hello")).toEqual(expected);
  });

  it("of a call is said to the other replica when nobody says anything more, and the one that has it in hand has died", () => {
    const rig = new Rig();
    const alice = rig.softphone("w0.k1.c6336407138e");
    rig.says(alice, octetsOf(stringOf(request("BYE")).replace("bob@", `td2*${bobs}*a*1*2*3*4@`)));
    rig.settle();
    const before = rig.brought.length;
    rig.pass(owedAskMs);
    // It lives: nothing is said again.
    rig.settle();
    rig.pass(owedAskMs);
    rig.refuse();
    rig.settle();
    expect(rig.brought.slice(before)).toEqual(["a: kept", "a: kept", "b: hello", "b: takeover", "b: message"]);
  });

  it("of a call that was taken is not refused when nobody can be reached any more: who has it in hand may answer yet", () => {
    const rig = new Rig();
    const alice = rig.softphone("w0.k1.c6336407138e");
    rig.says(alice, octetsOf(stringOf(request("BYE")).replace("bob@", `td2*${bobs}*a*1*2*3*4@`)));
    rig.settle();
    rig.pass(owedAskMs);
    rig.refuseAll();
    expect([rig.lost, alice.heard]).toEqual([[`${bobs} a`, `${bobs} b`], []]);
  });

  it("goes where the request came from that it answers, though that replica could not be reached a moment ago", () => {
    const { rig, alice } = moving("OPTIONS");
    rig.settle();
    const via = `Via: SIP/2.0/WS x.invalid;branch=z9hG4bKtd${bobs}.r1.l1;td=b*g1~u0..7f00000113c4*s`;
    rig.line.deliver(
      encodeFrame(0, 0, [{ kind: RecordKind.send, key: "alice", octets: octetsOf(`INVITE sip:alice@x SIP/2.0\r\n${via}\r\n\r\n`) }]),
    );
    const before = rig.brought.length;
    rig.says(alice, octetsOf(`SIP/2.0 180 Ringing\r\n${via}\r\n\r\n`));
    rig.settle();
    expect(rig.brought.slice(before)).toEqual(["b: hello", "b: message"]);
  });

  it("[RFC3261 21.5.4] is answered 503 when no replica can be reached; an ACK and a response are not", () => {
    const rig = new Rig();
    const alice = rig.softphone("alice");
    for (const octets of [request("OPTIONS"), request("ACK"), octetsOf("SIP/2.0 200 OK\r\n\r\n")]) rig.says(alice, octets);
    rig.refuseAll();
    expect(alice.heard).toEqual(["SIP/2.0 503 Service Unavailable"]);
  });

  it("of an earlier connection is over: what is said about it late counts no more", () => {
    const { rig, alice } = spoken("OPTIONS");
    rig.says(alice, request("CANCEL"));
    rig.now += 10;
    rig.says(alice, request("OPTIONS", "2"));
    const late = rig.taken();
    rig.refuse();
    const before = [...rig.brought];
    late.over(encodeFrame(0, late.seq, [send("alice", "BYE")]));
    expect([alice.heard, rig.brought]).toEqual([[], before]);
  });

  it("to another cell waits until the one before it is answered: requests between cells overtake each other", () => {
    const { rig, alice } = moving("INVITE");
    rig.settle();
    const before = rig.brought.length;
    for (const branch of ["2", "3"]) {
      rig.now += 10;
      rig.says(alice, request("OPTIONS", branch));
    }
    expect(rig.brought.slice(before)).toEqual(["a: message"]);
    rig.answer();
    expect(rig.brought.slice(before)).toEqual(["a: message", "a: message"]);
    rig.settle();
    expect(rig.line.octetsHeld).toBe(0);
  });
});

describe("what the replica of this cell has answered and not kept", () => {
  it("is said again when that has started anew", () => {
    const { rig, alice } = unkept();
    rig.now += 10;
    rig.says(alice, request("OPTIONS", "2"));
    const before = rig.brought.length;
    rig.answer(says("second", 0));
    expect(rig.brought.slice(before)).toEqual(["b: message"]);
    expect(rig.taken().records.map(({ octets }) => stringOf(octets).split("\r\n", 1)[0])).toEqual(["INVITE sip:bob@example.test SIP/2.0"]);
  });

  it("is asked for when nothing else is said, and forgotten when it is kept", () => {
    const { rig, alice } = unkept();
    rig.pass(keptAskMs);
    expect(rig.brought.slice(2)).toEqual(["b: kept"]);
    rig.answer(says("first", 2));
    rig.pass(keptAskMs);
    rig.says(alice, request("OPTIONS", "2"));
    rig.answer(says("second", 0));
    expect(rig.brought.slice(3)).toEqual(["b: message"]);
  });

  it("goes to the other replica behind a takeover when that cannot be reached any more", () => {
    const { rig, alice } = unkept();
    rig.now += 10;
    rig.says(alice, request("CANCEL"));
    rig.refuse();
    rig.settle();
    expect(rig.brought.slice(3)).toEqual(["a: hello", "a: takeover", "a: message message"]);
  });
});

describe("what an exchange sends", () => {
  it("goes back when its softphone has gone, as an answer and after one", () => {
    const rig = new Rig();
    const alice = rig.softphone("alice");
    const returned = rig.line.deliver(encodeFrame(0, 0, [send("gone", "INVITE"), send("alice", "INVITE")]));
    expect([recordsOf(returned ?? new Uint8Array(0)).map(({ key }) => key), alice.heard.length]).toEqual([["gone"], 1]);
    rig.says(alice, request("OPTIONS"));
    rig.answer();
    rig.answer(send("gone", "BYE"));
    expect(rig.brought.slice(2)).toEqual(["b: undeliverable"]);
  });

  it("and comes late begins nothing; what belongs to calls is delivered", () => {
    const rig = new Rig();
    const alice = rig.softphone("alice");
    const cancel = encodeFrame(0, 0, [send("alice", "INVITE"), send("alice", "CANCEL")]);
    expect(rig.line.deliver(cancel, rig.now - 1)).toBeUndefined();
    expect(alice.heard).toEqual(["CANCEL sip:bob@example.test SIP/2.0"]);
    expect(rig.line.deliver(cancel, rig.now)).toBeDefined();
    expect(alice.heard).toHaveLength(3);
  });

  it("closes a flow, and finds no address outside", () => {
    const rig = new Rig();
    rig.softphone("alice");
    const frame = encodeFrame(0, 0, [
      { kind: RecordKind.closeFlow, key: "alice", octets: new Uint8Array(0) },
      { kind: RecordKind.resolve, key: "question", octets: octetsOf("sip:elsewhere.test") },
      send("alice", "INVITE"),
    ]);
    const returned = recordsOf(rig.line.deliver(frame) ?? frame);
    expect(returned.map(({ kind, octets }) => [nameOf(kind), kind === RecordKind.resolved ? stringOf(octets) : ""])).toEqual([
      ["resolved", "[]"],
      ["undeliverable", ""],
    ]);
  });

  it("that is no frame is an error of its sender", () => {
    expect(() => new Rig().line.deliver(new Uint8Array(3))).toThrow("frame to line b.0: shorter than its header");
  });
});

describe("the end of a softphone", () => {
  it("is told to the exchanges that it has talked to, behind its last words", () => {
    const rig = new Rig();
    const alice = rig.softphone("alice");
    rig.says(alice, request("OPTIONS"));
    rig.line.ended("alice", alice);
    expect(rig.line.octetsHeld).toBeGreaterThan(0);
    rig.settle();
    expect([rig.brought, rig.line.octetsHeld]).toEqual([["b: hello", "b: message", "b: closed"], 0]);
  });

  it("is told to the replica that has taken its calls over", () => {
    const { rig, alice } = moving("OPTIONS");
    rig.line.ended("alice", alice);
    rig.settle();
    expect(rig.brought.slice(2)).toEqual(["a: hello", "a: takeover", "a: message closed"]);
  });
});

describe("an exchange that is late", () => {
  it("[RFC3261 21.5.4] has new calls of softphones refused with 503, and what goes on brought", () => {
    const rig = new Rig();
    const alice = rig.softphone("w0.1.c6336407138e");
    rig.calls(alice, shedColdMs, 10);
    expect(alice.heard).toEqual([]);
    rig.calls(alice, 8_000, 700);
    expect(alice.heard.length).toBeGreaterThan(200);
    expect(new Set(alice.heard)).toEqual(new Set(["SIP/2.0 503 Service Unavailable"]));
    const refused = alice.heard.length;
    for (let count = 0; count < 100; count += 1) rig.says(alice, request("BYE", String(count), `bye${count}`));
    expect(alice.heard).toHaveLength(refused);
    rig.calls(alice, 8_000, 10);
    expect(rig.news).toEqual(["began", "ended"]);
  });
});
