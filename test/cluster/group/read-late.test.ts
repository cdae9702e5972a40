import { expect, it } from "vitest";
import { Simulation } from "./group-simulation.ts";

it("one that refuses our signature only for its age is slow, and alive: neither a row of these nor a few late ones around each mean down", () => {
  const simulation = new Simulation({ cells: 2, gateways: 2 }).startAll().run(2_500);
  simulation.cut("a", "b");
  simulation.run(200);
  simulation.tell("a", (group) => group.takeEffects());
  const group = simulation.group("a");
  const endBeat = (isAnswered: boolean): void => {
    group.tick(group.nextTick);
    const sent = group.takeEffects().find((effect) => effect.type === "heartbeat");
    if (sent === undefined) throw new Error("no heartbeat");
    group.failed(sent.heartbeat.sequence, isAnswered ? "slow" : "timeout", group.nextTick - 200);
  };
  for (const isAnswered of [true, true, true, true, false, false, true, false, false, true]) endBeat(isAnswered);
  expect(group.status(group.nextTick).cells[1]).toMatchObject({ id: "b", state: "up", missed: 0 });
  for (let time = 0; time < 3; time += 1) endBeat(false);
  expect(group.status(group.nextTick).cells[1]).toMatchObject({ id: "b", state: "down", missed: 3 });
});
