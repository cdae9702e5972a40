import { describe, expect, it } from "vitest";
import { readServed } from "../../workers/served-certificate.ts";
import { chain, from, key, otherKey, until } from "./served-of-tests.ts";

const served = { directory: "https://ca.test/", names: ["a.test", "b.test"], chain, key, until };
const now = from + 60_000;

describe("a certificate that a host says gateways show", () => {
  it("is kept with what stands in it", () => {
    expect(readServed(served, now)).toEqual({ ...served, from });
    // An intermediate one follows.
    expect(readServed({ ...served, chain: chain + chain }, now)).toHaveProperty("from", from);
  });

  it.each([
    ["no chain", { chain: "a chain" }, "chain and key are no PEM of a certificate and its key"],
    ["no certificate in it", { chain: chain.replace(/A/, "B") }, "chain and key are no PEM of a certificate and its key"],
    ["no key", { key: "a key" }, "chain and key are no PEM of a certificate and its key"],
    ["another key", { key: otherKey }, "it is for another key"],
    ["another name", { names: ["a.test", "c.test"] }, "it does not name c.test"],
    ["another end", { until: Number.MAX_SAFE_INTEGER }, "it ends at another time than was said"],
  ])("is refused with %s", (_name, change, refused) => {
    expect(readServed({ ...served, ...change }, now)).toEqual({ refused });
  });

  it("is refused after its end, and before its time", () => {
    expect(readServed(served, until)).toEqual({ refused: "it has ended" });
    expect(readServed(served, from - 3_600_000)).toEqual({ refused: "it is not good yet" });
  });
});
