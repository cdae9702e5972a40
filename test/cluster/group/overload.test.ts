import { expect, it } from "vitest";
import { busyMachineFactor, overloadKnownMs } from "../../../cluster/limits.ts";
import { Simulation } from "./group-simulation.ts";

/** A system in which everybody has found everybody. */
function running(): Simulation {
  const simulation = new Simulation({ cells: 2, gateways: 1 }).startAll();
  simulation.run(2_500);
  return simulation;
}

/** How long after it froze a member is down in the eyes of cell a, ms, while a gateway says with each beat that there is too much to do. */
function downAfter(simulation: Simulation, member: string, isOverloaded: boolean): number {
  const since = simulation.now;
  for (let step = 0; step < 300 && simulation.stateOf(member, "a") !== "down"; step += 1) {
    if (isOverloaded && step % 10 === 0) simulation.tell("a", (group, now) => group.overloaded(now));
    simulation.run(100);
  }
  return simulation.now - since;
}

it("who is silent while there is too much to do may be slow: it is down after three times as long", () => {
  for (const [member, freeze] of [
    ["b", (simulation: Simulation) => simulation.freezeCell("b")],
    ["g1", (simulation: Simulation) => simulation.freezeGateway("g1")],
  ] as const) {
    const [usual, overloaded] = [running(), running()];
    freeze(usual);
    freeze(overloaded);
    const usualMs = downAfter(usual, member, false);
    expect([member, downAfter(overloaded, member, true) > (busyMachineFactor - 0.5) * usualMs]).toEqual([member, true]);
  }
});

it("whoever is gone is down at once all the same, and silence counts as ever when that is over", () => {
  const killed = running();
  killed.tell("a", (group, now) => group.overloaded(now));
  killed.killCell("b");
  killed.tell("a", (group, now) => group.suspect("b", "closed socket", now));
  expect(killed.until(() => killed.stateOf("b", "a") === "down", 2_000)).toBeLessThan(10);
  const later = running();
  later.tell("a", (group, now) => group.overloaded(now));
  later.run(overloadKnownMs + 100);
  later.freezeCell("b");
  expect(downAfter(later, "b", false)).toBeLessThan(4_500);
});
