import { describe, expect, it } from "vitest";
import { CoreGroup } from "../../../cluster/group/core-group.ts";
import type { Effect } from "../../../cluster/group/group-effects.ts";
import type { Turning } from "../../../cluster/group/view.ts";
import { groupMap } from "./group-map.ts";

const text = "cell b speaks version 1 of the protocol, cell a version 2: upgrade cell b; until then neither uses the other";

/** Cell a's group, and what becomes of each heartbeat to cell b: `answer`. */
class Rig {
  readonly group = new CoreGroup({ cell: "a", boot: "a1", deployed: groupMap(["a", "b"]), epoch: 0, gateways: [] }, 0);
  readonly changes: Turning[] = [];
  now = 0;

  run(seconds: number, answer: "another version" | "refused" | "answered", said = text): void {
    for (let second = 0; second < seconds; second += 1) {
      this.group.tick(this.now);
      for (let effects = this.group.takeEffects(); effects.length > 0; effects = this.group.takeEffects()) {
        for (const effect of effects) this.#carryOut(effect, answer, said);
      }
      this.now += 1_000;
    }
  }

  get ofB(): string[] {
    return this.changes.filter(({ id }) => id === "b").map(({ from, to, cause, detail }) => `${from} ${to}: ${cause}: ${detail}`);
  }

  get stateOfB(): string | undefined {
    return this.group.view().cells.find(({ id }) => id === "b")?.state;
  }

  #carryOut(effect: Effect, answer: "another version" | "refused" | "answered", said: string): void {
    if (effect.type === "view") this.changes.push(...effect.changes);
    if (effect.type !== "heartbeat") return;
    const { heartbeat } = effect;
    if (answer === "answered") this.group.answered(heartbeat.sequence, { ...heartbeat, cell: "b", boot: "b1", state: "up" }, this.now);
    else this.group.failed(heartbeat.sequence, answer, this.now, said);
  }
}

describe("a cell that speaks another version", () => {
  it("is down at once, and that is said once: in one change, however long it stays", () => {
    const rig = new Rig();
    rig.run(60, "another version");
    expect(rig.ofB).toEqual([`joining down: another version: ${text}`]);
    expect(rig.group.view().cells).toEqual([
      { id: "a", state: "up" },
      { id: "b", state: "down" },
    ]);
  });

  it("is said also of one that was away, and stopped for its upgrade", () => {
    const rig = new Rig();
    rig.run(3, "answered");
    rig.run(3, "refused");
    rig.run(3, "another version");
    expect(rig.ofB.slice(1)).toEqual(["up down: connection refused: twice", `down down: another version: ${text}`]);
  });

  it("is a cell as every other when it speaks ours again, and is said anew when it does not", () => {
    const rig = new Rig();
    rig.run(3, "another version");
    rig.run(3, "answered");
    expect(rig.stateOfB).toBe("up");
    rig.run(3, "another version");
    expect(rig.stateOfB).toBe("down");
    expect(rig.ofB.filter((change) => change.includes("another version"))).toHaveLength(2);
  });

  it("is said anew when it is upgraded to a third version", () => {
    const rig = new Rig();
    rig.run(3, "another version");
    rig.run(3, "another version", "cell b speaks version 3");
    expect(rig.ofB).toHaveLength(2);
  });
});
