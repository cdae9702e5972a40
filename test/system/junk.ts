/**
 * Sends 300 random octet messages a second at every way in, for 20 s, while phones call each other, and prints what became of it:
 *
 *     npx node test/system/junk.ts [SECONDS] [PER_SECOND]
 */
import { setTimeout as delay } from "node:timers/promises";
import { GoodCalls } from "./good-calls.ts";
import { JunkSenders } from "./junk-senders.ts";
import { residentKilobytes } from "./memory.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";

const seconds = Number(process.argv[2] ?? 20);
const perSecond = Number(process.argv[3] ?? 300);
/** Transactions over UDP are remembered for 32 s (Timer J). */
const afterwardsSeconds = 40;

function table(rows: readonly (readonly (string | number)[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => String(row[column]).length)));
  return rows.map((row) => row.map((cell, column) => String(cell).padEnd(widths[column] ?? 0)).join("  ")).join("\n");
}

function processesOf({ run }: Tandem): { name: string; pid: number }[] {
  return [...run.cells, ...run.gateways].map(({ id, pid }) => ({ name: id, pid }));
}

const megabytes = (system: Tandem): string[] => processesOf(system).map(({ pid }) => (residentKilobytes(pid) / 1024).toFixed(0));

const system = await startTandem({ webSocket: true });
const calls = await GoodCalls.open(system);
try {
  const before = processesOf(system);
  await calls.run();
  const memory = [
    ["MB", ...before.map(({ name }) => name)],
    ["before", ...megabytes(system)],
  ];
  const quiet = { made: calls.made, lines: system.events.length };
  const end = new AbortController();
  const running = calls.run(end.signal);
  const junk = new JunkSenders(system);
  junk.start(perSecond);
  for (let second = 0; second < seconds; second += 5) {
    await delay(Math.min(5, seconds - second) * 1000);
    memory.push([`${Math.min(seconds, second + 5)} s`, ...megabytes(system)]);
  }
  junk.stop();
  end.abort();
  await running;
  const meanwhile = { made: calls.made - quiet.made, failed: calls.failures.length };
  await delay(afterwardsSeconds * 1000);
  memory.push([`${afterwardsSeconds} s after`, ...megabytes(system)]);
  await calls.register();
  await calls.run();
  const afterwards = { made: calls.made - meanwhile.made - quiet.made, failed: calls.failures.length - meanwhile.failed };
  const lines = [
    table([["JUNK", "SENT", "CONNECTIONS CLOSED"], ...junk.counts.map(({ name, sent, closed }) => [name, sent, closed])]),
    table([
      ["CALLS", "MADE", "FAILED"],
      ["meanwhile", meanwhile.made, meanwhile.failed],
      ["afterwards", afterwards.made, afterwards.failed],
    ]),
    `processes     ${JSON.stringify(before) === JSON.stringify(processesOf(system)) ? "the same" : "others"}`,
    `lines logged  ${system.events.length - quiet.lines}`,
    table(memory),
    ...calls.failures.slice(0, 10),
    ...new Set(system.events.slice(quiet.lines).map((event) => JSON.stringify(event).slice(0, 300))),
  ];
  process.stdout.write(`${lines.join("\n\n")}\n`);
} finally {
  calls.close();
  await system.stop();
}
