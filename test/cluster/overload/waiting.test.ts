import { expect, it } from "vitest";
import { shortestKnownMs } from "../../../cluster/limits.ts";
import { Waiting } from "../../../cluster/overload/waiting.ts";

it("takes off what the way and the pair take, the shortest of a minute or two, and tells the least since it was asked", () => {
  const waiting = new Waiting();
  expect(waiting.take()).toBeUndefined();
  for (const ms of [160, 150, 170]) waiting.acknowledged(ms, 1_000);
  expect(waiting.take()).toBe(0);
  expect(waiting.take()).toBeUndefined();
  for (const ms of [420, 350]) waiting.acknowledged(ms, 2_000);
  expect(waiting.take()).toBe(200);
});

it("forgets a way that was shorter before", () => {
  const waiting = new Waiting();
  waiting.acknowledged(10, 0);
  for (const minute of [1, 2, 3]) waiting.acknowledged(150, minute * shortestKnownMs + 1);
  waiting.take();
  waiting.acknowledged(160, 3 * shortestKnownMs + 2);
  expect(waiting.take()).toBe(10);
});
