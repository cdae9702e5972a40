import type { AimedFaultKind } from "./aimed-faults.ts";
import type { Cluster } from "./cluster.ts";
import type { GroupFaultKind } from "./group-faults.ts";
import type { Host } from "./host.ts";
import type { InnerFaultKind } from "./inner-faults.ts";
import type { MapFaultKind } from "./map-faults.ts";
import type { MemberFaultKind } from "./member-faults.ts";
import type { Random } from "./random.ts";

export const faultKinds = [
  "crash a cell",
  "freeze a cell",
  "crash a gateway",
  "freeze a gateway",
  "cut between cells",
  "cut a gateway from a cell",
  "isolate a cell",
  "crash both cells",
  "bad weather",
  "cut a phone off",
] as const;

/** Kinds that came later. They have a random stream of their own, so that a seed of the others is what it was. */
export const laterFaultKinds = ["step a clock", "set a clock"] as const;

export type LaterFaultKind = (typeof laterFaultKinds)[number];
export type FaultKind = (typeof faultKinds)[number];

/** One fault of a run: what was done to whom, and when (true time). */
export type Fault = {
  readonly kind: FaultKind | LaterFaultKind | InnerFaultKind | AimedFaultKind | MapFaultKind | GroupFaultKind | MemberFaultKind;
  readonly target: string;
  readonly from: number;
  readonly until: number;
  /** By how much a wall clock was set. */
  readonly stepMs?: number;
  /** When a cell dies that only stood still until then. */
  readonly diesAt?: number;
};

/** Plans one fault. */
export function makeFault(
  cluster: Cluster,
  kind: FaultKind | LaterFaultKind,
  from: number,
  lastMs: number,
  random: Random = cluster.random,
): Fault {
  const { world } = cluster;
  const until = from + lastMs;
  const plan = (target: string, begin: () => void, end: () => void): Fault => {
    if (cluster.leftOut.has(kind)) return { kind, target, from, until };
    world.at(from, () => {
      world.trace("fault", () => `${kind}: ${target}, for ${lastMs} ms`);
      begin();
    });
    world.at(until, end);
    return { kind, target, from, until };
  };
  const cell = random.pick(cluster.cells);
  const gateway = random.pick(cluster.gateways);
  switch (kind) {
    case "crash a cell":
      return plan(cell.id, () => cell.host.crash(), restarts(cell));
    case "freeze a cell":
      return plan(
        cell.id,
        () => cell.host.freeze(),
        () => cell.host.thaw(),
      );
    case "crash a gateway":
      return plan(gateway.host.name, () => gateway.host.crash(), restarts(gateway));
    case "freeze a gateway":
      return plan(
        gateway.host.name,
        () => gateway.host.freeze(),
        () => gateway.host.thaw(),
      );
    case "crash both cells":
      return plan(
        "all cells",
        () => cluster.cells.forEach(({ host }) => host.crash()),
        () => cluster.cells.forEach((each) => restarts(each)()),
      );
    case "cut between cells":
    case "cut a gateway from a cell":
    case "isolate a cell": {
      const pairs = cutsOf(cluster, kind, cell.host, gateway.host);
      return plan(
        pairs.map((pair) => pair.join("|")).join(" "),
        () => pairs.forEach(([one, other]) => cluster.network.cut(one, other)),
        () => pairs.forEach(([one, other]) => cluster.network.heal(one, other)),
      );
    }
    case "bad weather": {
      const weather = weatherOf(random);
      const before = cluster.network.weather;
      const begin = (): void => {
        cluster.network.weather = weather;
      };
      const end = (): void => {
        cluster.network.weather = before;
      };
      return plan(`${Math.round(weather.loss * 100)} % lost`, begin, end);
    }
    case "step a clock": {
      const { host } = random.pick([...cluster.cells, ...cluster.gateways]);
      const stepMs = random.pick([100, 500, 2_000]) * random.pick([1, -1]);
      return plan(
        `${host.name}, ${stepMs} ms`,
        () => host.step(stepMs),
        () => {},
      );
    }
    case "set a clock":
      return setClock(cluster, plan, random);
    case "cut a phone off": {
      const phone = random.pick(cluster.phones);
      const others = [...cluster.gateways, ...cluster.cells].map(({ host }) => host.name);
      return plan(
        phone.host.name,
        () => others.forEach((other) => cluster.network.cut(phone.host.name, other)),
        () => others.forEach((other) => cluster.network.heal(phone.host.name, other)),
      );
    }
  }
  return kind satisfies never;
}

/**
 * Sets the clock of a gateway, either way, or those of all cells forward. Cells whose clocks are further apart than a signature is good for do not speak
 * with each other, so they are set together. Set back, the timers of their objects stand for as long (docs/decisions/0027-two-kinds-of-time.md).
 */
function setClock(cluster: Cluster, plan: (target: string, begin: () => void, end: () => void) => Fault, random: Random): Fault {
  const isOfCells = random.chance(0.6);
  const hosts = isOfCells ? cluster.cells.map(({ host }) => host) : [random.pick(cluster.gateways).host];
  const stepMs = random.pick([60_000, 3_600_000]) * (isOfCells ? 1 : random.pick([1, -1]));
  const set = (): void => {
    if (isCallSetUp(cluster)) cluster.moments.reached("a clock is set while a call is set up");
    for (const host of hosts) host.step(stepMs);
  };
  const name = isOfCells ? "all cells" : (hosts[0]?.name ?? "");
  return { ...plan(`${name}, ${stepMs} ms`, set, () => {}), stepMs };
}

function isCallSetUp({ cells }: Cluster): boolean {
  return cells.some(({ replicas }) => replicas.some(({ exchange }) => exchange.store.count("invite") > 0));
}

function restarts(process: { readonly host: Host; readonly isLost?: boolean; start(): void }): () => void {
  return () => {
    if (process.host.state === "down" && process.isLost !== true) process.start();
  };
}

function cutsOf(cluster: Cluster, kind: FaultKind, cell: Host, gateway: Host): (readonly [string, string])[] {
  if (kind === "cut a gateway from a cell") return [[gateway.name, cell.name]];
  const others = cluster.cells.filter(({ host }) => host !== cell).map(({ host }): [string, string] => [cell.name, host.name]);
  if (kind === "cut between cells") return others;
  return [...others, ...cluster.gateways.map(({ host }): [string, string] => [cell.name, host.name])];
}

function weatherOf(random: Random): { readonly loss: number; readonly duplicates: number; readonly delayMsMax: number } {
  return { loss: random.pick([0.02, 0.1, 0.3]), duplicates: random.pick([0, 0.05, 0.3]), delayMsMax: random.pick([20, 150, 700]) };
}
