import { describe, expect, it } from "vitest";
import { type Keyring, markOf, merged } from "../../../cluster/authority/keyring.ts";
import { KnownKeyring } from "../../../cluster/authority/known-keyring.ts";
import { servedCertificatesMax } from "../../../cluster/authority/limits.ts";
import { mergedServed, type ServedCertificate, servedIdOf } from "../../../cluster/authority/served.ts";

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
