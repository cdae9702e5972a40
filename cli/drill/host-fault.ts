import { setTimeout as delay } from "node:timers/promises";
import type { PhoneTransport } from "../../kit/phone/link.ts";
import type { MachineSystem } from "../../kit/world/machine-system.ts";
import type { Status } from "../../schemas/api-answers.ts";
import { Failure } from "../errors.ts";
import { changedMsMax, type GroupResult, isEven, restMs, witness } from "./group-fault.ts";
import { GroupWatch, isWholeWithout } from "./group-watch.ts";
import type { LoadThread } from "./load-thread.ts";
import { renewHosts } from "./renew-hosts.ts";
import { upgradeHosts } from "./upgrade-hosts.ts";
import { type HostFault, lostCells, lostGateways, type Times } from "./plan.ts";

/** The promise, however long a dead cell is waited for. */
const wholeMsMax = 45_000;
/** Each cell that has come gets its share, while nothing else goes on. */
const sharedMsMax = 180_000;

export type HostScene = {
  readonly system: MachineSystem;
  readonly transport: PhoneTransport;
  readonly load: LoadThread;
  readonly times: Times;
  /** What machines are upgraded to; undefined: they are not. */
  readonly archive: string | undefined;
  readonly say: (text: string) => void;
  readonly signal: AbortSignal;
};

/** Has a dead cell be waited for as long as the drill says, and waits until each cell has its share. Throws when it does not come so far. */
export async function untilShared({ system, times, say, signal }: Pick<HostScene, "system" | "times" | "say" | "signal">): Promise<void> {
  for (const { host, servingMs } of system.arrivals) say(`${host} served after ${(servingMs / 1000).toFixed(1)} s`);
  await system.command(system.hosts[0] ?? "", "group", "heal-after", String(times.heal / 1000));
  const isShared = (status: Status): boolean =>
    isWholeWithout(status, []) && status.cells.every(({ id }) => isEven(watch.moves.replicas[id] ?? 0, status));
  const watch = new GroupWatch(system.api(witness), signal);
  if ((await watch.until(isShared, sharedMsMax)) === undefined)
    throw new Failure(`the cells have not their shares after ${sharedMsMax / 1000} s`);
}

/** About how long the commands for a fault take. Calls of before end all the while. Softphones leave each cell whose certificate is renewed. */
export function commandsMs(fault: Exclude<HostFault, "lose-host">, transport: PhoneTransport, { change, leave }: Times): number {
  return fault === "renew" && transport !== "ws" ? change : 1.5 * leave;
}

/** Does to machines what the fault says, and waits until the group is what it is to be. */
export async function changeHosts(fault: HostFault, scene: HostScene): Promise<GroupResult> {
  const failed = new AbortController();
  const watch = new GroupWatch(scene.system.api(witness), AbortSignal.any([scene.signal, failed.signal]));
  await watch.look();
  const startedAt = performance.now();
  try {
    const ms = await inflict(fault, watch, scene);
    scene.say(ms === undefined ? "the group is not what it is to be" : "the group is what it is to be");
    const lastsMs = fault === "lose-host" ? 0 : commandsMs(fault, scene.transport, scene.times);
    await delay(Math.max(0, lastsMs - (performance.now() - startedAt)), undefined, { signal: scene.signal });
    return { wholeAfterMs: [ms], moves: watch.moves.count, replicas: watch.moves.replicas, arrivals: scene.system.arrivals };
  } finally {
    // Where a command has failed nobody looks any longer.
    failed.abort();
  }
}

async function inflict(fault: HostFault, watch: GroupWatch, scene: HostScene): Promise<number | undefined> {
  switch (fault) {
    case "lose-host":
      return await loseHost(watch, scene);
    case "drain-host":
      return await drainHost(watch, scene);
    case "upgrade":
      return await upgradeHosts(watch, scene);
    case "renew":
      return await renewHosts(watch, scene);
  }
}

/** The first host, which has made the system, and has its coordinator and a gateway. */
async function loseHost(watch: GroupWatch, { system }: HostScene): Promise<number | undefined> {
  const [first = ""] = system.hosts;
  system.killHost(first);
  return await watch.until((status) => isWholeWithout(status, lostCells("lose-host")), wholeMsMax);
}

/** The second host, which has joined with a cell and a gateway. Its commands are typed on the first one. */
async function drainHost(watch: GroupWatch, { system, load, times, say }: HostScene): Promise<number | undefined> {
  const [first = "", second = ""] = system.hosts;
  const [cells, gateways] = [lostCells("drain-host"), lostGateways("drain-host")];
  const startedAt = performance.now();
  const isGone = (status: Status): boolean =>
    isWholeWithout(status, cells) && [...status.cells, ...status.gateways].every(({ id }) => ![...cells, ...gateways].includes(id));
  const typed = async (): Promise<void> => {
    // By then all phones have forgotten its gateway: who comes back after that stays.
    await system.command(first, "drain", second, "--deadline", `${times.leave / 1_000}s`);
    say(`${second} is idle after ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
    await system.command(first, "remove", second, "--deadline", "0s");
    if (!(await system.untilEnded(second))) throw new Failure(`${second} was removed, and runs still`);
  };
  // Who looks after the name servers takes the gateway out of the zone.
  await Promise.all(gateways.map((gateway) => load.forget(`gateway ${gateway}`, times.leave)));
  const [ms] = await Promise.all([watch.until(isGone, changedMsMax, restMs), typed()]);
  return ms;
}
