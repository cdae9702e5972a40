import { describe, expect, it } from "vitest";
import { Replicas, type AskDigest } from "../../../cli/drill/replicas.ts";

/** What both cells answer about their exchanges: each word is the parts of one exchange. */
function answers(a: string | undefined, b: string | undefined): AskDigest {
  return (cell, exchange) => {
    const said = cell === "a" ? a : b;
    if (said === undefined) return Promise.reject(new Error("connection refused"));
    return Promise.resolve({ parts: [...(said.split(" ")[exchange] ?? "")] });
  };
}

async function looks(...all: readonly (readonly [a: string | undefined, b: string | undefined])[]): Promise<boolean[]> {
  const replicas = new Replicas();
  const pairs = [0, 1].map((exchange) => ({ exchange, primary: "a", secondary: "b" }));
  const seen: boolean[] = [];
  for (const [a, b] of all) seen.push(await replicas.look(answers(a, b), pairs));
  return seen;
}

describe("the replicas of a drill", () => {
  it("are identical when they are", async () => {
    expect(await looks(["abc xyz", "abc xyz"])).toEqual([true]);
  });

  it("are so when each part was once: something is always on its way while phones register", async () => {
    expect(await looks(["abc xyz", "aBc xyz"], ["abc xyz", "abC xyz"])).toEqual([false, true]);
    expect(await looks(["abc xyz", "ABc xyz"], ["dbc xyz", "dBc xYz"], ["dbc xyz", "Dbc XYZ"])).toEqual([false, false, true]);
  });

  it("are not while a part differs, however often the others are the same", async () => {
    const same = Array.from({ length: 50 }, () => ["abc xyz", "abc xyZ"] as const);
    expect(new Set(await looks(...same))).toEqual(new Set([false]));
  });

  it("are asked where the map has them, and are not while nobody says where that is", async () => {
    const asked: string[] = [];
    const ask: AskDigest = (cell, exchange) => {
      asked.push(`${cell}${exchange}`);
      return Promise.resolve({ parts: ["x"] });
    };
    const replicas = new Replicas();
    expect(await replicas.look(ask, [])).toBe(false);
    expect(await replicas.look(ask, [{ exchange: 3, primary: "d", secondary: "b" }])).toBe(true);
    expect(asked).toEqual(["d3", "b3"]);
  });

  it("are not when a cell does not answer, or does not say what it holds", async () => {
    expect(await looks([undefined, "abc xyz"], ["abc xyz", undefined], ["abc", "abc"])).toEqual([false, false, false]);
    expect(await looks(["ab xyz", "abc xyz"])).toEqual([false]);
    expect(await looks([undefined, "abc xyz"], ["abc xyz", "abc xyz"])).toEqual([false, true]);
  });
});
