import { describe, expect, it } from "vitest";
import { movedText } from "../../../actors/exchange/exchange-actor.ts";
import { handedOverMs } from "../../../actors/limits.ts";
import type { Assignment, ClusterMap } from "../../../cluster/map/cluster-map.ts";
import { refusedCause } from "../../../cluster/replication/peer-link.ts";
import { ActorWorld, type TestBackhaul } from "./actor-world.ts";
import { TestPhone, testMap } from "./harness.ts";

const alice = new TestPhone("alice", "198.51.100.7", 5060, "TCP");
const bob = new TestPhone("bob", "198.51.100.8", 5060, "TCP");

function mapWith(version: number, assignment: Assignment): ClusterMap {
  const first = testMap();
  const cells = [...first.cells, { id: "c", url: "http://127.0.0.1:8803" }];
  return { ...first, version, writer: "b", cells, assignments: [assignment] };
}

/** Exchange 0 in the cells a and b, and in c when the map says so. */
class Cells {
  readonly worlds = new Map<string, ActorWorld>();
  /** Cells that nothing is brought to. */
  readonly silent = new Set<string>();
  #version = 1;

  constructor() {
    const map = mapWith(1, { primary: "a", secondary: "b" });
    for (const cell of ["a", "b"]) this.worlds.set(cell, new ActorWorld({ cell, boot: `${cell}1`, map }));
    this.pass(500);
  }

  world(cell: string): ActorWorld {
    const world = this.worlds.get(cell);
    if (world === undefined) throw new Error(`nothing runs in cell ${cell}`);
    return world;
  }

  get states(): string {
    return Array.from(this.worlds, ([cell, { actor }]) => `${cell} ${actor.pairState}`).join(", ");
  }

  /** Everybody has a newer map. */
  assign(assignment: Assignment, cells: readonly string[] = ["a", "b", "c"]): void {
    this.#version += 1;
    const map = mapWith(this.#version, assignment);
    for (const cell of cells) {
      const world = this.worlds.get(cell);
      if (world !== undefined) world.take(() => world.actor.setMap(map));
      else if (assignment.joining === cell) this.worlds.set(cell, new ActorWorld({ cell, boot: `${cell}1`, map }));
    }
  }

  pass(ms: number): void {
    for (let passed = 0; passed < ms; passed += 5) {
      for (const [cell, world] of this.worlds) {
        world.advance(5);
        this.#bring(cell, world);
      }
    }
  }

  names(cell: string): string[] {
    return [...this.world(cell).actor.exchange.store.records("binding")].map(({ key }) => key.slice(0, key.indexOf("@"))).toSorted();
  }

  #bring(cell: string, world: ActorWorld): void {
    for (const [id, text] of world.batches) {
      const to = world.batchCells.get(id) ?? "";
      if (this.silent.has(to)) continue;
      world.batches.delete(id);
      const there = this.worlds.get(to);
      let answer: string | undefined;
      there?.take(() => (answer = there.actor.takePeerBatch(text)));
      world.take(() => {
        if (answer === undefined) world.actor.peerFailed(id, there === undefined, refusedCause);
        else world.actor.peerAnswered(id, answer);
      });
    }
    if (world.thrown.length > 0) throw new Error(`cell ${cell}`, { cause: world.thrown });
  }
}

function okOf({ texts }: TestBackhaul): number {
  return texts.filter((text) => text.startsWith("SIP/2.0 200 ")).length;
}

describe("a cell that is to have a replica", () => {
  it("is told everything, serves nobody, and no commit waits for it", () => {
    const cells = new Cells();
    const gateway = cells.world("a").backhaul();
    gateway.message(alice.key, alice.register());
    cells.pass(100);
    cells.assign({ primary: "a", secondary: "b", joining: "c" });
    cells.pass(1_000);
    expect(cells.states).toBe("a together, b together, c joining");
    expect(cells.names("c")).toEqual(["alice"]);
    expect(cells.world("a").happened).toContain("copied: c");
    const { actor } = cells.world("c");
    expect([actor.isServing, actor.isCaughtUp]).toEqual([false, true]);
    expect(cells.world("c").backhaul().closed).toContain(`4003 ${movedText}`);
    cells.silent.add("c");
    gateway.message(bob.key, bob.register());
    cells.pass(200);
    expect([okOf(gateway), cells.names("c")]).toEqual([2, ["alice"]]);
    cells.silent.delete("c");
    cells.pass(5_000);
    expect(cells.names("c")).toEqual(["alice", "bob"]);
  });

  it("is together with the primary as soon as the map has it, and the one that it replaces hands over and is empty", () => {
    const cells = new Cells();
    const gateway = cells.world("b").backhaul();
    gateway.message(alice.key, alice.register());
    cells.pass(200);
    cells.assign({ primary: "a", secondary: "b", joining: "c" });
    cells.pass(1_000);
    gateway.message(bob.key, bob.register());
    const { happened } = cells.world("a");
    happened.length = 0;
    cells.assign({ primary: "a", secondary: "c" });
    expect(cells.states).toBe("a together, b none, c together");
    expect(cells.world("c").actor.isServing).toBe(true);
    expect(happened).toEqual(["copied: none", "together"]);
    cells.pass(handedOverMs);
    expect([cells.names("a"), cells.names("c")]).toEqual([
      ["alice", "bob"],
      ["alice", "bob"],
    ]);
    cells.pass(2_000);
    expect(cells.world("b").happened.filter((each) => each.startsWith("empty"))).toHaveLength(1);
    const there = cells.world("c").backhaul();
    there.message(bob.key, bob.register());
    cells.pass(100);
    expect(okOf(there)).toBe(1);
  });

  it.each([
    ["a", "c"],
    ["c", "a"],
  ])("loses nothing when cell %s hears of it first, and cell %s later", (...order) => {
    const cells = new Cells();
    cells.assign({ primary: "a", secondary: "b", joining: "c" });
    cells.pass(1_000);
    const at = new Map(order.map((cell) => [cell, cells.world(cell)]));
    const next: Assignment = { primary: "a", secondary: "c" };
    cells.assign(next, order.slice(0, 1));
    const gateway = [...at.values()][0]?.backhaul();
    gateway?.message(alice.key, alice.register());
    const old = cells.world("b").backhaul();
    old.message(bob.key, bob.register());
    cells.pass(200);
    expect([gateway === undefined ? 0 : okOf(gateway), okOf(old)]).toEqual([1, 1]);
    cells.assign(next);
    cells.pass(2_000);
    expect(cells.states).toBe("a together, b none, c together");
    expect([cells.names("a"), cells.names("c")]).toEqual([
      ["alice", "bob"],
      ["alice", "bob"],
    ]);
  });

  it("gives back what it has when the map has another one instead, and is empty", () => {
    const cells = new Cells();
    cells.assign({ primary: "a", secondary: "b", joining: "c" });
    cells.pass(1_000);
    cells.assign({ primary: "a", secondary: "b" });
    expect(cells.states).toBe("a together, b together, c none");
    expect(cells.world("a").happened.at(-1)).toBe("copied: none");
    cells.pass(handedOverMs + 1_000);
    expect(cells.world("c").happened.filter((each) => each.startsWith("empty"))).toHaveLength(1);
  });

  it("knows all that there is, though that is nothing: it starts again and serves when its peer has died for good", () => {
    const cells = new Cells();
    cells.assign({ primary: "a", secondary: "b", joining: "c" });
    cells.pass(1_000);
    cells.assign({ primary: "a", secondary: "c" });
    cells.pass(1_000);
    const memory = cells.world("c").writtenMemory;
    cells.worlds.delete("a");
    const map = mapWith(9, { primary: "a", secondary: "c" });
    const starts = [undefined, memory].map((kept) => new ActorWorld({ cell: "c", boot: "c2", map, ...(kept && { memory: kept }) }));
    for (const world of starts) {
      world.advance(100);
      for (const [id] of world.batches) world.take(() => world.actor.peerFailed(id, true, refusedCause));
    }
    // One that has never been told anything waits for who knows more.
    expect(starts.map(({ actor }) => actor.isServing)).toEqual([false, true]);
  });

  it("begins anew when it had a replica before, and gave up what it had in hand", () => {
    const cells = new Cells();
    cells.assign({ primary: "a", secondary: "c", joining: "b" });
    cells.pass(1_000);
    expect(cells.states).toContain("b joining");
    const { happened } = cells.world("b");
    expect(happened.filter((each) => each.startsWith("restart"))).toEqual([]);
    cells.assign({ primary: "a", secondary: "b" });
    expect(happened.filter((each) => each.startsWith("restart"))).toHaveLength(1);
  });

  it("is told everything by the other replica when the primary is gone", () => {
    const cells = new Cells();
    const gateway = cells.world("a").backhaul();
    gateway.message(alice.key, alice.register());
    cells.pass(200);
    cells.silent.add("c");
    cells.assign({ primary: "a", secondary: "b", joining: "c" });
    cells.pass(100);
    cells.worlds.delete("a");
    cells.silent.delete("c");
    cells.assign({ primary: "b", secondary: "a", joining: "c" });
    cells.pass(3_000);
    expect(cells.names("c")).toEqual(["alice"]);
    expect(cells.world("b").happened).toContain("copied: c");
    cells.assign({ primary: "b", secondary: "c" });
    expect(cells.states).toBe("b together, c together");
  });

  it("does not go on with a call that the primary goes on with", () => {
    const cells = new Cells();
    const gateway = cells.world("b").backhaul();
    for (const phone of [alice, bob]) gateway.message(phone.key, phone.register());
    gateway.message(alice.key, alice.request("INVITE", "sip:bob@example.test"));
    cells.pass(200);
    cells.assign({ primary: "a", secondary: "b", joining: "c" });
    cells.pass(1_000);
    const inHand = (cell: string): number => cells.world(cell).actor.exchange.counts(cells.world(cell).now).transactions;
    expect([inHand("a"), inHand("b"), inHand("c")].map((count) => count > 0)).toEqual([false, true, false]);
    for (const cell of ["a", "c"]) cells.world(cell).backhaul();
    cells.assign({ primary: "a", secondary: "c" });
    cells.pass(500);
    expect([inHand("a"), inHand("c")].map((count) => count > 0)).toEqual([true, false]);
  });
});
