import { expect, it } from "vitest";
import type { MapAnswer } from "../../schemas/api-answers.ts";
import { callApi } from "./cell.ts";

async function weightOfB(): Promise<number | undefined> {
  const { cells } = await (await callApi("GET", "/map")).json<MapAnswer>();
  return cells.find(({ id }) => id === "b")?.weight;
}

it("a cell has the weight that it is given, in the map", async () => {
  for (const weight of [3, 1]) {
    const response = await callApi("PUT", "/cells/b", { weight });
    expect([response.status, await response.json()]).toEqual([200, { id: "b", weight }]);
    expect(await weightOfB()).toBe(weight);
  }
});
