import { describe, expect, it } from "vitest";
import { Moves } from "../../../cli/drill/group-watch.ts";

function exchangesOf(text: string): { exchange: number; primary: string; secondary: string; joining?: string }[] {
  return text.split(" ").map(([primary = "", secondary = "", joining], exchange) => ({
    exchange,
    primary,
    secondary,
    ...(joining === undefined ? {} : { joining }),
  }));
}

function seen(...texts: readonly string[]): Moves {
  const moves = new Moves();
  for (const text of texts) moves.see(exchangesOf(text));
  return moves;
}

describe("the moves of a drill", () => {
  it("are none where nothing changes, or primaries change sides", () => {
    expect(seen("ab bc", "ab bc", "ba cb").count).toBe(0);
  });

  it("are each counted once: when a replica joins, or at its switch when nobody looked before", () => {
    expect(seen("ab bc", "abd bc", "ad bc").count).toBe(1);
    expect(seen("ab bc", "ad bc", "ad bcd").count).toBe(2);
    expect(seen("ab", "abc", "ab", "abc").count).toBe(2);
  });

  it("are none of exchanges that were made meanwhile", () => {
    expect(seen("ab bc", "ab bc ab bc", "ab bc ab bd").count).toBe(1);
  });

  it("leave replicas at cells, and those that join count as theirs", () => {
    expect(seen("ab bc", "ba bcd").replicas).toEqual({ a: 1, b: 2, c: 1, d: 1 });
  });
});
