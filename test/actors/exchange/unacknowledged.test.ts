import { describe, expect, it } from "vitest";
import { unacknowledgedOctetsMax } from "../../../actors/limits.ts";
import { messageOctetsMax, t1Ms } from "../../../sip/limits.ts";
import { RecordKind, type FrameRecord } from "../../../cluster/backhaul/frame.ts";
import { Unacknowledged } from "../../../actors/exchange/unacknowledged.ts";

const udpFlow = "u0..c633640713c4";
const tcpFlow = "t1.c1.c633640713c4";

function send(name: string, key = tcpFlow, size = 0): FrameRecord {
  return { kind: RecordKind.send, key, octets: new TextEncoder().encode(name.padEnd(size)) };
}

function namesOf(records: readonly FrameRecord[]): string[] {
  return records.map(({ octets }) => new TextDecoder().decode(octets).trim());
}

describe("what was sent on a backhaul", () => {
  it("is kept in order until it is acknowledged", () => {
    const sent = new Unacknowledged();
    for (const seq of [1, 2, 3]) sent.add(seq, [send(`${seq}a`), send(`${seq}b`)], 0);
    sent.acknowledge(0, 0);
    sent.acknowledge(1, 0);
    expect(namesOf(sent.take(0))).toEqual(["2a", "2b", "3a", "3b"]);
    expect([sent.take(0), sent.isEmpty]).toEqual([[], true]);
  });

  it("is kept when nobody says it again: no datagrams, no ends of connections, but questions", () => {
    const sent = new Unacknowledged();
    const question = { kind: RecordKind.resolve, key: "1", octets: new TextEncoder().encode("question") };
    const others = [RecordKind.closeFlow, RecordKind.serving].map((kind) => ({ kind, key: tcpFlow, octets: new Uint8Array(0) }));
    sent.add(1, [send("datagram", udpFlow), ...others], 0);
    expect(sent.isEmpty).toBe(true);
    sent.add(2, [send("datagram", udpFlow), send("connection"), ...others, question], 0);
    expect(namesOf(sent.take(0))).toEqual(["connection", "question"]);
  });

  it("is of use as long as a transaction may wait for it", () => {
    const sent = new Unacknowledged();
    sent.add(1, [send("old")], 0);
    sent.add(2, [send("young")], 1);
    expect(namesOf(sent.take(64 * t1Ms))).toEqual(["young"]);
  });

  it(`has at most ${unacknowledgedOctetsMax} octets: the oldest is forgotten`, () => {
    const sent = new Unacknowledged();
    const frames = 2 * Math.ceil(unacknowledgedOctetsMax / messageOctetsMax);
    for (let seq = 1; seq <= frames; seq += 1) sent.add(seq, [send(String(seq), tcpFlow, messageOctetsMax)], 0);
    const left = sent.take(0);
    expect(left.length * messageOctetsMax).toBeLessThanOrEqual(unacknowledgedOctetsMax);
    expect(left.length).toBeGreaterThan(frames / 2 - 3);
    expect(namesOf(left).at(-1)).toBe(String(frames));
    sent.add(frames + 1, [send("after")], 0);
    expect(namesOf(sent.take(0))).toEqual(["after"]);
  });

  it("says how long one frame's answer took, and times the next one then; datagrams are timed as well", () => {
    const sent = new Unacknowledged();
    expect(sent.acknowledge(0, 0)).toBeUndefined();
    sent.add(1, [send("first", udpFlow)], 100);
    sent.add(2, [send("second")], 900);
    expect(sent.acknowledge(0, 1_000)).toBeUndefined();
    expect(sent.acknowledge(1, 1_100)).toBe(1_000);
    expect(sent.acknowledge(2, 1_200)).toBeUndefined();
    sent.add(3, [], 1_300);
    expect(sent.acknowledge(3, 1_303)).toBe(3);
  });
});
