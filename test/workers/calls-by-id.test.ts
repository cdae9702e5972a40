import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import type { CallRow } from "../../schemas/api-answers.ts";
import { callKey, callRank } from "../../sip/record/call-record.ts";
import { dialogKey } from "../../sip/record/dialog-record.ts";
import type { StateRecord } from "../../sip/record/state-record.ts";
import { callIdOf } from "../../workers/call-id.ts";
import { endCall } from "../../workers/api/end-call.ts";
import { exchangeName, type Environment } from "../../workers/environment.ts";
import { Disk } from "../../workers/exchange/disk.ts";
import { makeVersion } from "../sip/record/make-version.ts";
import { answerAsPeer, callApi, map, putToSleep } from "./cell.ts";

const now = Date.now();
const version = makeVersion({ ms: now, counter: 0, cell: "a" });

function sideOf(user: string): { addressOfRecord: string; contact: string; flow: string; instanceId: string; tag: string } {
  return {
    addressOfRecord: `${user}@example.test`,
    contact: `sip:${user}@192.0.2.4`,
    flow: "g1~u0..c000020413c4",
    instanceId: "",
    tag: user,
  };
}

const standing: StateRecord = {
  kind: "dialog",
  key: dialogKey("standing", "alice", "bob"),
  version,
  value: {
    callId: "standing",
    caller: { ...sideOf("alice"), cSeq: 1, version },
    callee: { ...sideOf("bob"), cSeq: -1, version },
    state: "confirmed",
    createdAt: now - 5_000,
    expiresAt: now + 600_000,
    call: { start: now - 9_000, ring: now - 8_000, cells: ["a"], gateways: ["g1"], failovers: 0 },
  },
};

const over: StateRecord = {
  kind: "call",
  key: callKey("over", "alice"),
  version,
  value: {
    rank: callRank("heard", 0),
    caller: "alice@example.test",
    callee: "bob@example.test",
    answeredBy: "sip:bob@192.0.2.4",
    start: now - 9_000,
    end: now - 100,
    status: 200,
    cause: "calleeHungUp",
    cells: ["a"],
    gateways: ["g1"],
    failovers: 0,
  },
};

/** What an exchange of this cell has in memory when it wakes. */
async function wakeWith(exchange: number, put: readonly StateRecord[]): Promise<void> {
  await runInDurableObject(env.EXCHANGE.getByName(exchangeName(exchange)), (_instance, state) => {
    const disk = new Disk(state.storage);
    for (const each of disk.read()) void each;
    disk.write({ put, remove: [] });
  });
  await putToSleep(exchange);
}

async function show(callId: string): Promise<CallRow> {
  const response = await callApi("GET", `/calls/${callIdOf(callKey(callId, "alice"))}`);
  expect(response.status).toBe(200);
  return await response.json<CallRow>();
}

it("a call that stands is shown by its id, and so is one whose record is still on the way to the ledger", async () => {
  await wakeWith(0, [standing, over]);
  expect(await show("standing")).toMatchObject({ caller: "alice@example.test", reason: "they talk", status: 200, end: null });
  expect(await show("over")).toMatchObject({ reason: "bob hung up", end: new Date(now - 100).toISOString() });
  const nobody = await callApi("GET", `/calls/${callIdOf("another")}`);
  expect([nobody.status, await nobody.json()]).toEqual([404, { error: `there is no call ${callIdOf("another")}` }]);
});

async function end(callId: string): Promise<{ readonly status: number; readonly answer: unknown }> {
  const response = await callApi("DELETE", `/calls/${callIdOf(callKey(callId, "alice"))}`);
  return { status: response.status, answer: await response.json() };
}

it("a call that stands is ended by its id, and its record says who has done it", async () => {
  await wakeWith(0, [standing]);
  const id = callIdOf(callKey("standing", "alice"));
  expect(await end("standing")).toEqual({ status: 200, answer: { id, was: "answered" } });
  expect(await show("standing")).toMatchObject({ id, reason: "ended by an operator", status: 200, end: expect.any(String) });
});

it("a call that is over is not ended again, nor one that there is not", async () => {
  await wakeWith(0, [over]);
  const id = callIdOf(callKey("over", "alice"));
  expect(await end("over")).toEqual({ status: 404, answer: { error: `no call ${id} stands` } });
});

it("a call is not taken for ended while its exchange does not answer", async () => {
  const hanging = { CELL: "a", EXCHANGE: { getByName: () => ({ endCall: () => Promise.reject(new Error("the object was reset")) }) } };
  answerAsPeer(() => Promise.reject(new Error("connection refused")));
  expect(await endCall({ ...env, ...hanging } as unknown as Environment, map, "0123456789abcdef")).toBe("unreachable");
});

it.each([
  [["elsewhere", "cancelled"], "cancelled"],
  [["failed", "hungUp"], "hungUp"],
  [["unknown", "hungUp"], "unknown"],
  [["hungUp", "unknown"], "hungUp"],
  [["busy", "unknown"], "busy"],
  [["elsewhere", "unknown"], "unknown"],
])("the other replica is asked where the primary has it not in hand: %j", async (endings, outcome) => {
  const [own = "", other = ""] = endings;
  const one = { ...map, exchangeCount: 1, assignments: [{ primary: "a", secondary: "b" }] };
  const exchange = { endCall: () => (own === "failed" ? Promise.reject(new Error("the object was reset")) : Promise.resolve(own)) };
  answerAsPeer(() => Promise.resolve(Response.json([other])));
  const cell = { ...env, CELL: "a", EXCHANGE: { getByName: () => exchange } } as unknown as Environment;
  expect(await endCall(cell, one, "0123456789abcdef")).toBe(outcome);
});
