import { describe, expect, it } from "vitest";
import { exchangeStates, riskText, type ReplicasOfCell } from "../../../cluster/group/exchange-states.ts";
import { groupMap } from "./group-map.ts";

const all = [0, 1, 2, 3];

function answer(serving: readonly number[], lone: Readonly<Record<number, string>> = {}): ReplicasOfCell {
  return { serving: new Set(serving), lone: new Map(Object.entries(lone).map(([exchange, cause]) => [Number(exchange), cause])) };
}

const cells = ["a", "b", "c", "d"];
const assignments = cells.map((primary, index) => ({ primary, secondary: cells[(index + 1) % 4] ?? "" }));
const map = { ...groupMap(cells), assignments };

function statesOf(given: Readonly<Record<string, ReplicasOfCell>>, of = map): string {
  return exchangeStates(of, new Map(Object.entries(given)))
    .map(({ state, cause = "" }) => `${state}${cause}`)
    .join(" ");
}

function riskOf(given: Readonly<Record<string, ReplicasOfCell>>, of = map): string {
  return riskText(exchangeStates(of, new Map(Object.entries(given))), Object.keys(given));
}

describe("an exchange", () => {
  it("is paired when both of its cells answer for it, and moving while a third is told", () => {
    const given = { a: answer(all), b: answer(all), c: answer(all), d: answer(all) };
    expect(statesOf(given)).toBe("paired paired paired paired");
    const moving = { ...map, assignments: [{ primary: "a", secondary: "b", joining: "c" }, ...assignments.slice(1)] };
    expect(statesOf(given, moving)).toBe("moving paired paired paired");
    expect(riskOf(given, moving)).toBe("Any one cell may fail now, and nothing is lost.");
  });

  it("is single when one of them is silent, or says that it is alone, and why", () => {
    const given = { a: answer(all, { 0: "connection refused" }), b: answer(all), c: answer([2]) };
    expect(statesOf(given)).toBe("singleconnection refused singlecell c does not have it yet singlecell d is down singlecell d is down");
    expect(riskOf(given)).toBe(
      "If cell a failed now, exchanges 0, 3 would have nobody until it is back. If cell b failed now, exchanges 0, 1 would have nobody until it is back. If cell c failed now, exchanges 1, 2 would have nobody until it is back.",
    );
  });

  it("is unserved when both are", () => {
    const given = { a: answer(all), b: answer(all) };
    expect(statesOf(given)).toBe("paired singlecell c is down unserved singlecell d is down");
    expect(riskOf(given)).toBe("Nobody serves exchange 2: cells c and d must come back.");
    expect(riskOf({ a: answer([]) })).toBe("Nobody serves exchanges 0 to 3: cells a, b, c and d must come back.");
  });

  it("is not known while a cell that is not down is late, unless the other one says that it is alone", () => {
    const given = new Map(Object.entries({ a: answer(all, { 3: "connection refused" }), b: answer([0]) }));
    const states = exchangeStates(map, given, new Set(["c", "d"]));
    expect(states.map(({ state, cause }) => [state, cause])).toEqual([
      ["paired", undefined],
      ["unknown", "cell c has not answered"],
      ["unknown", "cells c and d have not answered"],
      ["single", "connection refused"],
    ]);
    expect(riskText(states, ["a", "b"])).toBe(
      "It is not known who serves exchanges 1, 2: cell c has not answered; cells c and d have not answered.",
    );
    expect(exchangeStates(map, new Map(), new Set(["c"])).map(({ state }) => state)).toEqual([
      "unserved",
      "unknown",
      "unknown",
      "unserved",
    ]);
  });

  it("is not known while its replica does not answer and others of that cell do, unless the other one says that it is alone", () => {
    const given = {
      a: { ...answer([0, 3]), silent: new Set([0, 3]) },
      b: answer(all),
      c: answer([1, 3]),
      d: { ...answer([2], { 2: "connection refused" }), silent: new Set([3]) },
    };
    expect(exchangeStates(map, new Map(Object.entries(given))).map(({ state, cause }) => [state, cause])).toEqual([
      ["unknown", "its replica in cell a has not answered"],
      ["paired", undefined],
      ["single", "connection refused"],
      ["unknown", "both replicas in cells d and a have not answered"],
    ]);
  });

  it("is single where there is no pair", () => {
    const one = groupMap(["a"]);
    expect(statesOf({ a: answer([0]) }, { ...one, assignments: [{ primary: "a", secondary: "a" }] })).toBe("single");
    const apart = { ...map, replication: { ackTimeoutMs: 200, enabled: false } };
    expect(statesOf({ a: answer(all), b: answer(all), c: answer(all), d: answer(all) }, apart)).toBe("single single single single");
  });
});
