import { expect, test } from "vitest";
import { TwoGenerations } from "../../sip/two-generations.ts";

test("what was set is remembered for the time at least, and for twice that at most", () => {
  const names = new TwoGenerations<string, number>(100);
  names.set("a", 1, 50);
  names.set("b", 2, 140);
  names.look(160);
  expect([names.get("a"), names.get("b"), names.recentOf("b"), names.earlierOf("b")]).toEqual([1, 2, undefined, 2]);
  names.set("b", 3, 170);
  expect([names.get("b"), names.earlierOf("b")]).toEqual([3, 2]);
  names.look(260);
  expect([names.get("a"), names.get("b")]).toEqual([undefined, 3]);
  names.look(460);
  expect(names.isEmpty).toBe(true);
});

test("no more than two generations of the largest size are there", () => {
  const names = new TwoGenerations<number, true>(1_000, 3);
  for (let name = 0; name < 10; name += 1) names.set(name, true, 0);
  expect([...Array(10).keys()].filter((name) => names.get(name) === true)).toEqual([6, 7, 8, 9]);
  names.change(9, true);
  expect(names.recentOf(9)).toBe(true);
});
