/**
 * Prints how long registering, listing and starting again take with 10 000 registrations (or another number):
 *
 *     npx node test/system/ten-thousand.ts [COUNT]
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { wayOf } from "./clients/way.ts";
import { registerMany } from "./many-phones.ts";
import { residentKilobytes } from "./memory.ts";
import { killEverything, startTandem, type Tandem } from "../../kit/world/tandem.ts";

const count = Number(process.argv[2] ?? 10_000);
const state = mkdtempSync(join(tmpdir(), "tandem-many-"));

function say(what: string, value: string): void {
  process.stdout.write(`${what.padEnd(44)}${value}\n`);
}

async function timed<T>(run: () => Promise<T>): Promise<{ ms: string; result: T }> {
  const at = performance.now();
  const result = await run();
  return { ms: `${Math.round(performance.now() - at)} ms`, result };
}

async function show(system: Tandem): Promise<void> {
  const status = await timed(() => system.cli("status", "--json"));
  say("  tandem status --json", `${status.ms}, registrations ${JSON.parse(status.result.out).registrations}`);
  const list = await timed(() => system.cli("registrations", "--json"));
  say("  tandem registrations --json", `${list.ms}, ${JSON.parse(list.result.out).length} rows, ${list.result.out.length} octets`);
  const table = await timed(() => system.cli("registrations"));
  say("  tandem registrations", `${table.ms}, ${table.result.out.split("\n").length} lines`);
  const processes = [...system.run.cells, ...system.run.gateways].map(
    ({ id, pid }) => `${id} ${Math.round(residentKilobytes(pid) / 1024)} MB`,
  );
  say("  resident memory", processes.join(", "));
}

function diskOctets(directory: string): number {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}

let system = await startTandem({ state, auth: "open" });
try {
  say("ready, nothing registered", `${Math.round(system.readyMs)} ms`);
  let port = 0;
  for (const what of ["registered", "refreshed"]) {
    const { ms, retransmissions, ...many } = await registerMany(wayOf(system, "UDP"), count, port);
    port = many.port;
    const rate = Math.round((count / ms) * 1000);
    say(`${count} ${what} over UDP`, `${Math.round(ms)} ms, ${rate}/s, ${retransmissions} retransmissions`);
  }
  await show(system);
  say("  on disk", `${(diskOctets(join(state, "cells")) / 1e6).toFixed(1)} MB`);
  const { firstPort } = system;
  const { ms } = await system.stop();
  say("stopped by SIGTERM", `${Math.round(ms)} ms`);
  system = await startTandem({ state, auth: "open", firstPort });
  say("ready again", `${Math.round(system.readyMs)} ms`);
  await show(system);
  await killEverything(system);
  system = await startTandem({ state, auth: "open", firstPort });
  say("ready again after kill -9 of everything", `${Math.round(system.readyMs)} ms`);
  await show(system);
} finally {
  await system.stop();
  rmSync(state, { recursive: true, force: true });
}
