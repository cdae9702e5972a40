import { afterAll, beforeAll, expect, it } from "vitest";
import { accountOf, addSubscribers } from "../../kit/world/subscribers.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";
import type { Group } from "../../schemas/api-answers.ts";
import { callAll, exchange } from "./clients/call.ts";
import { Phone } from "./clients/phone.ts";
import { transports } from "./clients/stack.ts";
import { wayOf } from "./clients/way.ts";

/** Enough users that each exchange has some. */
const users = Array.from({ length: 12 }, (_, index) => `user${index}`);
const gatewayTransports = transports.filter((transport) => transport !== "WS");
const exchanges = 8;
const healAfterSeconds = 3;

let system: Tandem;
const phones: Phone[] = [];

beforeAll(async () => {
  system = await startTandem({ cells: 4, exchanges, restart: false });
  await addSubscribers(system, users.map(accountOf));
  for (const [index, user] of users.entries()) {
    const phone = await Phone.open(wayOf(system, gatewayTransports[index % gatewayTransports.length] ?? "UDP"), accountOf(user));
    phones.push(phone);
    expect(await phone.register()).toMatchObject({ status: 200 });
  }
  await system.cli("group", "heal-after", String(healAfterSeconds));
});

afterAll(async () => {
  for (const phone of phones) phone.close();
  await system?.stop();
});

async function group(): Promise<Group> {
  const { code, out, err } = await system.cli("group", "--json");
  if (code !== 0) throw new Error(err);
  return JSON.parse(out);
}

/** Exchanges that these cells do not have both replicas of. */
async function unhealed(cells: readonly string[]): Promise<string[]> {
  const { exchanges: all } = await group();
  return all
    .filter(({ primary, secondary, state }) => state !== "paired" || !cells.includes(primary) || !cells.includes(secondary))
    .map((each) => JSON.stringify(each));
}

function kill(cell: string): void {
  process.kill(system.run.cells.find(({ id }) => id === cell)?.pid ?? 0, "SIGKILL");
}

it("two of four cells are killed one after the other: each time all exchanges are in two cells again, and calls and registrations stand", async () => {
  expect(await unhealed(["a", "b", "c", "d"])).toEqual([]);
  const standing = await callAll(phones);
  kill("b");
  await until(async () => (await unhealed(["a", "c", "d"])).length === 0, 60_000);
  const { singletons, coordinator } = await group();
  expect([coordinator, singletons[0]?.owner]).toEqual(["a", "a"]);
  kill("a");
  await until(async () => (await unhealed(["c", "d"])).length === 0, 60_000);
  const after = await group();
  expect([after.coordinator, after.singletons[0]?.owner]).toEqual(["c", "c"]);
  for (const { caller, callee } of standing) expect(await exchange("BYE", caller, callee)).toMatchObject({ status: 200 });
  const registered: unknown[] = JSON.parse((await system.cli("registrations", "--json")).out);
  expect(registered).toHaveLength(users.length);
  for (const { caller, callee } of await callAll(phones)) expect(await exchange("BYE", caller, callee)).toMatchObject({ status: 200 });
  expect((await system.cli("status")).out).toContain("Any one cell may fail now, and nothing is lost.");
});
