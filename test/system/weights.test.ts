import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ApiClient } from "../../cli/api-client.ts";
import { StateDirectory } from "../../cli/state-directory.ts";
import { exchangeOf, type ClusterMap } from "../../cluster/map/cluster-map.ts";
import { accountOf } from "../../kit/world/subscribers.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";
import type { CallRow, Group, MapAnswer } from "../../schemas/api-answers.ts";
import { establish, exchange } from "./clients/call.ts";
import { Phone } from "./clients/phone.ts";
import { wayOf } from "./clients/way.ts";

/** Ten exchanges, of which seven and three can be served. */
const exchanges = 10;
const callsOfEach = 10;
/** One step of the balance in a period, and some changes of sides in each. */
const balancedMs = 30_000;
/** The collector has them by then. */
const recordedMs = 30_000;

let system: Tandem;
let api: ApiClient;
const phones: Phone[] = [];

beforeAll(async () => {
  system = await startTandem({ auth: "open", exchanges });
  api = new ApiClient(
    system.run.cells.map(({ url }) => url),
    readFileSync(join(system.state, "secret"), "utf8").trim(),
  );
});

afterAll(async () => {
  for (const phone of phones) phone.close();
  await system?.stop();
});

async function json<Answer>(...words: string[]): Promise<Answer> {
  const { code, out, err } = await system.cli(...words, "--json");
  if (code !== 0) throw new Error(err);
  return JSON.parse(out);
}

/** One user of each exchange. */
function users(): string[] {
  const { hashKey = "", domain = "" } = new StateDirectory(system.state).readCluster() ?? {};
  const map: ClusterMap = {
    version: 1,
    cells: system.run.cells,
    exchangeCount: exchanges,
    hashKey,
    lineCount: 1,
    domains: [],
    aliases: [],
    heartbeat: { periodMs: 1_000, missed: 3 },
    replication: { ackTimeoutMs: 200 },
    flushMs: 1_000,
  };
  const found = new Map<number, string>();
  for (let number = 0; found.size < exchanges; number += 1) {
    const at = exchangeOf(map, `user${number}@${domain}`);
    if (!found.has(at)) found.set(at, `user${number}`);
  }
  return [...found.values()];
}

async function weigh(weights: Readonly<Record<string, number>>): Promise<void> {
  const { version, writer, cells } = (await api.get("/api/map")) as MapAnswer;
  await api.put("/api/map", { version, writer, cells: cells.map((cell) => ({ ...cell, weight: weights[cell.id] ?? 0 })) });
}

async function primaries(): Promise<Record<string, number>> {
  const { members } = await json<Group>("group");
  return Object.fromEntries(members.flatMap(({ id, kind, primaries: count = 0 }) => (kind === "cell" ? [[id, count]] : [])));
}

async function callsByCell(): Promise<Record<string, number>> {
  const rows = await json<readonly CallRow[]>("calls");
  return Object.fromEntries(
    Array.from(
      Map.groupBy(rows, ({ cells }) => cells.join(" ")),
      ([cells, calls]) => [cells, calls.length],
    ),
  );
}

it("cells of the weights 70 and 30 serve seven and three of ten exchanges, and 70 and 30 of 100 calls to all of them", async () => {
  expect(await primaries()).toEqual({ a: 5, b: 5 });
  await weigh({ a: 70, b: 30 });
  await until(async () => (await primaries())["a"] === 7, balancedMs);
  expect(await primaries()).toEqual({ a: 7, b: 3 });
  for (const user of ["caller", ...users()]) {
    const phone = await Phone.open(wayOf(system, "UDP"), accountOf(user));
    phones.push(phone);
    expect(await phone.register()).toMatchObject({ status: 200 });
  }
  const [caller, ...callees] = phones;
  if (caller === undefined) throw new Error("nobody calls");
  for (const callee of callees) {
    for (let call = 0; call < callsOfEach; call += 1) {
      const { caller: dialog } = await establish(caller, callee);
      expect(await exchange("BYE", dialog, callee)).toMatchObject({ status: 200 });
    }
  }
  await until(
    async () => Object.values(await callsByCell()).reduce((sum, calls) => sum + calls, 0) === exchanges * callsOfEach,
    recordedMs,
  );
  expect(await callsByCell()).toEqual({ a: 7 * callsOfEach, b: 3 * callsOfEach });
});
