import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Bundle } from "../../cli/bundle.ts";
import { isListOf, isTable } from "../../cli/json.ts";
import { accountOf } from "../../kit/world/subscribers.ts";
import { until } from "../../kit/world/until.ts";
import type { CellId } from "../../kit/world/relayed-system.ts";
import type { CallRow } from "../../schemas/api-answers.ts";
import { cellOfBefore, upgrade } from "../fixtures/cell-of-before.ts";
import { callRecordId, establish, exchange, type Call } from "./clients/call.ts";
import { Phone } from "./clients/phone.ts";
import type { Transport } from "./clients/stack.ts";
import { RiggedSystem } from "./rigged-system.ts";

/** Enough users that each exchange has some. */
const users = Array.from({ length: 6 }, (_, index) => `user${index}`);
const gatewayTransports = ["UDP", "TCP", "TLS"] as const;
const patienceMs = 30_000;

type Standing = { readonly call: Call; readonly caller: Phone; readonly callee: Phone };

/** The users whose calls did not end with a 200. */
async function notEnded(calls: readonly Standing[]): Promise<string[]> {
  const failed: string[] = [];
  for (const { call, caller, callee } of calls) {
    const { status } = await exchange("BYE", call.caller, callee);
    if (status !== 200) failed.push(`${caller.account.user}: ${status}`);
  }
  return failed;
}

describe.each([
  { old: "b", recent: "a" },
  { old: "a", recent: "b" },
] as const)("a cell $old of the release before, beside one of this", ({ old, recent }) => {
  const directory = mkdtempSync(join(tmpdir(), "tandem-before-"));
  const script = cellOfBefore(join(directory, "script"));
  const phones: Phone[] = [];
  let ours: Bundle = script;
  let system: RiggedSystem;

  async function open(user: string, transport: Transport, target: { readonly host: string; readonly port: number }): Promise<Phone> {
    const phone = await Phone.open({ transport, ...target, ca: system.ca, domain: system.domain }, accountOf(user));
    phones.push(phone);
    expect((await phone.register(600)).status).toBe(200);
    return phone;
  }

  /** A softphone at a cell. */
  function softphone(user: string, cell: CellId): Promise<Phone> {
    const url = new URL(system.url(cell));
    return open(user, "WS", { host: url.hostname, port: Number(url.port) });
  }

  /** Whether both replicas of all exchanges are there, as a cell sees it, and both know who is registered. */
  async function areTogether(): Promise<boolean> {
    const pairs = await Promise.all(
      [old, recent].map(async (cell) => {
        const summary = await system
          .cellApi(cell)
          .get("/cell/summary")
          .catch(() => undefined);
        const exchanges = isTable(summary) ? summary["exchanges"] : undefined;
        return (
          isListOf(exchanges, isTable) && exchanges.length === system.exchangeCount && exchanges.every(({ pair }) => pair === "together")
        );
      }),
    );
    return pairs.every(Boolean);
  }

  async function registered(cell: CellId): Promise<string[]> {
    return [...(await system.contacts(cell)).keys()].toSorted();
  }

  /** Each phone of a gateway calls the next one. */
  async function callAll(): Promise<Standing[]> {
    const calls: Standing[] = [];
    for (const [index, caller] of phones.slice(0, users.length).entries()) {
      const callee = phones[(index + 1) % users.length] ?? caller;
      calls.push({ call: await establish(caller, callee), caller, callee });
    }
    return calls;
  }

  async function notRegistered(cell: CellId): Promise<string[]> {
    const known = await registered(cell);
    return users.filter((user) => !known.includes(user));
  }

  /** A cell dies while calls stand, and comes back. The other one has everyone, and what is said meanwhile; then it has it, too. */
  async function whatIsLostWith(cell: CellId, other: CellId): Promise<string[]> {
    const standing = await callAll();
    const kept = await callAll();
    system.signal(`cell ${cell}`, "SIGKILL");
    await until(async () => (await system.status(other)).cells.some(({ id, state }) => id === cell && state === "down"), patienceMs);
    const lost = [...(await notRegistered(other)), ...(await notEnded(standing)), ...(await notEnded(await callAll()))];
    const between = await callAll();
    await system.startAgain(`cell ${cell}`);
    await until(areTogether, patienceMs);
    await until(async () => (await system.status(other)).cells.every(({ state }) => state === "up"), patienceMs);
    lost.push(...(await notRegistered(cell)), ...(await notEnded(kept)), ...(await notEnded(between)));
    return lost;
  }

  beforeAll(async () => {
    system = await RiggedSystem.open({
      scriptOf: (bundle, cell) => {
        ours = bundle;
        return cell === old ? script : bundle;
      },
    });
    for (const [index, user] of users.entries()) {
      const transport = gatewayTransports[index % gatewayTransports.length] ?? "UDP";
      const [target] = system.targets(transport.toLowerCase() as Lowercase<(typeof gatewayTransports)[number]>);
      if (target === undefined) throw new Error(`no gateway listens for ${transport}`);
      await open(user, transport, target);
    }
  });

  afterAll(async () => {
    for (const phone of phones) phone.close();
    await system?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  it("has every record that the other has, and calls pass through both", async () => {
    await until(areTogether, patienceMs);
    const there = await softphone("there", old);
    const here = await softphone("here", recent);
    expect(await registered(old)).toEqual(await registered(recent));
    expect(await registered(old)).toEqual([...users, "here", "there"].toSorted());
    for (const [from, to] of [
      [there, here],
      [here, there],
      [there, phones[0]],
      [phones[1], here],
    ] as const) {
      if (from === undefined || to === undefined) throw new Error("there are too few phones");
      const { caller } = await establish(from, to);
      expect((await exchange("BYE", caller, to)).status).toBe(200);
    }
  });

  it("is killed, and nothing is lost", async () => {
    expect(await whatIsLostWith(old, recent)).toEqual([]);
  });

  it("has everything while the other one is killed", async () => {
    expect(await whatIsLostWith(recent, old)).toEqual([]);
  });

  it("is upgraded while calls stand, and these are in the call records, once", async () => {
    const standing = await callAll();
    system.signal(`cell ${old}`, "SIGKILL");
    await until(async () => (await system.status(recent)).cells.some(({ id, state }) => id === old && state === "down"), patienceMs);
    upgrade(script, ours);
    await system.startAgain(`cell ${old}`);
    await until(areTogether, patienceMs);
    expect(await notEnded(standing)).toEqual([]);
    const ended = standing.map(({ call, caller }) => callRecordId(call.caller.callId, caller.tag));
    let ids: string[] = [];
    await until(async () => {
      ids = ((await system.api(recent).get("/api/calls")) as readonly CallRow[]).map(({ id }) => id);
      return ended.every((id) => ids.includes(id));
    }, patienceMs);
    expect(new Set(ids).size).toBe(ids.length);
    // Those of before had waited: a cell of then has no ledger.
    expect(ids.length).toBeGreaterThan(ended.length);
    expect([...(await notRegistered(old)), ...(await notRegistered(recent))]).toEqual([]);
  });
});
