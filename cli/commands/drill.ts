import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Arguments } from "../arguments.ts";
import { archiveOfCheckout, programOf } from "../drill/archives.ts";
import { drillAmongMachines, ownerVariable, whyNoMachines } from "../drill/among-machines.ts";
import { type FaultResult, runHostFault, runLocalFault } from "../drill/fault.ts";
import type { PhoneTransport } from "../../kit/phone/link.ts";
import { freePorts } from "../../kit/world/free-ports.ts";
import { MachineNetwork } from "../../kit/world/machine-network.ts";
import { MachineSystem } from "../../kit/world/machine-system.ts";
import { RelayedSystem } from "../../kit/world/relayed-system.ts";
import { markdownTable } from "../drill/markdown-table.ts";
import {
  concerns,
  type Fault,
  gateways,
  hostCount,
  hostExchanges,
  isOfHosts,
  type Plan,
  planOf,
  portsNeeded,
  shapeFor,
} from "../drill/plan.ts";
import { missesOf, resultTable } from "../drill/result-table.ts";
import { onEnd } from "../ending.ts";
import { Failure } from "../errors.ts";
import type { Io } from "../io.ts";
import { type Reporter, humanReporter } from "../reporter.ts";

/** Lost calls that are described at once; with --json all of them are, in the end. */
const lossesShown = 5;

const domain = "drill.test";

/** Runs every fault over every transport, each with a system of its own, one after the other. Throws when a promise was not kept. */
export async function run(args: Arguments, io: Io): Promise<void> {
  const plan = planOf(args);
  const faults = faultsOf(plan, io);
  const directory = plan.state ?? mkdtempSync(join(tmpdir(), "tandem-drill-"));
  const stop = new AbortController();
  const unwatch = onEnd((cause) => stop.abort(new Failure(`ended early: ${cause}`)));
  const results: FaultResult[] = [];
  try {
    for (const fault of faults) {
      for (const transport of plan.transports.filter((each) => concerns(fault, each)))
        results.push(await drillOnce({ args, plan, fault, transport, directory, io, signal: stop.signal }));
    }
  } finally {
    unwatch();
    if (plan.state === undefined) rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
    if (results.length > 0) io.out(textOf(plan, results));
  }
  const misses = missesOf(results);
  if (misses.length > 0) throw new Failure(`lost: ${misses.join("; ")}`);
}

/** Those that were chosen. Throws a {@link Failure} when this user may not have one of them; where none was chosen it is left out. */
function faultsOf({ faults, isAll }: Plan, io: Io): readonly Fault[] {
  const isAmongMachines = io.environment[ownerVariable] !== undefined;
  const why = isAmongMachines || !faults.some(isOfHosts) ? undefined : whyNoMachines();
  if (why === undefined) return faults;
  if (!isAll) throw new Failure(why);
  io.err(`left out: ${why}\n`);
  return faults.filter((fault) => !isOfHosts(fault));
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

type Drill = {
  readonly args: Arguments;
  readonly plan: Plan;
  readonly fault: Fault;
  readonly transport: PhoneTransport;
  readonly directory: string;
  readonly io: Io;
  readonly signal: AbortSignal;
};

async function drillOnce(drill: Drill): Promise<FaultResult> {
  const { args, plan, fault, transport, directory, io, signal } = drill;
  const owner = io.environment[ownerVariable];
  if (isOfHosts(fault) && owner === undefined)
    return await drillAmongMachines({ args, fault, transport, directory, signal, pass: (line) => io.err(`${line}\n`) });
  const startedAt = performance.now();
  const say = (text: string): void => {
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1).padStart(5);
    io.err(`${fault} ${transport.toUpperCase()} ${seconds} s  ${text}\n`);
  };
  const state = join(directory, `${fault}-${transport}`);
  rmSync(state, { recursive: true, force: true });
  const stage = { transport, plan, say, signal };
  const exchanges = plan.exchanges ?? hostExchanges;
  let result: FaultResult;
  if (isOfHosts(fault)) {
    const network = new MachineNetwork(Number(owner), hostCount);
    const before = plan.from === undefined || fault !== "upgrade" ? {} : { program: await programOf(plan.from, directory) };
    const archive = fault === "upgrade" ? (plan.to ?? (await archiveOfCheckout(directory))) : undefined;
    const system = new MachineSystem({ directory: state, domain, exchanges, network, say, ...before });
    result = await during(system, signal, async () => await runHostFault(system, fault, archive, stage));
  } else {
    const shape = shapeFor(fault);
    const system = new RelayedSystem({
      ...shape,
      directory: state,
      firstPort: plan.port ?? (await freePorts(portsNeeded)),
      domain,
      gateways,
      exchanges: plan.exchanges ?? shape.exchanges,
      reporter: reporterOf(say),
      times: { healAfterMs: plan.times.heal },
    });
    result = await during(system, signal, async () => await runLocalFault(system, fault, stage));
  }
  for (const loss of result.losses.slice(0, lossesShown)) say(loss);
  say("done");
  return result;
}

type Running = Pick<RelayedSystem, "start" | "stop" | "kill">;

/** Does something while a system runs. The signal ends it early. */
async function during<Result>(system: Running, signal: AbortSignal, act: () => Promise<Result>): Promise<Result> {
  const kill = (): void => system.kill();
  signal.addEventListener("abort", kill);
  try {
    signal.throwIfAborted();
    await system.start(signal);
    return await act();
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
