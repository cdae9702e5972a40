import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePorts } from "../../kit/world/free-ports.ts";
import { accountOf, addSubscribers } from "../../kit/world/subscribers.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";
import type { Group } from "../../schemas/api-answers.ts";
import { callAll, establish, exchange, type Dialog } from "./clients/call.ts";
import { Phone } from "./clients/phone.ts";
import { transports } from "./clients/stack.ts";
import { wayOf } from "./clients/way.ts";

/** Enough users that each exchange has some. */
const users = Array.from({ length: 12 }, (_, index) => `user${index}`);
const gatewayTransports = transports.filter((transport) => transport !== "WS");
const exchanges = 4;

let state: string;
let system: Tandem;
const phones: Phone[] = [];

beforeAll(async () => {
  state = mkdtempSync(join(tmpdir(), "tandem-come-and-go-"));
  // Two of the gateway, and those of cells a to d.
  const firstPort = await freePorts(6);
  system = await startTandem({ cells: 2, exchanges, state, firstPort });
  await addSubscribers(system, users.map(accountOf));
  for (const [index, user] of users.entries()) {
    const phone = await Phone.open(wayOf(system, gatewayTransports[index % gatewayTransports.length] ?? "UDP"), accountOf(user));
    phones.push(phone);
    expect(await phone.register()).toMatchObject({ status: 200 });
  }
});

afterAll(async () => {
  for (const phone of phones) phone.close();
  await system?.stop("SIGTERM");
  rmSync(state, { recursive: true, force: true });
});

async function json<Answer>(...words: string[]): Promise<Answer> {
  const { code, out, err } = await system.cli(...words, "--json");
  if (code !== 0) throw new Error(err);
  return JSON.parse(out);
}

/** Cells of the group with their replicas, and exchanges that are not in two of them. */
async function shape(): Promise<{ readonly cells: Readonly<Record<string, number>>; readonly lone: readonly number[] }> {
  const { members, exchanges: all } = await json<Group>("group");
  const cells = members.filter(({ kind }) => kind === "cell").map(({ id, replicas = 0 }) => [id, replicas] as const);
  return { cells: Object.fromEntries(cells), lone: all.filter((each) => each.state !== "paired").map((each) => each.exchange) };
}

async function registered(): Promise<number> {
  return (await json<unknown[]>("registrations")).length;
}

async function hangUp(calls: readonly { readonly caller: Dialog; readonly callee: Phone }[]): Promise<void> {
  for (const { caller, callee } of calls) expect(await exchange("BYE", caller, callee)).toMatchObject({ status: 200 });
}

describe("a system whose cells come and go while calls stand", () => {
  it("gets two cells more and loses its first one: nothing is lost", async () => {
    const standing = await callAll(phones);
    const c = await json<{ id: string; replicas: number; moves: number }>("cell", "add");
    // 8 replicas for three cells: 2.67 for each, and gaps of one stay.
    expect(c).toMatchObject({ id: "c", moves: c.replicas });
    expect([2, 3]).toContain(c.replicas);
    const midway = await callAll(phones);
    expect((await system.cli("cell", "add")).out).toMatch(
      /^Cell d is a member, at http:\/\/.*\nCell d has 2 replicas, 1 of them primaries; even would be 2\.0\. 2 moved in \d+\.\d s$/ms,
    );
    expect(await shape()).toEqual({ cells: { a: 2, b: 2, c: 2, d: 2 }, lone: [] });

    const { out, err } = await system.cli("cell", "remove", "a");
    expect(err).not.toContain("tandem:");
    expect(out).toMatch(/^Cell a is removed, and its process has ended\. \d+ replicas moved in /m);
    const { cells, lone } = await shape();
    expect([Object.keys(cells), lone]).toEqual([["b", "c", "d"], []]);
    expect(Object.values(cells).every((replicas) => replicas === 2 || replicas === 3)).toBe(true);
    expect(system.run.cells.map(({ id }) => id)).toEqual(["b", "c", "d"]);
    expect(existsSync(join(state, "cells", "a"))).toBe(false);

    expect(await registered()).toBe(users.length);
    await hangUp(standing);
    await hangUp(midway);
    await hangUp(await callAll(phones));
    // All of them, though the cell that collected them has gone.
    const statuses = async (): Promise<number[]> => (await json<{ readonly status: number }[]>("calls")).map(({ status }) => status);
    // They are brought every two seconds.
    await until(async () => (await statuses()).length >= 3 * users.length);
    expect(await statuses()).toEqual(Array.from({ length: 3 * users.length }, () => 200));
  });

  it("says in one line why a cell is not removed, or not added", async () => {
    expect(await system.cli("cell", "remove", "x")).toEqual({ code: 1, out: "", err: "tandem: there is no cell x\n" });
    const { url } = system.run.cells[0] ?? { url: "" };
    expect(await system.cli("cell", "add", "--url", url)).toEqual({ code: 1, out: "", err: "tandem: there is a cell b already\n" });
    expect((await system.cli("cell", "add", "--url", "http://127.0.0.1:1")).err).toBe("tandem: http://127.0.0.1:1: connection refused\n");
  });

  it("has the cells that it had when it is started again", async () => {
    const { firstPort } = system;
    // Connections end with the gateway's process, datagrams need none.
    const [one, other] = phones.filter(({ way }) => way.transport === "UDP");
    if (one === undefined || other === undefined) throw new Error("no phones with UDP");
    const { caller } = await establish(one, other);
    await system.stop("SIGTERM");
    expect(JSON.parse(readFileSync(join(state, "cluster.json"), "utf8"))).toMatchObject({ cells: 3, letters: ["b", "c", "d"] });
    system = await startTandem({ cells: 3, state, firstPort });
    expect(system.run.cells.map(({ id }) => id)).toEqual(["b", "c", "d"]);
    expect(await registered()).toBe(users.length);
    await hangUp([{ caller, callee: other }]);
    expect((await shape()).lone).toEqual([]);
    expect((await system.cli("cell", "remove", "b")).out).toMatch(/^Cell b is removed/m);
    expect(await system.cli("cell", "remove", "c")).toEqual({
      code: 1,
      out: "",
      err: "tandem: cell c stays: cell d alone would have to take over what it has, and each record is to be in two cells\n",
    });
    expect(await registered()).toBe(users.length);
  });
});
