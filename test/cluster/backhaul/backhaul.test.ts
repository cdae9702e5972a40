import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeFrame, encodeFrame, isFrameError, RecordKind, type Frame, type FrameRecord } from "../../../cluster/backhaul/frame.ts";
import { Backhaul, type BackhaulLimits } from "../../../cluster/backhaul/backhaul.ts";
import { octetsOf } from "../../../sip/message/octets.ts";
import { frameAckDelayMs } from "../../../cluster/limits.ts";
import { messageOctetsMax } from "../../../sip/limits.ts";

const limits: BackhaulLimits = { queueOctetsMax: 1000, distanceMsMin: 1, distanceMsMax: 4, patientDelayMs: 20, flushOctets: 200 };
const hello: FrameRecord = { kind: RecordKind.hello, key: "g1", octets: new Uint8Array([123, 125]) };

function record(text: string, size = 1): FrameRecord {
  return { kind: RecordKind.message, key: text, octets: new Uint8Array(size) };
}

function decoded(octets: Uint8Array | undefined): Frame {
  const frame = decodeFrame(octets ?? new Uint8Array(0));
  if (isFrameError(frame)) throw new Error(frame.frameError);
  return frame;
}

function keysOf(frames: readonly Uint8Array[]): string[][] {
  return frames.map((frame) => decoded(frame).records.map(({ key }) => key));
}

/** A connected backhaul whose hello is acknowledged. */
function connected(): Backhaul {
  const backhaul = new Backhaul(limits);
  backhaul.connect(hello, 0);
  backhaul.receive(encodeFrame(0, 1, []), 0);
  return backhaul;
}

describe("what an exchange has sent", () => {
  test("is acknowledged by the next frame that leaves", () => {
    const backhaul = connected();
    expect(backhaul.receive(encodeFrame(1, 1, [record("in")]), 10)).toHaveLength(1);
    backhaul.offer(record("out"), 20);
    expect(backhaul.tick(20).map((octets) => decoded(octets).ack)).toEqual([1]);
    expect(backhaul.tick(10 + frameAckDelayMs)).toEqual([]);
  });

  test("is acknowledged without records when none leave, once, and so much later that an answer may bring it along", () => {
    const backhaul = connected();
    backhaul.receive(encodeFrame(1, 1, [record("in")]), 10);
    backhaul.receive(encodeFrame(2, 1, [record("in")]), 20);
    expect(backhaul.nextDeadline()).toBe(10 + frameAckDelayMs);
    expect(backhaul.tick(9 + frameAckDelayMs)).toEqual([]);
    expect(backhaul.tick(10 + frameAckDelayMs).map((octets) => decoded(octets))).toEqual([{ seq: 0, ack: 2, records: [] }]);
    expect(backhaul.nextDeadline()).toBeUndefined();
    expect(backhaul.tick(1_000)).toEqual([]);
  });

  test("is not acknowledged on a later connection, which counts anew", () => {
    const backhaul = connected();
    backhaul.receive(encodeFrame(1, 1, [record("in")]), 10);
    backhaul.disconnect();
    expect(backhaul.nextDeadline()).toBeUndefined();
    backhaul.connect(hello, 20);
    expect(backhaul.tick(1_000)).toEqual([]);
  });
});

describe("flush", () => {
  const ack = { kind: RecordKind.message, key: "ack", octets: octetsOf("ACK sip:a@b SIP/2.0\r\n\r\n") };

  test("a record leaves at once when nothing is unanswered", () => {
    const backhaul = connected();
    expect(backhaul.offer(record("1"), 100)).toBe(true);
    expect(backhaul.nextDeadline()).toBe(100);
    expect(keysOf(backhaul.tick(100))).toEqual([["1"]]);
    expect(backhaul.nextDeadline()).toBeUndefined();
    expect(backhaul.tick(100)).toEqual([]);
  });

  test("while a frame is unanswered, records wait until the least distance is kept, and share one", () => {
    const backhaul = connected();
    backhaul.offer(record("1"), 100);
    backhaul.tick(100);
    backhaul.offer(record("2"), 100);
    backhaul.offer(record("3"), 100);
    expect(backhaul.nextDeadline()).toBe(101);
    expect(backhaul.tick(100)).toEqual([]);
    expect(keysOf(backhaul.tick(101))).toEqual([["2", "3"]]);
  });

  test("the distance grows with the square root of what a frame held, up to distanceMsMax, and shrinks with it", () => {
    const backhaul = connected();
    let now = 100;
    const distanceAfter = (count: number): number => {
      for (let index = 0; index < count; index += 1) expect(backhaul.offer(record("1", 0), now)).toBe(true);
      now = backhaul.nextDeadline() ?? Number.NaN;
      expect(keysOf(backhaul.tick(now))).toEqual([Array.from({ length: count }, () => "1")]);
      backhaul.offer(record("2", 0), now);
      const distance = (backhaul.nextDeadline() ?? Number.NaN) - now;
      now += distance;
      backhaul.tick(now);
      now += 100;
      return distance;
    };
    backhaul.offer(record("0", 0), 0);
    backhaul.tick(0);
    expect([1, 2, 4, 7, 9, 16, 25].map(distanceAfter)).toEqual([1, 1, 2, 3, 3, 4, 4]);
    expect(distanceAfter(1)).toBe(1);
  });

  test("what is taken back makes nobody wait longer", () => {
    const backhaul = connected();
    backhaul.offer(record("1"), 100);
    backhaul.tick(100);
    backhaul.disconnect();
    for (const key of ["2", "3", "4"]) backhaul.offer(record(key), 100);
    expect(backhaul.takeUnacknowledged().map(({ key }) => key)).toEqual(["1", "2", "3", "4"]);
    backhaul.connect(hello, 200);
    backhaul.offer(record("5"), 200);
    expect(keysOf(backhaul.tick(200))).toEqual([["5"]]);
    backhaul.offer(record("6"), 200);
    expect(backhaul.nextDeadline()).toBe(201);
  });

  test("the like of REGISTER keeps a millisecond for each record of the last frame, up to patientDelayMs, until another one takes it along", () => {
    const register = { kind: RecordKind.message, key: "reg", octets: octetsOf("REGISTER sip:b SIP/2.0\r\n") };
    const backhaul = new Backhaul({ ...limits, queueOctetsMax: 100_000, flushOctets: 100_000 });
    backhaul.connect(hello, 0);
    let now = 0;
    for (const [count, distance] of [
      [1, 1],
      [9, 9],
      [30, limits.patientDelayMs],
    ] as const) {
      for (let index = 0; index < count; index += 1) backhaul.offer(record("1"), now);
      now = backhaul.nextDeadline() ?? Number.NaN;
      expect(backhaul.tick(now)).toHaveLength(1);
      backhaul.offer(register, now);
      expect(backhaul.nextDeadline()).toBe(now + distance);
      now += distance;
      expect(keysOf(backhaul.tick(now))).toEqual([["reg"]]);
      now += 100;
    }
    for (let index = 0; index < 9; index += 1) backhaul.offer(record("1"), now);
    backhaul.tick(now);
    backhaul.offer(register, now);
    backhaul.offer(record("2"), now);
    expect(keysOf(backhaul.tick(now + 3))).toEqual([["reg", "2"]]);
  });

  test("a record that can wait does so, until another one takes it along or its own time is over", () => {
    const backhaul = connected();
    backhaul.offer(record("1"), 100);
    backhaul.tick(100);
    backhaul.offer(ack, 100);
    expect(backhaul.nextDeadline()).toBe(120);
    backhaul.offer(record("2"), 100);
    expect(backhaul.nextDeadline()).toBe(101);
    expect(keysOf(backhaul.tick(101))).toEqual([["ack", "2"]]);
    backhaul.offer(ack, 103);
    expect(backhaul.tick(122)).toEqual([]);
    expect(keysOf(backhaul.tick(123))).toEqual([["ack"]]);
  });

  test("a record that comes long after the last frame leaves at once, though that is unanswered", () => {
    const backhaul = connected();
    backhaul.offer(record("1"), 100);
    backhaul.tick(100);
    backhaul.offer(record("2"), 105);
    expect(backhaul.nextDeadline()).toBe(105);
    expect(keysOf(backhaul.tick(105))).toEqual([["2"]]);
  });

  test("an acknowledgement sets waiting records free", () => {
    const backhaul = connected();
    backhaul.offer(record("1"), 100);
    backhaul.tick(100);
    backhaul.offer(record("2"), 100);
    expect(backhaul.receive(encodeFrame(0, 2, []), 0)).toEqual([]);
    expect(keysOf(backhaul.tick(100))).toEqual([["2"]]);
  });

  test("frameFlushOctets waiting leave at once", () => {
    const backhaul = connected();
    backhaul.offer(record("1"), 100);
    backhaul.tick(100);
    backhaul.offer(record("2", 150), 100);
    expect(backhaul.tick(100)).toEqual([]);
    backhaul.offer(record("3", 50), 100);
    expect(keysOf(backhaul.tick(100))).toEqual([["2", "3"]]);
  });

  test("what collected without a connection leaves in frames of about frameFlushOctets", () => {
    const backhaul = new Backhaul(limits);
    for (let i = 0; i < 4; i += 1) backhaul.offer(record(String(i), 150), 100);
    expect(backhaul.tick(200)).toEqual([]);
    expect(backhaul.nextDeadline()).toBeUndefined();
    backhaul.connect(hello, 300);
    backhaul.receive(encodeFrame(0, 1, []), 0);
    expect(keysOf(backhaul.tick(300))).toEqual([
      ["0", "1"],
      ["2", "3"],
    ]);
  });
});

describe("sequence numbers and acknowledgements", () => {
  test("frames count from 1, the hello is the first, and acknowledge what came", () => {
    const backhaul = new Backhaul(limits);
    const [first] = backhaul.connect(hello, 0);
    expect(decoded(first)).toEqual({ seq: 1, ack: 0, records: [hello] });
    expect(backhaul.receive(encodeFrame(1, 1, [record("in")]), 0)).toEqual([record("in")]);
    backhaul.offer(record("1"), 0);
    expect(decoded(backhaul.tick(0)[0])).toMatchObject({ seq: 2, ack: 1 });
  });

  test("acknowledgement is cumulative", () => {
    const backhaul = connected();
    for (const [index, text] of ["1", "2", "3"].entries()) {
      backhaul.offer(record(text), 1_000 * index);
      backhaul.tick(1_000 * index);
    }
    backhaul.receive(encodeFrame(0, 3, []), 0);
    backhaul.disconnect();
    expect(backhaul.takeUnacknowledged().map(({ key }) => key)).toEqual(["3"]);
    expect(backhaul.octetsHeld).toBe(0);
  });

  test.each([
    ["a gap", encodeFrame(2, 0, [])],
    ["an acknowledgement of what was never sent", encodeFrame(1, 9, [])],
    ["octets that are no frame", new Uint8Array([9, 9])],
  ])("%s is an error", (_name, octets) => {
    expect(connected().receive(octets, 0)).toHaveProperty("frameError");
  });

  test("a late, lower acknowledgement changes nothing", () => {
    const backhaul = connected();
    backhaul.offer(record("1"), 0);
    backhaul.tick(0);
    backhaul.receive(encodeFrame(0, 2, []), 0);
    expect(backhaul.receive(encodeFrame(0, 1, []), 0)).toEqual([]);
    expect(backhaul.unansweredSince).toBeUndefined();
  });
});

describe("bounds", () => {
  test("over backhaulQueueOctetsMax, waiting and unacknowledged together, a record is refused; after an acknowledgement there is room", () => {
    const backhaul = connected();
    expect(backhaul.offer(record("1", 600), 0)).toBe(true);
    backhaul.tick(0);
    expect(backhaul.offer(record("2", 380), 0)).toBe(true);
    expect(backhaul.offer(record("3", 380), 0)).toBe(false);
    backhaul.receive(encodeFrame(0, 2, []), 0);
    expect(backhaul.offer(record("3", 380), 0)).toBe(true);
  });

  test("a record that no frame can carry is refused, not held for ever", () => {
    const backhaul = new Backhaul();
    expect(backhaul.offer(record("1", messageOctetsMax + 1), 0)).toBe(false);
    expect(backhaul.offer(record("k".repeat(256)), 0)).toBe(false);
  });

  test("what was offered too long ago can be given up, but only while there is no connection", () => {
    const backhaul = connected();
    backhaul.offer(record("sent"), 10);
    backhaul.tick(10);
    backhaul.offer(record("old"), 20);
    backhaul.offer(record("new"), 30);
    expect(backhaul.takeOfferedBefore(30)).toEqual([]);
    backhaul.disconnect();
    expect(backhaul.takeOfferedBefore(30).map(({ key }) => key)).toEqual(["sent", "old"]);
    expect(backhaul.takeUnacknowledged().map(({ key }) => key)).toEqual(["new"]);
  });
});

describe("replay", () => {
  test("a new connection gets its own hello and then all that was not acknowledged, in order, with new numbers", () => {
    const backhaul = connected();
    backhaul.offer(record("1"), 0);
    backhaul.tick(0);
    backhaul.receive(encodeFrame(1, 2, []), 0);
    backhaul.offer(record("2"), 0);
    backhaul.tick(0);
    backhaul.offer(record("3"), 0);
    backhaul.disconnect();
    backhaul.offer(record("4"), 0);
    const frames = backhaul.connect(hello, 50);
    expect(frames.map((frame) => decoded(frame)).map(({ seq, ack }) => [seq, ack])).toEqual([
      [1, 0],
      [2, 0],
    ]);
    expect(keysOf(frames)).toEqual([["g1"], ["2"]]);
    expect(keysOf(backhaul.tick(52))).toEqual([["3", "4"]]);
  });

  test("a connection lost before its hello was acknowledged does not send it twice", () => {
    const backhaul = new Backhaul(limits);
    backhaul.connect(hello, 0);
    backhaul.disconnect();
    expect(keysOf(backhaul.connect(hello, 1))).toEqual([["g1"]]);
  });
});

test("whenever connections are lost, nothing accepted is lost and the order is kept", () => {
  // The other side: processes frames in order, and acknowledges some of them before the connection goes.
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant("offer" as const), size: fc.integer({ min: 0, max: 120 }) }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant("wait" as const), ms: fc.integer({ min: 0, max: 4 }) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant("deliver" as const), frames: fc.integer({ min: 1, max: 5 }) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant("answer" as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("lose" as const) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const backhaul = new Backhaul(limits);
      const accepted: string[] = [];
      const arrived: string[] = [];
      let now = 0;
      let onTheWay: Uint8Array[] = backhaul.connect(hello, now);
      let processed = 0;
      let replies = 0;
      const deliver = (count: number): void => {
        for (const octets of onTheWay.splice(0, count)) {
          const frame = decoded(octets);
          if (frame.seq === 0) continue;
          expect(frame.seq).toBe(processed + 1);
          processed = frame.seq;
          for (const { kind, key } of frame.records) if (kind === RecordKind.message) arrived.push(key);
        }
      };
      const answer = (): void => {
        replies += 1;
        expect(backhaul.receive(encodeFrame(replies, processed, [record("back")]), 0)).toHaveLength(1);
      };
      const lose = (): void => {
        backhaul.disconnect();
        processed = 0;
        replies = 0;
        onTheWay = backhaul.connect(hello, now);
      };
      for (const each of steps) {
        if (each.do === "offer") {
          const key = String(accepted.length);
          if (backhaul.offer(record(key, each.size), now)) accepted.push(key);
        } else if (each.do === "wait") now += each.ms;
        else if (each.do === "deliver") deliver(each.frames);
        else if (each.do === "answer") answer();
        else lose();
        expect(backhaul.octetsHeld).toBeLessThanOrEqual(limits.queueOctetsMax);
        onTheWay.push(...backhaul.tick(now));
      }
      onTheWay.push(...backhaul.tick(now + limits.distanceMsMax));
      deliver(Number.POSITIVE_INFINITY);
      answer();
      onTheWay.push(...backhaul.tick(now + limits.distanceMsMax));
      deliver(Number.POSITIVE_INFINITY);
      answer();
      // First arrivals are complete and in order; every repeat run continues where an earlier one began.
      expect([...new Set(arrived)]).toEqual(accepted);
      for (let i = 1; i < arrived.length; i += 1) expect(Number(arrived[i])).toBeLessThanOrEqual(Number(arrived[i - 1]) + 1);
      expect(backhaul.octetsHeld).toBe(0);
      // The last answer is acknowledged by a frame of its own.
      expect(backhaul.tick(now + frameAckDelayMs).map((octets) => decoded(octets))).toEqual([{ seq: 0, ack: replies, records: [] }]);
      expect(backhaul.nextDeadline()).toBeUndefined();
    }),
    { numRuns: 500 },
  );
});

test("while nothing is answered, frames keep their distance, and nobody waits longer than that or his patience", () => {
  const ack = octetsOf("ACK sip:a@b SIP/2.0\r\n\r\n");
  const offers = fc.array(fc.record({ afterMs: fc.integer({ min: 0, max: 6 }), isAck: fc.boolean() }), { minLength: 1, maxLength: 80 });
  fc.assert(
    fc.property(offers, (list) => {
      const backhaul = new Backhaul({ ...limits, queueOctetsMax: 100_000, flushOctets: 100_000 });
      backhaul.connect(hello, 0);
      const offeredAt: { readonly at: number; readonly isAck: boolean }[] = [];
      const leftAt: number[] = [];
      let now = 0;
      let taken = 0;
      const passUntil = (end: number): void => {
        for (; now <= end; now += 1) {
          for (const octets of backhaul.tick(now)) {
            const previous = leftAt.at(-1) ?? Number.NEGATIVE_INFINITY;
            leftAt.push(now);
            const { records } = decoded(octets);
            expect(now - previous).toBeGreaterThanOrEqual(limits.distanceMsMin);
            for (const { at, isAck } of offeredAt.slice(taken, taken + records.length))
              expect(now - at).toBeLessThanOrEqual(isAck ? limits.patientDelayMs : limits.distanceMsMax);
            taken += records.length;
          }
        }
      };
      let at = 0;
      for (const { afterMs, isAck } of list) {
        at += afterMs;
        if (at > 0) passUntil(at - 1);
        now = at;
        backhaul.offer(isAck ? { kind: RecordKind.message, key: "ack", octets: ack } : record("1"), at);
        offeredAt.push({ at, isAck });
      }
      passUntil(at + limits.patientDelayMs);
      expect(taken).toBe(list.length);
    }),
    { numRuns: 300 },
  );
});
