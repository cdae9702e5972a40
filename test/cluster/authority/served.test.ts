import { describe, expect, it } from "vitest";
import { type Keyring, markOf, merged } from "../../../cluster/authority/keyring.ts";
import { KnownKeyring } from "../../../cluster/authority/known-keyring.ts";
import { servedAheadMs, servedCertificatesMax } from "../../../cluster/authority/limits.ts";
import { type CertificateRead, mergedServed, type ServedCertificate, servedFault, servedIdOf } from "../../../cluster/authority/served.ts";

const one: ServedCertificate = { directory: "https://ca.test/", names: ["a.test", "b.test"], chain: "chain 1", key: "key 1", until: 2_000 };
const renewed: ServedCertificate = { ...one, names: ["b.test", "a.test"], chain: "chain 2", key: "key 2", until: 3_000 };
const other: ServedCertificate = { ...one, names: ["c.test"], chain: "chain 3", key: "key 3" };
const ring: Keyring = { version: 1, writer: "", secret: "s" };

describe("certificates that cells keep for gateways", () => {
  it("are of one authority and some names, in whichever order, and the latest of each counts until its end", () => {
    expect(servedIdOf(one)).toBe(servedIdOf(renewed));
    expect(mergedServed([one, renewed, other], 1_000)).toEqual([renewed, other]);
    expect(mergedServed([renewed, other, one], 1_000)).toEqual([renewed, other]);
    expect(mergedServed([one, renewed, other], 2_000)).toEqual([renewed]);
    expect(mergedServed([one, renewed, other], 3_000)).toEqual([]);
    expect(mergedServed([one, { ...one, directory: "https://else.test/" }], 0)).toHaveLength(2);
  });

  it("are replaced by one that was issued later, whenever either ends, and by none that is said to come from the future", () => {
    const [now, endless] = [1_000_000, { ...one, chain: "endless", until: Number.MAX_SAFE_INTEGER, from: 900_000 }];
    const good = { ...renewed, from: 950_000, until: 2_000_000 };
    expect(mergedServed([endless, good], now)).toEqual([good]);
    expect(mergedServed([good, endless], now)).toEqual([good]);
    // Told to a cell of an earlier version.
    expect(mergedServed([{ ...one, until: Number.MAX_SAFE_INTEGER }, good], now)).toEqual([good]);
    const ahead = { ...endless, from: now + servedAheadMs + 1 };
    expect(mergedServed([ahead, good], now)).toEqual([good]);
    expect(mergedServed([{ ...ahead, from: now + servedAheadMs }, good], now)).toHaveLength(1);
  });

  it("are none for gateways where key, names or times are others", () => {
    const read: CertificateRead = { from: 500, until: 2_000, isForKey: true, isFor: (name) => name !== "c.test" };
    expect(servedFault(one, read, 1_000)).toBeUndefined();
    expect(servedFault(one, { ...read, isForKey: false }, 1_000)).toBe("it is for another key");
    expect(servedFault({ ...one, names: ["a.test", "c.test"] }, read, 1_000)).toBe("it does not name c.test");
    expect(servedFault({ ...one, until: Number.MAX_SAFE_INTEGER }, read, 1_000)).toBe("it ends at another time than was said");
    expect(servedFault(one, read, 2_000)).toBe("it has ended");
    expect(servedFault(one, { ...read, from: 1_001 + servedAheadMs }, 1_000)).toBe("it is not good yet");
  });

  it("are a few, however many are told", () => {
    const many = Array.from({ length: 100 }, (_, index) => ({ ...one, names: [`n${index}.test`], until: 2_000 + index }));
    const kept = mergedServed(many, 0);
    expect(kept).toHaveLength(servedCertificatesMax);
    expect(kept[0]?.names).toEqual(["n99.test"]);
  });

  it("go from cell to cell with the keyring, and are told apart without being told", () => {
    const [a, b] = [
      { ...ring, served: [one] },
      { ...ring, served: [renewed, other] },
    ];
    expect(merged(a, b, 1_000)).toEqual(merged(b, a, 1_000));
    expect(merged(a, b, 1_000).served).toEqual([renewed, other]);
    expect(merged(a, ring, 1_000)).toEqual(a);
    // A key that is not of the latest ends nowhere, and one cell that lacks it takes nothing away.
    expect(merged(ring, b, 1_000).served).toEqual([renewed, other]);
    const marks = [ring, a, b, { ...ring, served: [{ ...one, chain: "chain 4" }] }].map(markOf);
    expect(new Set(marks).size).toBe(4);
    for (const mark of marks) expect(mark).not.toMatch(/key|chain|test/);
    const known = new KnownKeyring(ring, 1_000);
    expect([known.take(a, 1_000), known.take(a, 1_000), known.take(b, 1_000)]).toEqual([true, false, true]);
    expect(known.secrets).toEqual({ signing: "s", accepted: [] });
  });
});
