import { setTimeout as delay } from "node:timers/promises";
import type { PhoneTransport } from "../../kit/phone/link.ts";
import type { MachineSystem } from "../../kit/world/machine-system.ts";
import type { RelayedSystem } from "../../kit/world/relayed-system.ts";
import { isListOf, isTable } from "../json.ts";
import { isStatus } from "../status.ts";
import { Detection, isDown } from "./detection.ts";
import { changeGroup, type GroupResult } from "./group-fault.ts";
import { changeHosts, commandsMs, untilShared } from "./host-fault.ts";
import { LoadThread } from "./load-thread.ts";
import type { LoadReport } from "./load.ts";
import {
  changeMs,
  drainedCell,
  type Fault,
  type HostFault,
  isOfGroup,
  type LocalFault,
  lostCells,
  lostGateways,
  type Plan,
  type Times,
} from "./plan.ts";
import { Replicas } from "./replicas.ts";

/** What one fault cost the users of one transport. */
export type FaultResult = {
  readonly fault: Fault;
  readonly transport: PhoneTransport;
  /** From the fault to the first status that shows it; undefined: none did, or there was nobody to ask. */
  readonly detectionMs: number | undefined;
  readonly established: LoadReport["established"];
  readonly ringing: LoadReport["ringing"];
  readonly cancelled: LoadReport["cancelled"];
  /** Phones that are, in their own eyes and in those of the cells, registered in the end. */
  readonly registrations: { readonly kept: number; readonly lost: number };
  readonly newCalls: LoadReport["newCalls"];
  /** Where the group is another one afterwards. */
  readonly group: GroupResult | undefined;
  /** So many ms after the end of the fault both replicas of every exchange had been seen to hold the same records, part by part; undefined: not in time. */
  readonly identicalAfterMs: number | undefined;
  /** Every member, but for those that were lost for good, was up again in the end. */
  readonly isWhole: boolean;
  readonly failedBefore: number;
  readonly anomalies: LoadReport["anomalies"];
  readonly losses: readonly string[];
};

/** A phone is given so long to register: all of them together. */
const registerMsMax = 90_000;
const setUpMsMax = 60_000;
/** The first calls end this long after the fault: an end that nobody had to wait for. */
const settleMs = 15_000;
/** The promise for a partition that heals. */
const identicalMsMax = 5_000;
const identicalPollMs = 200;
/** About how long replicas take to be made again, detection and all. */
const copiedMs = 5_000;

type Say = (text: string) => void;

/** What befalls which system, and what is done to it. */
export type Stage = {
  readonly fault: Fault;
  readonly transport: PhoneTransport;
  readonly plan: Plan;
  readonly say: Say;
  readonly signal: AbortSignal;
};

/** What is asked of a system, on one machine or on several, while something befalls it. */
type System = Pick<RelayedSystem, "domain" | "ca" | "targets" | "api" | "cellApi" | "untilUp"> & {
  /** That of the phones. */
  readonly host: string;
  readonly cells: readonly { readonly id: string }[];
};

/** What befalls processes of one machine. */
export async function runLocalFault(system: RelayedSystem, fault: LocalFault, stage: Omit<Stage, "fault">): Promise<FaultResult> {
  return await runFault(system, { ...stage, fault }, async () => await inflict(system, { ...stage, fault }));
}

/** What befalls machines. */
export async function runHostFault(
  system: MachineSystem,
  fault: HostFault,
  archive: string | undefined,
  stage: Omit<Stage, "fault">,
): Promise<FaultResult> {
  const { times } = stage.plan;
  await untilShared({ ...stage, system, times });
  return await runFault(system, { ...stage, fault }, async (load) => await changeHosts(fault, { ...stage, system, times, load, archive }));
}

/** Puts the system under load, lets the fault happen, and returns what the phones saw. The signal ends it early. */
async function runFault(
  system: System,
  { fault, transport, plan, say, signal }: Stage,
  happens: (load: LoadThread) => Promise<GroupResult | undefined>,
): Promise<FaultResult> {
  const { amounts, times } = plan;
  const load = new LoadThread({
    transport,
    domain: system.domain,
    host: system.host,
    targets: system.targets(transport),
    ca: transport === "tls" ? system.ca : undefined,
    amounts,
    // Two softphones with one WebSocket each, to cells that do not reach each other, have no way to each other.
    everyoneHasTwo: fault === "cut-cells" && transport === "ws",
  });
  const end = (): void => void load.stop();
  signal.addEventListener("abort", end);
  try {
    say(`${amounts.registered} phones register`);
    await load.register(registerMsMax);
    say(`${amounts.established} calls are set up`);
    await load.establish(setUpMsMax);
    await load.startCalls();
    await delay(times.warmUp, undefined, { signal });
    await load.ring(setUpMsMax);
    say(`under ${amounts.rate} new calls a second: ${fault}`);
    const detection = watch(system, fault);
    await load.fault(windowMs(fault, transport, times));
    let group: GroupResult | undefined;
    try {
      group = await happens(load);
    } finally {
      detection?.stop();
    }
    const overAt = performance.now();
    if (fault === "cut-cells") await load.stopCalls();
    const lost = lostCells(fault);
    const alive = system.cells.map(({ id }) => id).filter((id) => !lost.includes(id));
    const identical = fault === "cut-cells" ? untilIdentical(system, alive, overAt, signal) : undefined;
    await delay(times.after, undefined, { signal });
    await load.stopCalls();
    say(`${await load.inProgress()} calls come to their end`);
    await load.drain();
    await load.settle(settleMs);
    const isWhole = await system.untilUp(outOfService(fault));
    const identicalAfterMs = await (identical ?? untilIdentical(system, alive, performance.now(), signal));
    const report = await load.report();
    const missing = await missingFrom(system, alive, await load.users());
    return {
      fault,
      transport,
      detectionMs: detection?.ms,
      established: report.established,
      ringing: report.ringing,
      cancelled: report.cancelled,
      registrations: {
        kept: amounts.registered - Math.max(missing.length, report.phones.lost),
        lost: Math.max(missing.length, report.phones.lost),
      },
      newCalls: report.newCalls,
      group,
      identicalAfterMs,
      isWhole,
      failedBefore: report.failedBefore,
      anomalies: report.anomalies,
      losses: [...report.losses, ...missing.slice(0, 10).map((user) => `no cell knows ${user}`)],
    };
  } finally {
    signal.removeEventListener("abort", end);
    await load.stop();
  }
}

/** How long calls of before go on ending: through the fault and what follows it. */
function windowMs(fault: Fault, transport: PhoneTransport, times: Times): number {
  switch (fault) {
    case "kill-both":
      return times.after;
    case "kill-cell":
    case "kill-gateway":
      return times.restart + times.after / 2;
    case "freeze-cell":
      return times.freeze + times.after / 2;
    case "cut-cells":
      return times.cut + times.after / 2;
    case "lose-cell":
    case "lose-two":
      return lostCells(fault).length * (times.heal + copiedMs) + times.after / 2;
    case "add-cell":
    case "remove-cell":
    case "drain-cell":
    case "double":
      return changeMs(fault, transport, times) + times.after / 2;
    case "lose-host":
      return times.heal + copiedMs + times.after / 2;
    case "drain-host":
    case "upgrade":
    case "renew":
      return commandsMs(fault, transport, times) + times.after / 2;
  }
}

/** Members that are not up in the end. */
function outOfService(fault: Fault): readonly string[] {
  return fault === "drain-cell" ? [drainedCell] : [...lostCells(fault), ...lostGateways(fault)];
}

/** Looks from a cell that goes on. */
function watch(system: System, fault: Fault): Detection | undefined {
  switch (fault) {
    case "kill-cell":
    case "freeze-cell":
    case "cut-cells":
      return new Detection(system.api("b"), ({ cells }) => isDown(cells, "a"));
    case "kill-gateway":
      return new Detection(system.api("a"), ({ gateways }) => isDown(gateways, "g1"));
    case "lose-cell":
    case "lose-two":
    case "lose-host":
      return new Detection(system.api("d"), ({ cells }) => isDown(cells, "a"));
    case "kill-both":
    case "add-cell":
    case "remove-cell":
    case "drain-cell":
    case "double":
    case "drain-host":
    case "upgrade":
    case "renew":
      return undefined;
  }
}

async function inflict(
  system: RelayedSystem,
  { fault, transport, plan, say, signal }: Stage & { readonly fault: LocalFault },
): Promise<GroupResult | undefined> {
  const { times } = plan;
  const wait = async (ms: number): Promise<void> => await delay(ms, undefined, { signal });
  const startAgain = async (name: string): Promise<void> => {
    await system.startAgain(name);
    say(`${name} is back`);
  };
  if (isOfGroup(fault)) return await changeGroup(fault, { system, transport, times, say, signal });
  switch (fault) {
    case "kill-cell":
      system.signal("cell a", "SIGKILL");
      await wait(times.restart);
      await startAgain("cell a");
      return undefined;
    case "kill-gateway":
      system.signal("gateway g1", "SIGKILL");
      await wait(times.restart);
      await startAgain("gateway g1");
      return undefined;
    case "freeze-cell":
      system.signal("cell a", "SIGSTOP");
      try {
        await wait(times.freeze);
      } finally {
        system.signal("cell a", "SIGCONT");
      }
      say("cell a goes on");
      return undefined;
    case "cut-cells":
      system.cut();
      await wait(times.cut);
      system.heal();
      say("the cells reach each other again");
      return undefined;
    case "kill-both":
      system.signal("cell a", "SIGKILL");
      system.signal("cell b", "SIGKILL");
      await Promise.all([startAgain("cell a"), startAgain("cell b")]);
      return undefined;
  }
}

/** How long after `since` both replicas of every exchange have been the same; undefined: not within the time that is promised. */
async function untilIdentical(system: System, alive: readonly string[], since: number, signal: AbortSignal): Promise<number | undefined> {
  const replicas = new Replicas();
  const api = system.api(...alive);
  for (;;) {
    const at = performance.now();
    const status = await api.get("/api/status").catch(() => undefined);
    const pairs = isStatus(status) ? (status.exchanges ?? []) : [];
    if (await replicas.look((cell, exchange) => system.cellApi(cell).get(`/cell/digest/${exchange}`), pairs)) return Math.round(at - since);
    if (at - since > identicalMsMax) return undefined;
    await delay(identicalPollMs, undefined, { signal });
  }
}

/** Users that no registration names. */
async function missingFrom(system: System, alive: readonly string[], users: readonly string[]): Promise<string[]> {
  const list = await system.api(...alive).get("/api/registrations");
  const known = new Set(isListOf(list, isTable) ? list.map(({ aor }) => aor) : []);
  return users.filter((user) => !known.has(`${user}@${system.domain}`));
}
