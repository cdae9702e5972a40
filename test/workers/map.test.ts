import { beforeEach, describe, expect, it } from "vitest";
import { pairOf } from "../../cluster/map/cluster-map.ts";
import type { MapAnswer } from "../../schemas/api-answers.ts";
import { callApi, map, peerIsAway } from "./cell.ts";

async function mapNow(): Promise<MapAnswer> {
  return await (await callApi("GET", "/map")).json<MapAnswer>();
}

describe("the map by the API", () => {
  beforeEach(() => peerIsAway());

  it("is shown without its secrets, changed from the version that was looked at, and from no other", async () => {
    const before = await mapNow();
    expect(before).toEqual({
      version: map.version,
      writer: "",
      cells: map.cells,
      exchangeCount: map.exchangeCount,
      assignments: Array.from({ length: map.exchangeCount }, (_, exchange) => pairOf(map, exchange)),
    });
    const assignments = before.assignments.map(({ primary, secondary }) => ({ primary: secondary, secondary: primary }));
    const change = { version: before.version, writer: before.writer, assignments };
    const response = await callApi("PUT", "/map", change);
    expect([response.status, await response.json()]).toEqual([200, { ...before, version: before.version + 1, writer: "a", assignments }]);
    expect(await mapNow()).toMatchObject({ writer: "a", assignments });
    expect((await callApi("PUT", "/map", change)).status).toBe(409);
  });

  it.each([
    [{ assignments: [{ primary: "a", secondary: "x" }] }, /exchanges, and cells for 1|cell x, which is not in the map/],
    [{ cells: [] }, /which is not in the map/],
    [{ cells: [{ id: "A!", url: "http://127.0.0.1" }] }, /cells\[0\]\.id must be 1 to 16 letters/],
    [{ exchanges: 9 }, /exchanges is not known/],
    [{ exchangeCount: 9 }, /^there are \d+ exchanges: they can be doubled to \d+, and nothing else$/],
    [{ exchangeCount: 2 * map.exchangeCount, cells: map.cells }, /^exchanges are doubled in the cells where they are/],
  ])("is not changed by %j", async (change, error) => {
    const { version, writer } = await mapNow();
    const response = await callApi("PUT", "/map", { version, writer, ...change });
    expect([response.status, (await response.json<{ error: string }>()).error]).toEqual([400, expect.stringMatching(error) as string]);
  });
});

describe("cells that are added or removed by the API", () => {
  const cellC = { id: "c", url: "http://127.0.0.1:9", weight: 2 };

  it("leave every exchange where it is, until the coordinator moves it", async () => {
    const { version, writer, cells, assignments } = await mapNow();
    const response = await callApi("PUT", "/map", { version, writer, cells: [...cells, cellC] });
    expect([response.status, await response.json()]).toEqual([
      200,
      { version: version + 1, writer: "a", cells: [...cells, cellC], exchangeCount: map.exchangeCount, assignments },
    ]);
  });

  it("stay when fewer than two others are up: cell c has nothing, and is not removed", async () => {
    const { version, writer, cells } = await mapNow();
    const response = await callApi("PUT", "/map", { version, writer, cells: cells.filter(({ id }) => id !== "c") });
    expect([response.status, await response.json()]).toEqual([
      409,
      { error: "cell c stays: only cell a would be up, and what changes would be in one memory" },
    ]);
  });
});
