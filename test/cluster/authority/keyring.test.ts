import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Keyring, markOf, merged, secretsOf, withNext, withNextSigning, withoutEnded } from "../../../cluster/authority/keyring.ts";
import { KnownKeyring } from "../../../cluster/authority/known-keyring.ts";
import { formerSecretMs, formerSecretsMax, secretWaitMs } from "../../../cluster/authority/limits.ts";
import { keyringSchema } from "../../../schemas/keyring.ts";
import { read } from "../../../schemas/reading.ts";

const authority = { name: "Tandem authority", publicKey: "public", privateKey: "private" };
const first: Keyring = { version: 1, writer: "", secret: "s1", authority };
const start = 1_790_000_000_000;
/** What a cell keeps room for on its disk. */
const octetsMax = 4_096;

function keyringOf(value: unknown): Keyring | undefined {
  return read(keyringSchema, value).value;
}

/** Cells with a keyring each, which tell each other all that changes, unless a cut or a death keeps them from it. */
class Cells {
  readonly rings = new Map<string, KnownKeyring>();
  readonly down = new Set<string>();
  /** Those of one side do not hear the others. */
  side = new Set<string>();
  now = start;

  readonly ids: readonly string[];

  constructor(ids: readonly string[]) {
    this.ids = ids;
    for (const id of ids) this.rings.set(id, new KnownKeyring(first, start));
  }

  ring(id: string): KnownKeyring {
    const ring = this.rings.get(id);
    if (ring === undefined) throw new Error(`no cell ${id}`);
    return ring;
  }

  hears(one: string, other: string): boolean {
    return one !== other && !this.down.has(one) && !this.down.has(other) && this.side.has(one) === this.side.has(other);
  }

  /** What a tick of each cell does, a second after the one before. */
  tick(ms = 1_000): void {
    this.now += ms;
    for (const id of this.ids.filter((each) => !this.down.has(each))) {
      for (const other of this.ids.filter((each) => this.hears(id, each))) {
        this.ring(id).take(this.ring(other).keyring, this.now);
        this.ring(id).saw(other, this.ring(other).mark);
      }
    }
    for (const id of this.ids.filter((each) => !this.down.has(each))) {
      const others = this.ids.filter((each) => each !== id).map((each) => ({ id: each, isDown: !this.hears(id, each) }));
      const coordinator = this.ids.find((each) => each === id || this.hears(id, each));
      this.ring(id).look(others, coordinator === id, this.now, this.now);
    }
  }

  change(id: string, secret: string): { readonly refused?: string } {
    return this.ring(id).change(secret, id, this.now);
  }

  signing(): string[] {
    return this.ids.map((id) => this.ring(id).secrets.signing);
  }

  accepts(id: string, secret: string): boolean {
    const { signing, accepted } = this.ring(id).secrets;
    return [signing, ...accepted].includes(secret);
  }

  /** What somebody signs with, and another cell that it hears cannot check. */
  unknown(): string[] {
    return this.ids.flatMap((id) =>
      this.ids
        .filter((other) => this.hears(id, other) && !this.accepts(other, this.ring(id).secrets.signing))
        .map((other) => `what ${id} signs ${other} cannot check`),
    );
  }
}

describe("a secret that is changed", () => {
  it("is checked with everywhere before anybody signs with it, and the one before counts for a week", () => {
    const cells = new Cells(["a", "b", "c"]);
    expect(cells.change("b", "s2")).toEqual({});
    expect(cells.signing()).toEqual(["s1", "s1", "s1"]);
    for (let ticks = 0; ticks < 5; ticks += 1) {
      cells.tick();
      expect(cells.unknown()).toEqual([]);
    }
    expect(cells.signing()).toEqual(["s2", "s2", "s2"]);
    expect(cells.ids.every((id) => cells.accepts(id, "s1"))).toBe(true);
    cells.tick(formerSecretMs - 10_000);
    expect(cells.ids.every((id) => cells.accepts(id, "s1"))).toBe(true);
    cells.tick(20_000);
    cells.tick();
    expect(cells.ids.some((id) => cells.accepts(id, "s1"))).toBe(false);
    expect(cells.ring("a").keyring.authority).toEqual(authority);
  });

  it("does not come back with the keyring that a cell was deployed with", () => {
    const cells = new Cells(["a", "b"]);
    cells.change("a", "s2");
    for (let ticks = 0; ticks < 4; ticks += 1) cells.tick();
    cells.tick(formerSecretMs);
    cells.tick();
    expect(cells.ring("a").take(first, cells.now)).toBe(false);
    expect(cells.accepts("a", "s1")).toBe(false);
    const anew = new KnownKeyring(first, cells.now);
    anew.take(cells.ring("b").keyring, cells.now);
    expect(anew.secrets).toEqual({ signing: "s2", accepted: [] });
  });

  it("is not changed again before all have it, and may be within the overlap", () => {
    const cells = new Cells(["a", "b"]);
    cells.change("a", "s2");
    expect(cells.change("a", "s3").refused).toMatch(/is being changed already/);
    for (let ticks = 0; ticks < 4; ticks += 1) cells.tick();
    expect(cells.change("b", "s3")).toEqual({});
    for (let ticks = 0; ticks < 4; ticks += 1) cells.tick();
    expect(cells.signing()).toEqual(["s3", "s3"]);
    expect(cells.ring("a").secrets.accepted).toEqual(["s2", "s1"]);
  });

  it("is not changed more often than a keyring has room for", () => {
    const cells = new Cells(["a"]);
    for (let number = 2; number < 2 + formerSecretsMax; number += 1) {
      expect(cells.change("a", `s${number}`)).toEqual({});
      cells.tick();
    }
    expect(cells.change("a", "more").refused).toMatch(/^6 former secrets count still, the first of them until 20/);
    expect(keyringOf(JSON.parse(JSON.stringify(cells.ring("a").keyring)))).toEqual(cells.ring("a").keyring);
    cells.tick(formerSecretMs);
    expect(cells.change("a", "more")).toEqual({});
  });

  it("waits for a cell that does not take it, and only a minute for one that is down", () => {
    const cells = new Cells(["a", "b", "c"]);
    cells.down.add("c");
    cells.change("a", "s2");
    cells.tick();
    cells.tick();
    expect(
      cells.ring("a").waitsFor([
        { id: "b", isDown: false },
        { id: "c", isDown: true },
      ]),
    ).toEqual(["c"]);
    expect(cells.signing()).toEqual(["s1", "s1", "s1"]);
    cells.tick(secretWaitMs);
    cells.tick();
    expect(cells.signing()).toEqual(["s2", "s2", "s1"]);
    cells.down.delete("c");
    cells.tick();
    expect(cells.signing()).toEqual(["s2", "s2", "s2"]);
    const ring = new KnownKeyring(first, start);
    ring.change("s2", "a", start);
    for (const at of [start, start + 10 * secretWaitMs]) expect(ring.look([{ id: "b", isDown: false }], true, at, at)).toBe(false);
    expect(ring.secrets.signing).toBe("s1");
  });

  it("signs after a cell that was down for all of it is back, and still checks what was signed before", () => {
    const cells = new Cells(["a", "b", "c"]);
    cells.down.add("c");
    cells.change("a", "s2");
    cells.tick();
    cells.tick(secretWaitMs);
    cells.tick();
    cells.change("a", "s3");
    cells.tick();
    cells.tick(secretWaitMs);
    cells.tick();
    cells.down.delete("c");
    cells.tick();
    expect(cells.signing()).toEqual(["s3", "s3", "s3"]);
    for (const secret of ["s1", "s2"]) expect(cells.accepts("c", secret)).toBe(true);
  });
});

describe("a cut", () => {
  it("with a change on each side loses no secret that something was signed with", () => {
    const cells = new Cells(["a", "b", "c", "d"]);
    cells.side = new Set(["c", "d"]);
    cells.change("a", "sA");
    cells.change("d", "sD");
    cells.tick();
    cells.tick(secretWaitMs);
    cells.tick();
    expect(cells.signing()).toEqual(["sA", "sA", "sD", "sD"]);
    cells.side.clear();
    for (let ticks = 0; ticks < 3; ticks += 1) cells.tick();
    expect(new Set(cells.ids.map((id) => cells.ring(id).mark)).size).toBe(1);
    expect(new Set(cells.signing())).toEqual(new Set(["sD"]));
    for (const id of cells.ids) for (const secret of ["s1", "sA", "sD"]) expect(cells.accepts(id, secret)).toBe(true);
  });

  it("in the midst of a change leaves one change under way", () => {
    const cells = new Cells(["a", "b", "c"]);
    cells.side = new Set(["c"]);
    cells.change("a", "sA");
    cells.change("c", "sC");
    cells.tick();
    cells.side.clear();
    for (let ticks = 0; ticks < 4; ticks += 1) {
      cells.tick();
      expect(cells.unknown()).toEqual([]);
    }
    expect(new Set(cells.signing()).size).toBe(1);
  });

  it("of any shape, with deaths and changes, leaves all alike and able to check all that was signed", () => {
    const ids = ["a", "b", "c", "d"];
    const id = fc.constantFrom(...ids);
    const step = fc.oneof(
      fc.record({ change: id }),
      fc.record({ side: fc.subarray(ids) }),
      fc.record({ down: fc.subarray(ids, { maxLength: 3 }) }),
      fc.record({ ms: fc.constantFrom(1_000, 5_000, secretWaitMs) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        const cells = new Cells(ids);
        const signedWith = new Set(["s1"]);
        const look = (ms: number): void => {
          cells.tick(ms);
          for (const each of ids) if (!cells.down.has(each)) signedWith.add(cells.ring(each).secrets.signing);
        };
        for (const [number, each] of steps.entries()) {
          if ("change" in each && !cells.down.has(each.change)) cells.change(each.change, `s-${number}`);
          if ("side" in each) cells.side = new Set(each.side);
          if ("down" in each) {
            cells.down.clear();
            for (const one of each.down) cells.down.add(one);
          }
          look("ms" in each ? each.ms : 1_000);
        }
        cells.side.clear();
        cells.down.clear();
        for (let ticks = 0; ticks < 6; ticks += 1) look(1_000);
        expect(new Set(cells.ids.map((each) => cells.ring(each).mark)).size).toBe(1);
        expect(cells.unknown()).toEqual([]);
        const { former = [], ended } = cells.ring("a").keyring;
        // More are made here in minutes than a keyring has room for.
        if (ended !== undefined || former.length >= 2 * formerSecretsMax) return;
        for (const each of ids) for (const secret of signedWith) expect([secret, cells.accepts(each, secret)]).toEqual([secret, true]);
      }),
      { numRuns: 300 },
    );
  });
});

function next(keyring: Keyring, secret: string, writer: string): Keyring {
  const changed = withNext(keyring, { secret, writer });
  if ("refused" in changed) throw new Error(changed.refused);
  return changed;
}

describe("two keyrings", () => {
  const a = withNextSigning(next(first, "sA", "a"), start);
  const b = withNextSigning(next(first, "sB", "b"), start + 5);
  const all = [first, a, b, next(a, "sA2", "a"), next(b, "sB2", "b"), withNextSigning(next(b, "sB3", "b"), start + 9)];

  it("make the same in either order, whoever has merged them before", () => {
    for (const one of all)
      for (const other of all) {
        const both = merged(one, other, start + 10);
        expect(merged(other, one, start + 10)).toEqual(both);
        expect(merged(both, one, start + 10)).toEqual(both);
        for (const third of all) expect(merged(both, third, start + 10)).toEqual(merged(one, merged(other, third, start + 10), start + 10));
      }
  });

  it("stay within their room, the oldest going first", () => {
    let keyring = first;
    for (let number = 0; number < 40; number += 1) {
      const secret = "f".repeat(64);
      keyring = merged(keyring, { version: 2 + number, writer: "a-cell-of-16-chr", secret, authority }, start + number);
    }
    expect(keyring.former).toHaveLength(2 * formerSecretsMax);
    expect(JSON.stringify(keyring).length).toBeLessThan(octetsMax);
    expect(keyringOf(keyring)).toEqual(keyring);
    expect(keyringOf({ ...keyring, former: [...(keyring.former ?? []), ...(keyring.former ?? [])] })).toBeUndefined();
  });

  it("show no secret in what they are compared by", () => {
    expect(markOf(a)).toBe(`2.a - - 1.=${start + formerSecretMs}`);
    expect(markOf(next(a, "sA2", "b"))).toBe(`2.a 3.b - 1.=${start + formerSecretMs}`);
    expect(secretsOf(next(a, "sA2", "b"), start)).toEqual({ signing: "sA", accepted: ["sA2", "s1"] });
    expect(secretsOf(a, start + formerSecretMs)).toEqual({ signing: "sA", accepted: [] });
    expect(withoutEnded(a, start + formerSecretMs)).toMatchObject({ version: 2, ended: { version: 1, writer: "" } });
  });
});
