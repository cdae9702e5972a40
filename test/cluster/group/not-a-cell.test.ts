import { describe, expect, it } from "vitest";
import type { Failure } from "../../../cluster/group/cell-member.ts";
import { CoreGroup } from "../../../cluster/group/core-group.ts";
import type { Effect } from "../../../cluster/group/group-effects.ts";
import type { Turning } from "../../../cluster/group/view.ts";
import { groupMap } from "./group-map.ts";

const text = "Cloudflare answers in its place, error 1042";

/** Cell a's group, and what becomes of each heartbeat to cell b. */
class Rig {
  readonly group = new CoreGroup({ cell: "a", boot: "a1", deployed: groupMap(["a", "b"]), epoch: 0, gateways: [] }, 0);
  readonly changes: Turning[] = [];
  now = 0;

  run(seconds: number, outcome: "answered" | { readonly failure: Failure; readonly text?: string }): void {
    for (let second = 0; second < seconds; second += 1) {
      this.group.tick(this.now);
      for (let effects = this.group.takeEffects(); effects.length > 0; effects = this.group.takeEffects()) {
        for (const effect of effects) this.#carryOut(effect, outcome);
      }
      this.now += 1_000;
    }
  }

  get ofB(): string[] {
    return this.changes.filter(({ id }) => id === "b").map(({ from, to, cause, detail }) => `${from} ${to}: ${cause}: ${detail}`);
  }

  get hindrance(): string | undefined {
    return this.group.status(this.now).cells.find(({ id }) => id === "b")?.hindrance;
  }

  #carryOut(effect: Effect, outcome: "answered" | { readonly failure: Failure; readonly text?: string }): void {
    if (effect.type === "view") this.changes.push(...effect.changes);
    if (effect.type !== "heartbeat") return;
    const { heartbeat } = effect;
    if (outcome === "answered") this.group.answered(heartbeat.sequence, { ...heartbeat, cell: "b", boot: "b1", state: "up" }, this.now);
    else this.group.failed(heartbeat.sequence, outcome.failure, this.now, outcome.text);
  }
}

describe("a cell in whose place something else answers", () => {
  it("is suspect at once, down when that goes on, and both say why", () => {
    const rig = new Rig();
    rig.run(3, "answered");
    rig.run(1, { failure: "not a cell", text });
    expect(rig.group.status(rig.now).cells).toMatchObject([
      { id: "a" },
      { id: "b", state: "up", suspicion: "not a cell", hindrance: text },
    ]);
    rig.run(2, { failure: "not a cell", text });
    expect(rig.ofB.slice(1)).toEqual([`up down: not a cell: 3 in a row: ${text}`]);
    expect(rig.hindrance).toBe(text);
  });

  it("has nothing in the way once it answers itself, or when there is only silence", () => {
    const rig = new Rig();
    rig.run(4, { failure: "not a cell", text });
    rig.run(1, "answered");
    expect(rig.hindrance).toBeUndefined();
    rig.run(1, { failure: "error", text: "it answers 503" });
    expect(rig.hindrance).toBe("it answers 503");
    rig.run(1, { failure: "timeout" });
    expect(rig.hindrance).toBeUndefined();
  });
});
