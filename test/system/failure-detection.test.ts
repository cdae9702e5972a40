import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ApiClient } from "../../cli/api-client.ts";
import type { Change, Status } from "../../schemas/api-answers.ts";
import { isStatus } from "../../cli/status.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";

let system: Tandem;
/** Processes that a test has frozen. */
const frozen = new Set<number>();

async function start(): Promise<void> {
  system = await startTandem({ auth: "open", gateways: 2, restart: false });
}

async function stop(): Promise<void> {
  await system.stop();
}

afterEach(() => {
  for (const pid of frozen) process.kill(pid, "SIGCONT");
  frozen.clear();
});

/** As `tandem status --url`, without the start of a process for every look. */
async function statusAt(cell: string): Promise<Status> {
  const url = system.run.cells.find(({ id }) => id === cell)?.url ?? "";
  const status = await new ApiClient([url], readFileSync(join(system.state, "secret"), "utf8").trim()).get("/api/status");
  if (!isStatus(status)) throw new Error(`no status: ${JSON.stringify(status)}`);
  return status;
}

function stateOf({ cells, gateways }: Status, id: string): string | undefined {
  return [...cells, ...gateways].find((member) => member.id === id)?.state;
}

function pidOf(id: string): number {
  return [...system.run.cells, ...system.run.gateways].find((member) => member.id === id)?.pid ?? 0;
}

function freeze(id: string): void {
  process.kill(pidOf(id), "SIGSTOP");
  frozen.add(pidOf(id));
}

function thaw(id: string): void {
  process.kill(pidOf(id), "SIGCONT");
  frozen.delete(pidOf(id));
}

/** Waits until a cell says so of a member. Returns the change, and its ms since `since` (of the wall clock, as the history's). */
async function seen(member: string, state: string, by: string, since: number): Promise<{ readonly change: Change; readonly ms: number }> {
  let last: Status | undefined;
  await until(async () => stateOf((last = await statusAt(by)), member) === state);
  const change = last?.history.findLast(({ id, to }) => id === member && to === state);
  if (change === undefined) throw new Error(`${member} is ${state} without a change in the history`);
  return { change, ms: change.at - since };
}

async function epochOf(cell: string): Promise<number> {
  return (await statusAt(cell)).cells.find(({ id }) => id === cell)?.epoch ?? 0;
}

/** In a system of its own: its epochs are counted. */
describe("a frozen cell", () => {
  beforeAll(start);
  afterAll(stop);

  it("is down within 4 s by missed heartbeats, and back within a period when it goes on", async () => {
    const before = await statusAt("b");
    const frozenAt = Date.now();
    freeze("a");
    const { change, ms } = await seen("a", "down", "b", frozenAt);
    expect(ms).toBeGreaterThan(2_500);
    expect(ms).toBeLessThan(4_000);
    expect(change).toMatchObject({ from: "up", cause: "missed heartbeats", detail: "3 in a row" });
    const thawedAt = Date.now();
    thaw("a");
    const back = await seen("a", "up", "b", thawedAt);
    expect(back.ms).toBeLessThan(1_500);
    expect(back.change).toMatchObject({ from: "down", cause: "returned" });
    expect(await epochOf("b")).toBe((before.cells[1]?.epoch ?? 0) + 2);
    // Whoever was frozen itself takes nobody else for dead.
    const itself = await statusAt("a");
    expect(itself.cells.map(({ state }) => state)).toEqual(["up", "up"]);
    expect(itself.history.filter(({ kind, to }) => kind === "cell" && to === "down")).toEqual([]);
  });
});

describe("a killed cell", () => {
  beforeAll(start);
  afterAll(stop);

  it("is down within a second by its closed sockets, and the other one coordinates", async () => {
    const killedAt = Date.now();
    process.kill(pidOf("a"), "SIGKILL");
    const { change, ms } = await seen("a", "down", "b", killedAt);
    expect(ms).toBeLessThan(1_000);
    expect(["closed socket", "connection refused"]).toContain(change.cause);
    expect((await statusAt("b")).coordinator).toBe("b");
    expect((await system.cli("status")).out).toMatch(/cell a +up +down +(closed socket|connection refused)/);
  });
});

describe("a cell and a gateway", () => {
  beforeAll(start);
  afterAll(stop);

  it("a cell, frozen for less than two periods, changes nothing", async () => {
    const epochs = [await epochOf("a"), await epochOf("b")];
    const frozenAt = Date.now();
    freeze("a");
    await until(async () => (await statusAt("b")).cells[0]?.suspicion === "missed heartbeats");
    expect(stateOf(await statusAt("b"), "a")).toBe("up");
    await until(() => Date.now() - frozenAt > 1_900);
    thaw("a");
    await until(async () => (await statusAt("b")).cells[0]?.suspicion === undefined);
    // Long enough for a declaration that had been under way.
    await until(() => Date.now() - frozenAt > 5_000);
    expect([await epochOf("a"), await epochOf("b")]).toEqual(epochs);
  });

  it("a gateway, frozen, is down within 4 s by its missed pings, and up again with the next", async () => {
    const frozenAt = Date.now();
    freeze("g1");
    const { change, ms } = await seen("g1", "down", "a", frozenAt);
    expect(ms).toBeGreaterThan(2_000);
    expect(ms).toBeLessThan(4_000);
    expect(change.cause).toBe("missed heartbeats");
    const thawedAt = Date.now();
    thaw("g1");
    expect((await seen("g1", "up", "a", thawedAt)).ms).toBeLessThan(2_500);
  });

  it("a gateway, killed, is down in both cells within a second by its closed sockets", async () => {
    const killedAt = Date.now();
    process.kill(pidOf("g1"), "SIGKILL");
    for (const cell of ["a", "b"]) {
      const { change, ms } = await seen("g1", "down", cell, killedAt);
      expect(ms).toBeLessThan(1_000);
      expect(change).toMatchObject({ kind: "gateway", cause: "closed socket" });
    }
    expect(stateOf(await statusAt("a"), "g2")).toBe("up");
  });
});

describe("the heartbeat's settings", () => {
  beforeAll(start);
  afterAll(stop);

  it("change at run time, in every cell; both are then as fast as they say", async () => {
    expect((await system.cli("heartbeat", "--period-ms", "200")).out).toBe("A heartbeat every 200 ms; down when 3 in a row are missed\n");
    const secret = readFileSync(join(system.state, "secret"), "utf8").trim();
    for (const { url } of system.run.cells) {
      const api = new ApiClient([url], secret);
      await until(async () => JSON.stringify(await api.get("/api/settings")).includes('"periodMs":200'), 1_000);
    }
    // The gateways' pings are as fast before one of them is frozen.
    await until(async () => (await statusAt("a")).gateways.every(({ heardMs }) => (heardMs ?? Infinity) < 250));
    const frozenAt = Date.now();
    freeze("g1");
    freeze("b");
    const cell = await seen("b", "down", "a", frozenAt);
    expect(cell.ms).toBeGreaterThan(400);
    expect(cell.ms).toBeLessThan(1_200);
    const gateway = await seen("g1", "down", "a", frozenAt);
    expect(gateway.ms).toBeLessThan(1_200);
    expect(await system.cli("heartbeat", "--missed", "99")).toMatchObject({
      code: 2,
      err: expect.stringContaining("must be a whole number from 1 to 20"),
    });
  });
});

describe("kill -9 of everything", () => {
  it("is survived by the heartbeat's settings and the epoch", async () => {
    const state = mkdtempSync(join(tmpdir(), "tandem-failure-"));
    const first = await startTandem({ auth: "open", state, restart: false });
    let second: Tandem | undefined;
    try {
      await first.cli("heartbeat", "--period-ms", "500", "--missed", "4");
      const before = await epochsOf(first);
      for (const { pid } of [...first.run.cells, ...first.run.gateways]) process.kill(pid, "SIGKILL");
      await first.stop();
      second = await startTandem({ auth: "open", state, restart: false });
      expect((await second.cli("heartbeat")).out).toBe("A heartbeat every 500 ms; down when 4 in a row are missed\n");
      const after = await epochsOf(second);
      expect(after.map((epoch, cell) => epoch > (before[cell] ?? 0))).toEqual([true, true]);
    } finally {
      await first.stop();
      await second?.stop();
      rmSync(state, { recursive: true, force: true, maxRetries: 5 });
    }
  });
});

async function epochsOf(running: Tandem): Promise<number[]> {
  const status: unknown = JSON.parse((await running.cli("status", "--json")).out);
  if (!isStatus(status)) throw new Error("no status");
  return status.cells.map(({ epoch }) => epoch ?? 0);
}
