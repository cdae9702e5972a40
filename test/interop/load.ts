import { type SippResult, type SippStatistics, runSipp, startSipp } from "./clients/sipp.ts";
import { freePorts } from "../../kit/world/free-ports.ts";
import { type Listener, startSystem } from "./system.ts";

/*
 * Calls between two SIPp ends over UDP, through a system with open authentication, and a table of what became of them.
 * By hand: npx node test/interop/load.ts [CALLS_PER_SECOND [SECONDS]], 500 for 30 s when nothing is said.
 */

export interface LoadPlan {
  readonly callsPerSecond: number;
  readonly seconds: number;
  /** How long each call stands. */
  readonly talkMs: number;
}

export interface LoadResult {
  readonly caller: SippResult;
  /** The side that answers: its statistics when the last call was over. */
  readonly callee: SippResult;
}

/** Registers one SIPp end, calls it from the other, waits until the last call is over on both sides. */
export async function runLoad(server: Listener, domain: string, plan: LoadPlan): Promise<LoadResult> {
  const calls = plan.callsPerSecond * plan.seconds;
  const end = { transport: "UDP", server } as const;
  const localPort = await freePorts(1);
  const registered = await runSipp({ ...end, scenario: "register", service: "callee", variables: { domain }, calls: 1, localPort });
  if (registered.exit.code !== 0) throw new Error(`the callee could not register: ${registered.errors}`);
  const callee = await startSipp({ ...end, scenario: "uas", localPort, calls });
  try {
    const { callsPerSecond, talkMs: pauseMs, seconds } = plan;
    const variables = { domain, caller: "caller" };
    // A call that gets no answer is given up after 32 s (RFC 3261 17.1.1.2, Timer B).
    const withinMs = (seconds + 45) * 1000;
    const run = { ...end, scenario: "uac", service: "callee", variables, calls, callsPerSecond, pauseMs };
    const caller = await runSipp(run, withinMs);
    return { caller, callee: await callee.finished(45_000) };
  } finally {
    await callee.stop();
  }
}

/** The two ends as lines of text. */
function loadTable({ caller, callee }: LoadResult): string {
  const columns: readonly (readonly [string, (statistics: SippStatistics) => number])[] = [
    ["calls", ({ calls }) => calls],
    ["successful", ({ successful }) => successful],
    ["failed", ({ failed }) => failed],
    ["retransmissions", ({ retransmissions }) => retransmissions],
    ["unexpected", ({ unexpectedMessages }) => unexpectedMessages],
    ["dead call", ({ deadCallMessages }) => deadCallMessages],
    ["seconds", ({ elapsedSeconds }) => elapsedSeconds],
  ];
  const row = (name: string, cells: readonly string[]): string =>
    [name.padEnd(8), ...cells.map((cell, index) => cell.padStart(columns[index]?.[0].length ?? 0))].join("  ");
  return [
    row(
      "",
      columns.map(([name]) => name),
    ),
    row(
      "caller",
      columns.map(([, value]) => String(value(caller.statistics))),
    ),
    row(
      "callee",
      columns.map(([, value]) => String(value(callee.statistics))),
    ),
  ].join("\n");
}

if (import.meta.main) {
  const [callsPerSecond = 500, seconds = 30] = process.argv.slice(2).map(Number);
  const system = await startSystem({ auth: "open" });
  try {
    const result = await runLoad(system.udp, system.domain, { callsPerSecond, seconds, talkMs: 1000 });
    process.stdout.write(`${callsPerSecond} calls/s for ${seconds} s over UDP\n${loadTable(result)}\n`);
    const errors = `${result.caller.errors}${result.callee.errors}`.split("\n").slice(0, 20).join("\n");
    if (errors !== "") process.stdout.write(`${errors}\n`);
    if (result.caller.statistics.failed + result.caller.statistics.retransmissions > 0) process.exitCode = 1;
  } finally {
    await system.stop();
  }
}
