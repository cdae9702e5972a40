import { expect, it } from "vitest";
import type { MapAnswer } from "../../schemas/api-answers.ts";
import { callApi, domain, map, peerIsUp, subscriberOf } from "./cell.ts";

const names = Array.from({ length: 12 }, (_, index) => `user${index}`);
const users = names.map((name) => `${name}@${domain}`).toSorted();

async function mapNow(): Promise<MapAnswer> {
  return await (await callApi("GET", "/map")).json<MapAnswer>();
}

async function double(): Promise<Response> {
  const { version, writer } = await mapNow();
  return await callApi("PUT", "/map", { version, writer, exchangeCount: 2 * map.exchangeCount });
}

it("exchanges are doubled by the API while all cells are there: each subscriber is in one of them, at once and later", async () => {
  const before = await mapNow();
  const subscribers = names.map((name) => subscriberOf(name, "secret"));
  expect((await callApi("PUT", "/subscribers", subscribers)).status).toBe(200);
  const refused = await double();
  expect([refused.status, await refused.json()]).toEqual([409, { error: expect.stringMatching(/^cell b is down: /) as string }]);
  peerIsUp();
  await expect.poll(async () => (await double()).status, { timeout: 10_000 }).toBe(200);
  const after = await mapNow();
  expect(after).toMatchObject({ exchangeCount: 2 * map.exchangeCount, assignments: [...before.assignments, ...before.assignments] });
  // Cell b never says that it has handed over.
  expect(after.doubling?.left).toBeGreaterThan(0);
  expect(await (await callApi("GET", "/subscribers")).json()).toEqual(users);
  const again = await callApi("PUT", "/map", { version: after.version, writer: after.writer, exchangeCount: 4 * map.exchangeCount });
  expect([again.status, await again.json()]).toEqual([
    400,
    { error: `the exchanges are being doubled already, to ${2 * map.exchangeCount}` },
  ]);
  await expect.poll(async () => (await mapNow()).doubling?.left, { timeout: 10_000 }).toBe(2 * map.exchangeCount);
  for (const aor of users) expect((await callApi("DELETE", `/subscribers?aor=${aor}`)).status).toBe(200);
  expect(await (await callApi("GET", "/subscribers")).json()).toEqual([]);
});
