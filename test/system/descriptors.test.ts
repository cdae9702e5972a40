import { afterEach, beforeEach, expect, it } from "vitest";
import { WebSocket } from "ws";
import { softphonesMaxFor } from "../../cli/descriptors.ts";
import { startOf } from "../../cli/process-table.ts";
import { GoodCalls } from "./good-calls.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";

/** Few enough that some hundred softphones are too many. */
const descriptors = 400;
const exchanges = 2;
const comeAtOnce = 25;
const comeInAll = 250;

let system: Tandem;
let calls: GoodCalls | undefined;
const sockets: WebSocket[] = [];

type Outcome = { readonly status: number; readonly retryAfter: string | undefined };

/** Makes a softphone's WebSocket: 101, or what its handshake was answered. */
function connect(cell: string): Promise<Outcome> {
  const url = new URL(system.run.cells.find(({ id }) => id === cell)?.url ?? "");
  const socket = new WebSocket(`ws://${url.host}/`, "sip");
  return new Promise((done, fail) => {
    socket.on("open", () => {
      sockets.push(socket);
      done({ status: 101, retryAfter: undefined });
    });
    socket.on("unexpected-response", (request, response) => {
      request.destroy();
      done({ status: response.statusCode ?? 0, retryAfter: response.headers["retry-after"] });
    });
    socket.on("error", fail);
  });
}

beforeEach(async () => {
  system = await startTandem({ exchanges, descriptors, restart: false });
});

afterEach(async () => {
  calls?.close();
  for (const socket of sockets.splice(0)) socket.terminate();
  await system?.stop();
});

it("a cell refuses softphones with 503 before it runs out of descriptors, and calls go on", async () => {
  const softphonesMax = softphonesMaxFor(descriptors, exchanges);
  const said = system.events.filter(({ event, step }) => event === "step" && step === "softphones");
  expect(said.map(({ detail }) => detail)).toEqual([
    `at most ${softphonesMax} at each cell: each cell may open ${descriptors} files (ulimit -Hn)`,
  ]);
  const pids = system.run.cells.map(({ pid }) => pid);
  calls = await GoodCalls.open(system);

  const outcomes: Outcome[] = [];
  while (outcomes.length < comeInAll) outcomes.push(...(await Promise.all(Array.from({ length: comeAtOnce }, () => connect("a")))));
  const taken = outcomes.filter(({ status }) => status === 101).length;
  const refused = outcomes.filter(({ status }) => status === 503);
  expect(taken + refused.length).toBe(comeInAll);
  expect(taken).toBeGreaterThan(softphonesMax / 2);
  expect(taken).toBeLessThanOrEqual(softphonesMax);
  for (const { retryAfter } of refused) expect(retryAfter).toMatch(/^[1-9]\d*$/);

  await calls.run();
  expect(calls.failures).toEqual([]);
  expect((await connect("b")).status).toBe(101);
  for (const pid of pids) expect(startOf(pid)).toBeDefined();

  // There is room again when some have gone.
  for (const socket of sockets.splice(0)) socket.close();
  await until(async () => (await connect("a")).status === 101);
});
