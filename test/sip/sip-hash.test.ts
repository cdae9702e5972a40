import { describe, expect, it } from "vitest";
import { sipHash, sipHashKeyOf } from "../../sip/sip-hash.ts";

/** Octets 0, 1, 2, ... as text. */
function counting(length: number): string {
  return String.fromCharCode(...Array.from({ length }, (_, index) => index));
}

const key = sipHashKeyOf(Uint8Array.from({ length: 16 }, (_, index) => index));

/** A hash of the paper's list, eight octets in hex, as our text: its low and high halves as seven digits each. */
function textOf(octets: string): string {
  const view = new DataView(Uint8Array.from(octets.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)).buffer);
  const digits = (at: number): string => view.getUint32(at, true).toString(36).padStart(7, "0");
  return digits(0) + digits(4);
}

describe("sipHash", () => {
  it.each([
    [0, "310e0edd47db6f72"],
    [1, "fd67dc93c539f874"],
    [7, "37d1018bf50002ab"],
    [8, "6224939a79f5f593"],
    [9, "b0e4a90bdf82009e"],
    [15, "e545be4961ca29a1"],
    [16, "db9bc2577fcc2a3f"],
    [63, "724506eb4c328a95"],
  ])("hashes %i octets as the reference implementation does", (length, hash) => {
    expect(sipHash(key, counting(length))).toBe(textOf(hash));
  });

  it("depends on every bit of the key", () => {
    const hashes = new Set([sipHash(key, "text")]);
    for (let bit = 0; bit < 128; bit += 1) {
      const octets = Uint8Array.from({ length: 16 }, (_, index) => index ^ (index === bit >> 3 ? 1 << (bit & 7) : 0));
      hashes.add(sipHash(sipHashKeyOf(octets), "text"));
    }
    expect(hashes.size).toBe(129);
  });

  it("depends on octets above 127", () => {
    expect(sipHash(key, "\u00ff")).not.toBe(sipHash(key, "\u007f"));
  });

  it("refuses what is not a text of octets", () => {
    expect(() => sipHash(key, "\u0100")).toThrow(RangeError);
  });
});
