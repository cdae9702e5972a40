import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, expect, it } from "vitest";
import { isParseError } from "../../sip/errors.ts";
import { parseRecord } from "../../sip/record/record-text.ts";
import { databasesOf } from "../fixtures/earlier-state.ts";
import { wayOf } from "./clients/way.ts";
import { registerMany } from "./many-phones.ts";
import { killEverything, startTandem, type Tandem } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";

/** `ten-thousand.ts` measures the same by hand. */
const count = 10_000;
/** Far above what it takes anywhere: a start that read its records one after the other from somewhere would show. */
const readyMsMax = 20_000;
/** Of `tandem up`, and what a busy machine adds to it. */
const flushMs = 1_000;
const lateMs = 1_000;
const state = mkdtempSync(join(tmpdir(), "tandem-restart-"));

let system: Tandem;

beforeAll(async () => {
  system = await startTandem({ state, auth: "open" });
});

afterAll(async () => {
  await system?.stop();
  rmSync(state, { recursive: true, force: true });
});

type Row = { readonly aor: string; readonly contact: string; readonly primary: string; readonly expiresSeconds: number };

async function rows(): Promise<Row[]> {
  const { code, out, err } = await system.cli("registrations", "--json");
  if (code !== 0) throw new Error(err);
  return JSON.parse(out);
}

async function countInStatus(): Promise<unknown> {
  return JSON.parse((await system.cli("status", "--json")).out).registrations;
}

/** Everything of a row but its time. */
function lasting(some: readonly Row[]): string[] {
  return some.map(({ aor, contact, primary }) => `${aor} ${contact} ${primary}`).toSorted();
}

it(`[RFC3261 10.3] holds ${count} registrations, and has them again after a restart of everything, stopped or killed`, async () => {
  const { port } = await registerMany(wayOf(system, "UDP"), count);
  expect(await countInStatus()).toBe(count);
  const before = await rows();
  expect(new Set(before.map(({ aor }) => aor)).size).toBe(count);
  expect(new Set(before.map(({ contact }) => contact)).size).toBe(count);

  for (const end of [() => system.stop("SIGTERM"), () => killEverything(system)]) {
    const { firstPort } = system;
    await end();
    system = await startTandem({ state, auth: "open", firstPort });
    expect(system.readyMs).toBeLessThan(readyMsMax);
    expect(await countInStatus()).toBe(count);
    const after = await rows();
    expect(lasting(after)).toEqual(lasting(before));
    expect(Math.min(...after.map(({ expiresSeconds }) => expiresSeconds))).toBeGreaterThan(3600 - 60);
    expect(Math.max(...after.map(({ expiresSeconds }) => expiresSeconds))).toBeLessThanOrEqual(3600);
  }

  // A refresh of each finds its binding, and adds none.
  await registerMany(wayOf(system, "UDP"), count, port);
  expect(await countInStatus()).toBe(count);
});

/** When bindings end, by their keys, as the disk of a cell has them: those of the phones at a port. */
function endsOnDisk(cell: string, port: number): ReadonlyMap<string, number> {
  const ends = new Map<string, number>();
  for (const file of databasesOf(join(state, "cells", cell))) {
    const database = new DatabaseSync(file, { readOnly: true });
    try {
      const isThere = database.prepare("select 1 from sqlite_master where name = 'binding_log'").get() !== undefined;
      const batches = isThere ? database.prepare("select text from binding_log order by number").all() : [];
      for (const line of batches.flatMap(({ text }) => String(text).split("\n"))) {
        const record = line.startsWith("[") && line.includes(`:${port}`) ? parseRecord(line) : undefined;
        if (record !== undefined && !isParseError(record) && record.kind === "binding" && record.value !== undefined)
          ends.set(record.key, record.value.expiresAt);
      }
    } finally {
      database.close();
    }
  }
  return ends;
}

/** What was answered for so many seconds is on the disk of one cell, or of both: it is on one within flushMs, and on the other one flushMs later. */
async function flushed(port: number, some: number, seconds: number, cells: "one" | "both"): Promise<void> {
  const inTimeOn = (cell: string): string[] =>
    Array.from(endsOnDisk(cell, port)).flatMap(([key, at]) => (Math.abs(at - Date.now() - seconds * 1000) < 60_000 ? [key] : []));
  if (cells === "both") return await until(() => ["a", "b"].every((cell) => inTimeOn(cell).length === some), 2 * flushMs + lateMs);
  // Each of both exchanges has some of them, and turns of its own.
  await until(() => new Set(["a", "b"].flatMap(inTimeOn)).size === some, flushMs + lateMs);
}

it("[RFC3261 10.3] ends registrations when it said, also after all was killed: those shortened last at once, those refreshed within flushMs", async () => {
  const some = 50;
  const { port } = await registerMany(wayOf(system, "UDP"), some, 0, 3600);
  await flushed(port, some, 3600, "both");
  const restart = async (): Promise<number[]> => {
    const { firstPort } = system;
    await killEverything(system);
    system = await startTandem({ state, auth: "open", firstPort });
    const theirs = (await rows()).filter(({ contact }) => contact.includes(`:${port}`));
    expect(theirs).toHaveLength(some);
    return theirs.map(({ expiresSeconds }) => expiresSeconds);
  };
  await registerMany(wayOf(system, "UDP"), some, port, 600);
  expect(Math.max(...(await restart()))).toBeLessThanOrEqual(600);
  await registerMany(wayOf(system, "UDP"), some, port, 1800);
  await flushed(port, some, 1800, "one");
  const after = await restart();
  expect(Math.max(...after)).toBeLessThanOrEqual(1800);
  expect(Math.min(...after)).toBeGreaterThan(1800 - 60);
});

it("has what was answered a moment before it was stopped", async () => {
  const some = 20;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    const { port } = await registerMany(wayOf(system, "UDP"), some, 0, 3600);
    const { firstPort } = system;
    const { ms } = await system.stop(signal);
    expect(ms).toBeLessThan(3_000 + lateMs);
    system = await startTandem({ state, auth: "open", firstPort });
    expect((await rows()).filter(({ contact }) => contact.includes(`:${port}`))).toHaveLength(some);
  }
});
