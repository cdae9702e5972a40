import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Arguments } from "../arguments.ts";
import { type FaultResult, runFault } from "../drill/fault.ts";
import type { PhoneTransport } from "../../kit/phone/link.ts";
import { freePorts } from "../../kit/world/free-ports.ts";
import { RelayedSystem } from "../../kit/world/relayed-system.ts";
import { markdownTable } from "../drill/markdown-table.ts";
import { type Fault, type Plan, concerns, gateways, planOf, portsNeeded, shapeFor } from "../drill/plan.ts";
import { missesOf, resultTable } from "../drill/result-table.ts";
import { onEnd } from "../ending.ts";
import { Failure } from "../errors.ts";
import type { Io } from "../io.ts";
import { type Reporter, humanReporter } from "../reporter.ts";

/** Lost calls that are described at once; with --json all of them are, in the end. */
const lossesShown = 5;

/** Runs every fault over every transport, each with a system of its own, one after the other. Throws when a promise was not kept. */
export async function run(args: Arguments, io: Io): Promise<void> {
  const plan = planOf(args);
  const directory = plan.state ?? mkdtempSync(join(tmpdir(), "tandem-drill-"));
  const stop = new AbortController();
  const unwatch = onEnd((cause) => stop.abort(new Failure(`ended early: ${cause}`)));
  const results: FaultResult[] = [];
  try {
    for (const fault of plan.faults) {
      for (const transport of plan.transports.filter((each) => concerns(fault, each)))
        results.push(await drillOnce(plan, fault, transport, directory, io, stop.signal));
    }
  } finally {
    unwatch();
    if (plan.state === undefined) rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
    if (results.length > 0) io.out(textOf(plan, results));
  }
  const misses = missesOf(results);
  if (misses.length > 0) throw new Failure(`lost: ${misses.join("; ")}`);
}

function textOf({ form, amounts, times }: Plan, results: readonly FaultResult[]): string {
  switch (form) {
    case "json":
      return `${JSON.stringify({ amounts, times, results })}\n`;
    case "markdown":
      return markdownTable(results, amounts);
    case "text":
      return resultTable(results);
  }
}

async function drillOnce(
  plan: Plan,
  fault: Fault,
  transport: PhoneTransport,
  directory: string,
  io: Io,
  signal: AbortSignal,
): Promise<FaultResult> {
  const startedAt = performance.now();
  const say = (text: string): void => {
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1).padStart(5);
    io.err(`${fault} ${transport.toUpperCase()} ${seconds} s  ${text}\n`);
  };
  const state = join(directory, `${fault}-${transport}`);
  rmSync(state, { recursive: true, force: true });
  const shape = shapeFor(fault);
  const system = new RelayedSystem({
    ...shape,
    directory: state,
    firstPort: plan.port ?? (await freePorts(portsNeeded)),
    domain: "drill.test",
    gateways,
    exchanges: plan.exchanges ?? shape.exchanges,
    reporter: reporterOf(say),
    times: { healAfterMs: plan.times.heal },
  });
  const kill = (): void => system.kill();
  signal.addEventListener("abort", kill);
  try {
    signal.throwIfAborted();
    await system.start(signal);
    const result = await runFault(system, fault, transport, plan, say, signal);
    for (const loss of result.losses.slice(0, lossesShown)) say(loss);
    say("done");
    return result;
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", kill);
    await system.stop();
  }
}

/** What the system's processes do goes to stderr as well, their start apart. */
function reporterOf(say: (text: string) => void): Reporter {
  const reporter = humanReporter({ out: (text) => say(text.trimEnd()) }, () => new Date());
  return { ...reporter, step: () => undefined, line: (process, text) => say(text.includes(process) ? text : `${process}: ${text}`) };
}
