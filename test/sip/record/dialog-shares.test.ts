import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dialogOctets, dialogOctetsFactor, strangersSilentMs } from "../../../sip/limits.ts";
import { DialogShares } from "../../../sip/record/dialog-shares.ts";
import { RecordStore } from "../../../sip/record/record-store.ts";
import type { LiveRecord } from "../../../sip/record/state-record.ts";
import { dialogRecord, recordsArbitrary, side, version } from "./records.ts";
import { told } from "./told.ts";

function recounted(store: RecordStore): DialogShares["counts"] {
  const shares = new DialogShares();
  for (const record of store.records("dialog")) shares.count(record, 1);
  return shares.counts;
}

/** A dialog that a stranger has begun with this callee. */
function ofStranger(n: number, callee = "bob", source = "c0000201"): LiveRecord<"dialog"> {
  const record = dialogRecord(version(1), { caller: side("q", { addressOfRecord: "" }), callee: side(callee), source });
  return { ...record, key: `d${String(n).padStart(4, "0")} q ${callee}` };
}

const kept = (): string => "c0000201";
const elsewhere = (): string => "c0000202";

describe("the octets of dialogs", () => {
  it("are those of the records that are held, whatever has come, ended, been swept, read back, or been told by the peer", () => {
    fc.assert(
      fc.property(recordsArbitrary, fc.infiniteStream(fc.constantFrom("local", "peer", "disk", "sweep")), (records, ways) => {
        const store = new RecordStore();
        for (const [index, record] of records.entries()) {
          const way = ways.next().value;
          if (way === "sweep") store.sweep(40_000 + 1_000 * index);
          store.apply(record, way === "sweep" ? "local" : way);
          expect(store.dialogShares.counts).toEqual(recounted(store));
        }
        const other = new RecordStore();
        for (const record of told(store.changedSince(0, 1_000, true).records)) other.apply(record, "peer");
        expect(other.dialogShares.counts).toEqual(store.dialogShares.counts);
        store.sweep(Number.MAX_SAFE_INTEGER);
        expect(store.dialogShares.counts).toEqual({ octets: 0, ofStrangers: 0, sources: {}, callees: {} });
      }),
      { numRuns: 500 },
    );
  });

  // A little less than one of them is, and more than half.
  const one = dialogOctets + 40;
  const limits = { all: 20 * one, ofStrangers: 10 * one, perSource: 6 * one, perCallee: 3 * one };

  it("leave room for others: of all strangers, of a source, for a callee", () => {
    const shares = new DialogShares(limits);
    for (let n = 0; n < 3; n += 1) shares.count(ofStranger(n), 1);
    expect(shares.mayBegin("bob@example.test", elsewhere)).toBe(false);
    expect(shares.mayBegin("bob@example.test", undefined)).toBe(true);
    expect(shares.mayBegin("carol@example.test", kept)).toBe(true);
    for (let n = 3; n < 6; n += 1) shares.count(ofStranger(n, "carol"), 1);
    expect(shares.mayBegin("dave@example.test", kept)).toBe(false);
    expect(shares.mayBegin("dave@example.test", elsewhere)).toBe(true);
    for (let n = 6; n < 10; n += 1) shares.count(ofStranger(n, "dave", `c000030${n}`), 1);
    expect(shares.mayBegin("erin@example.test", elsewhere)).toBe(false);
    expect(shares.mayBegin("erin@example.test", undefined)).toBe(true);
    for (let n = 10; n < 20; n += 1) shares.count(dialogRecord(version(1)), 1);
    expect(shares.mayBegin("erin@example.test", undefined)).toBe(false);
    for (let n = 0; n < 10; n += 1) shares.count(dialogRecord(version(1)), -1);
    expect(shares.mayBegin("erin@example.test", undefined)).toBe(true);
  });

  it("are kept beyond a share only for what rang, and only within a factor", () => {
    const shares = new DialogShares(limits);
    let count = 0;
    while (count < 100 && shares.mayKeep(ofStranger(count).value)) {
      shares.count(ofStranger(count), 1);
      count += 1;
    }
    expect(count).toBeGreaterThan(3);
    expect(count).toBeLessThanOrEqual(Math.ceil(3 * dialogOctetsFactor) + 1);
    expect(shares.mayKeep(dialogRecord(version(1)).value)).toBe(true);
  });

  it("of a stranger who is silent are to go when half of a share is taken, and no sooner", () => {
    const shares = new DialogShares(limits);
    const { value } = ofStranger(0);
    shares.count(ofStranger(0), 1);
    const silent = value.createdAt + strangersSilentMs;
    expect(shares.isToGo(value, silent)).toBe(false);
    shares.count(ofStranger(1), 1);
    expect(shares.isToGo(value, silent)).toBe(true);
    expect(shares.isToGo(value, silent - 1)).toBe(false);
    expect(shares.isToGo({ ...value, callee: side("bob", { version: version(2_000) }) }, silent)).toBe(false);
    expect(shares.isToGo({ ...value, caller: side("alice") }, silent)).toBe(false);
  });
});
