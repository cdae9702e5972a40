import { describe, expect, it } from "vitest";
import { peerBatchOctetsMax, peerDelayMs } from "../../../cluster/limits.ts";
import { bindingTombstoneMs } from "../../../sip/limits.ts";
import { ThreeCells } from "./three-cells.ts";
import { calm } from "./world.ts";

describe("a copy of a replica", () => {
  it("has all that there was, in bounded batches, and all that changes meanwhile", () => {
    const cells = new ThreeCells(1, 2_000);
    cells.pass(8);
    expect(cells.copy.isComplete).toBe(false);
    for (let each = 0; each < 50; each += 1) {
      cells.put(cells.a, `late${each}`);
      cells.pass(2);
    }
    cells.pass(1_000);
    expect(cells.copy.isComplete).toBe(true);
    expect(cells.c.table()).toEqual(cells.a.table());
    expect(cells.c.table()).toHaveLength(2_050);
    expect(cells.a.batches).toBeGreaterThan(5);
    expect(cells.a.batchOctetsMax).toBeLessThan(peerBatchOctetsMax);
  });

  it("has what came from the peer", () => {
    const cells = new ThreeCells();
    cells.pass(100);
    cells.put(cells.b, "of b");
    cells.pass(2 * peerDelayMs + 50);
    expect(cells.c.table()).toEqual(cells.b.table());
    expect(cells.c.table()).toHaveLength(1);
  });

  it("does not serve before it has all, and the peer of the pair stays the only one that counts", () => {
    const cells = new ThreeCells();
    cells.c.isUp = false;
    cells.put(cells.a, "x");
    cells.pass(100);
    expect(cells.copy.isComplete).toBe(false);
    expect(cells.a.ends.get("b")?.link().state).toBe("together");
    cells.put(cells.a, "y");
    expect(cells.a.ends.get("b")?.link().commit(cells.a.store.sequence, cells.now)).toBe("wait");
    cells.pass(100);
    expect(cells.a.happened).toContain("committed");
    cells.restartC();
    expect(cells.c.ends.get("a")?.link().isServing).toBe(false);
    cells.pass(2_000);
    expect([cells.copy.isComplete, cells.c.ends.get("a")?.link().isServing]).toEqual([true, true]);
  });

  it("gives what it had itself", () => {
    const cells = new ThreeCells();
    cells.put(cells.c, "left over");
    cells.pass(200);
    expect(cells.b.table()).toEqual(cells.c.table());
    expect(cells.b.table()).toHaveLength(1);
  });

  it("hears of an end though the pair could forget it long before", () => {
    const cells = new ThreeCells();
    cells.put(cells.a, "x");
    cells.pass(200);
    expect(cells.c.table()).toHaveLength(1);
    cells.network = { ...calm, loss: 1 };
    cells.pass(200);
    cells.put(cells.a, "x", true);
    cells.now += bindingTombstoneMs + 1;
    cells.a.store.acknowledge(cells.a.store.sequence);
    cells.a.store.sweep(cells.now);
    expect(cells.a.store.get("binding", "bob@example.test x")).toBeDefined();
    cells.network = calm;
    cells.put(cells.a, "y");
    cells.pass(10_000);
    expect(cells.c.table()).toEqual(cells.a.table());
    cells.a.store.sweep(cells.now);
    expect(cells.a.store.get("binding", "bob@example.test x")).toBeUndefined();
  });

  it.each(["the copy", "the one that is copied"])("begins anew when %s has", (who) => {
    const cells = new ThreeCells(1, 100);
    cells.pass(200);
    expect(cells.copy.isComplete).toBe(true);
    if (who === "the copy") cells.restartC();
    else cells.copyAnew();
    cells.put(cells.b, "later");
    cells.pass(5_000);
    expect(cells.copy.isComplete).toBe(true);
    expect(cells.c.table()).toEqual(cells.a.table());
    expect(cells.c.table()).toHaveLength(101);
  });
});

describe("a copy that becomes the peer", () => {
  it("is together at once, and is told nothing again", () => {
    const cells = new ThreeCells(1, 500);
    cells.pass(1_000);
    const { batches } = cells.a;
    const said = cells.switchOver();
    expect(said).toEqual([{ type: "known", until: Number.POSITIVE_INFINITY }]);
    cells.put(cells.a, "x");
    const link = cells.a.ends.get("c")?.link();
    expect(link?.state).toBe("together");
    expect(link?.commit(cells.a.store.sequence, cells.now)).toBe("wait");
    cells.pass(100);
    expect(cells.a.happened.at(-1)).toBe("committed");
    expect(cells.a.batches - batches).toBeLessThan(5);
    expect(cells.c.table()).toEqual(cells.a.table());
  });

  it("is told the rest of what the earlier peer had made", () => {
    const cells = new ThreeCells();
    cells.pass(200);
    cells.put(cells.b, "of b");
    cells.pass(peerDelayMs + 10);
    expect([cells.a.table().length, cells.c.table().length]).toEqual([1, 0]);
    cells.switchOver();
    cells.pass(2 * peerDelayMs);
    expect(cells.c.table()).toEqual(cells.a.table());
    expect(cells.a.table()).toEqual(cells.b.table());
  });

  it.each(Array.from({ length: 24 }, (_, seed) => seed))("has all, on a bad network and through starts: seed %i", (seed) => {
    const cells = new ThreeCells(seed + 1, seed * 20);
    cells.network = { loss: 0.1, duplicates: 0.1, delayMsMax: 60 };
    for (let each = 0; each < 60; each += 1) {
      cells.put(each % 3 === 0 ? cells.b : cells.a, `k${(each * 7) % 20}`, each % 5 === 0);
      if (each === 20 && seed % 3 === 0) cells.restartC();
      if (each === 30 && seed % 4 === 0) cells.copyAnew();
      cells.pass(40);
    }
    cells.pass(20_000);
    expect(cells.copy.isComplete).toBe(true);
    cells.put(cells.b, "last of b");
    cells.pass(100 + seed * 5);
    cells.network = calm;
    if (seed % 2 === 0) cells.pass(5_000);
    cells.switchOver();
    cells.put(cells.a, "after");
    cells.pass(20_000);
    expect(cells.c.table()).toEqual(cells.a.table());
  });
});
