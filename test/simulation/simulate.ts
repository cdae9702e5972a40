import { timerCMs } from "../../sip/limits.ts";
import { exchangeOf } from "../../cluster/map/cluster-map.ts";
import { HybridClock } from "../../cluster/time/hybrid-clock.ts";
import { secretsOf } from "../../sip/auth/digest.ts";
import { isParseError } from "../../sip/errors.ts";
import { anyRecordOf } from "../../sip/record/record-text.ts";
import { Aims, aimedFaultKinds, aimedShare, planAimedFaults, type AimedFaultKind } from "./aimed-faults.ts";
import { Cell } from "./cell.ts";
import { Cluster, clusterMap, passwordOf, simulatedHash } from "./cluster.ts";
import { faultKinds, laterFaultKinds, makeFault, type Fault, type FaultKind, type LaterFaultKind } from "./faults.ts";
import { innerFaultKinds, planInnerFaults, type InnerFaultKind } from "./inner-faults.ts";
import { Gateway } from "./gateway.ts";
import { epochMs, type Clock } from "./host.ts";
import { afterMs } from "./excuses.ts";
import { checkAfterSilence, checkAtTheEnd, checkEmpty, checkProbes } from "./invariants.ts";
import { Onlooker, type Moments } from "./moments.ts";
import { Pardons } from "./pardons.ts";
import { Phone } from "./phone.ts";
import {
  planCalls,
  planEndlessCall,
  planHastyLeaves,
  planHurry,
  planMoves,
  planMovesInFaults,
  planProbes,
  planRegistrations,
} from "./plans.ts";
import { Random } from "./random.ts";
import type { Done } from "./repertoire.ts";
import { World, type Violation } from "./world.ts";

/**
 * A seed that failed once is what it was. `first`: without what was added since to what people do, and without kinds of faults that came later;
 * `second`: without faults that are aimed.
 */
export type Edition = "first" | "second" | "present";

export type Options = {
  readonly seed: number;
  readonly isVerbose?: boolean;
  readonly edition?: Edition;
  /** Only these; undefined: all. */
  readonly faults?: readonly FaultKind[];
  /** Of those that came later; undefined: none. */
  readonly laterFaults?: readonly LaterFaultKind[];
  /** Of those inside of cells; undefined: all. */
  readonly innerFaults?: readonly InnerFaultKind[];
  /** Of those that are aimed; undefined: all, in some runs. Those that are named come in each run. */
  readonly aimedFaults?: readonly AimedFaultKind[];
  /** Faults of these kinds are drawn as ever, and do not come: all else that is planned stays. */
  readonly without?: readonly Fault["kind"][];
};

/** How a run was made up: what invariants may excuse. */
export type Story = {
  readonly cluster: Cluster;
  readonly faults: readonly Fault[];
  readonly pardons: Pardons;
};

export type Outcome = {
  readonly seed: number;
  readonly violations: readonly Violation[];
  readonly faults: readonly Fault[];
  readonly done: readonly Done[];
  readonly moments: Moments;
  readonly pardons: Pardons;
  readonly events: number;
  readonly simulatedMs: number;
  readonly calls: number;
};

/** Registered phones have had the time to refresh, and every transaction that a fault has hurt is over. */
const settleMs = 40_000;
/** A day before the run, by everybody's clock. */
const longAgo: number = epochMs - 86_400_000;

/** One run: a cluster, phones, calls and faults made from the seed; then quiet; then what must be true. */
export function simulate(options: Options): Outcome {
  const { seed, isVerbose = false, edition = "present", without = [] } = options;
  const world = new World(seed, isVerbose);
  const aimed = Random.stream(seed, 7);
  const aimedCount = countAimed(options, aimed);
  const cluster = makeCluster(world, edition === "first" ? undefined : Random.stream(seed, 6), aimedCount > 0);
  for (const kind of without) cluster.leftOut.add(kind);
  start(cluster);
  const lastMs = world.random.whole(15_000, 40_000);
  const faults = planAllFaults(cluster, options, lastMs);
  const pardons = new Pardons();
  const story = (): Story => ({ cluster, faults: [...faults.filter(({ kind }) => !cluster.leftOut.has(kind)), ...aims.faults], pardons });
  const onlooker = new Onlooker(cluster);
  onlooker.watch(faults);
  const isEndless = planPeople(cluster, options, faults, lastMs);
  const aims = new Aims(cluster, (fault) => {
    onlooker.watch([fault]);
    lookAfter(story(), fault);
  });
  cluster.aims = aims;
  const aimedUntil = planAimedFaults(cluster, aims, aimed, aimedKindsOf(options), aimedCount, lastMs);
  const quietFrom = Math.max(5_000 + lastMs, aimedUntil, ...faults.map(({ until }) => until));
  // Whoever takes an INVITE over last gives it the whole of Timer C again.
  world.runUntil(quietFrom + settleMs + (isEndless ? timerCMs : 0));
  checkAtTheEnd(story());
  const before = cluster.phones.map((phone) => phone.outgoing.length);
  planProbes(cluster);
  world.runUntil(world.now + 20_000);
  checkProbes(story(), before);
  for (const { registration } of cluster.phones) registration.stop();
  for (const until = world.now + 300_000; world.now < until && !isEmpty(cluster);) world.runUntil(world.now + 5_000);
  checkEmpty(story());
  return {
    seed,
    violations: world.violations,
    faults: story().faults,
    done: cluster.done,
    moments: cluster.moments,
    pardons,
    events: world.events,
    simulatedMs: world.now,
    calls: cluster.phones.reduce((sum, phone) => sum + phone.outgoing.length, 0),
  };
}

/** All processes, and then the phones. */
function start(cluster: Cluster): void {
  const { random, world } = cluster;
  for (const process of shuffled(
    [...cluster.cells, ...cluster.gateways].map((each) => ({ start: () => each.start() })),
    random,
  )) {
    world.at(random.whole(0, 300), () => process.start());
  }
  for (const phone of cluster.phones) {
    world.at(random.whole(1_500, 3_500), () => {
      phone.registration.isWanted = true;
      phone.start();
    });
  }
}

/** All but those that are aimed. Kinds that are not named come where the present edition has them, and all kinds are drawn. */
function planAllFaults(cluster: Cluster, { seed, edition = "present", ...options }: Options, lastMs: number): Fault[] {
  const { faults: kinds = faultKinds } = options;
  const isAll = edition !== "first" && kinds === faultKinds;
  const { laterFaults = isAll ? laterFaultKinds : [], innerFaults = isAll ? innerFaultKinds : [] } = options;
  const faults = planFaults(cluster, kinds, lastMs);
  if (laterFaults.length > 0) faults.push(...planLaterFaults(cluster, Random.stream(seed, 4), laterFaults, lastMs));
  faults.push(...planInnerFaults(cluster, Random.stream(seed, 5), innerFaults, lastMs));
  return faults;
}

function aimedKindsOf({ edition = "present", faults = faultKinds, aimedFaults }: Options): readonly AimedFaultKind[] {
  return aimedFaults ?? (edition === "present" && faults === faultKinds ? aimedFaultKinds : []);
}

/** Those that are named come in each run, else some runs have one. */
function countAimed(options: Options, random: Random): number {
  if (aimedKindsOf(options).length === 0) return 0;
  return options.aimedFaults === undefined ? Number(random.chance(aimedShare)) : random.pick([1, 1, 2]);
}

/** True: one of their calls ends with Timer C only. */
function planPeople(cluster: Cluster, { seed, edition = "present" }: Options, faults: readonly Fault[], lastMs: number): boolean {
  const { random } = cluster;
  planCalls(cluster, random.whole(3, 10), 5_000, 5_000 + lastMs, edition === "first" ? undefined : Random.stream(seed, 1));
  planRegistrations(cluster, lastMs);
  if (edition !== "first") {
    planHastyLeaves(cluster, Random.stream(seed, 2), lastMs);
    planHurry(cluster, Random.stream(seed, 3), faults);
  }
  planMoves(cluster, new Random(seed + 0.25), lastMs);
  planMovesInFaults(cluster, new Random(seed + 0.75), faults);
  return planEndlessCall(cluster, new Random(seed + 0.5), lastMs);
}

/**
 * `variety`: now and then there is a third cell, and exchanges that it does not serve; or phones are asked for passwords. They are so more often where
 * faults are aimed, for what is said again to the other replica has an old nonce.
 */
function makeCluster(world: World, variety: Random | undefined, isAimed: boolean): Cluster {
  const { random } = world;
  const isShared = random.chance(0.6);
  const addresses = isShared ? ["192.0.2.1", "192.0.2.1"] : ["192.0.2.1", "192.0.2.2"];
  const isThree = variety?.chance(0.25) === true;
  const hasFuture = variety?.chance(0.2) === true;
  const auth = variety?.chance(isAimed ? 0.7 : 0.3) === true ? "digest" : "open";
  const cells = isThree ? ["a", "b", "c"] : ["a", "b"];
  const exchanges = random.whole(1, 3) + (isThree ? 1 : 0);
  const cluster = new Cluster(world, clusterMap(cells, exchanges, [...new Set(addresses)], auth));
  for (const { id } of cluster.map.cells) cluster.cells.push(new Cell(cluster, id, clockOf(random)));
  for (const [index, address] of addresses.entries())
    cluster.gateways.push(new Gateway(cluster, `g${index + 1}`, address, clockOf(random)));
  const users = ["alice", "bob", "carol", "dave", "erin"].slice(0, random.whole(2, 5));
  for (const [index, user] of users.entries()) {
    const transport = random.pick(["UDP", "UDP", "TCP", "WS", "WSS"] as const);
    cluster.phones.push(new Phone(cluster, user, index, transport, transport === "WS" || transport === "WSS" || random.chance(0.3)));
  }
  if (auth === "digest") addSubscribers(cluster);
  if (hasFuture) leaveFuture(cluster);
  return cluster;
}

/** The operator has added them long ago. */
function addSubscribers(cluster: Cluster): void {
  const clock = new HybridClock("a");
  for (const { addressOfRecord, user } of cluster.phones) {
    const value = secretsOf(simulatedHash, addressOfRecord, passwordOf(user));
    const record = { kind: "subscriber", key: addressOfRecord, version: clock.tick(longAgo), value } as const;
    for (const { disk } of cluster.pairOf(addressOfRecord)) disk.ofExchange(exchangeOf(cluster.map, addressOfRecord)).put(record);
  }
}

/** One disk has a record of a kind that this version does not know: a later one ran there before. */
function leaveFuture(cluster: Cluster): void {
  const version = new HybridClock("a").tick(longAgo);
  const record = anyRecordOf({ kind: "forward", key: "alice", version, value: { to: "bob" } });
  if (isParseError(record)) throw new Error(record.reason);
  cluster.pairOf(0)[0]?.disk.ofExchange(0).put(record);
  cluster.fromTheFuture.push(record);
}

/** Clocks are up to 2 s apart, and go wrong by up to 10 s a day. */
function clockOf(random: Random): Clock {
  return { offsetMs: random.whole(-1_000, 1_000), drift: (random.real() - 0.5) * 2e-4 };
}

function planFaults(cluster: Cluster, kinds: readonly FaultKind[], lastMs: number): Fault[] {
  const { random } = cluster;
  if (kinds.length === 0) return [];
  const count = random.pick([0, 1, 1, 1, 2, 2, 3]);
  const faults: Fault[] = [];
  for (let each = 0; each < count; each += 1) {
    const from = random.whole(4_000, 5_000 + lastMs);
    faults.push(makeFault(cluster, random.pick(kinds), from, random.pick([50, 300, 1_500, 4_000, 12_000]) + random.whole(0, 500)));
  }
  return faults;
}

/** Those of later kinds come beside the others, in some runs. */
function planLaterFaults(cluster: Cluster, random: Random, kinds: readonly LaterFaultKind[], lastMs: number): Fault[] {
  if (!random.chance(0.3)) return [];
  return [makeFault(cluster, random.pick(kinds), random.whole(4_000, 5_000 + lastMs), random.pick([50, 4_000]), random)];
}

/** When everybody has noticed that a cell has fallen silent, and when it is back, unless another fault is there as well. */
function lookAfter(story: Story, silence: Fault): void {
  const { cluster, faults } = story;
  const { world } = cluster;
  for (const at of [silence.from + afterMs, silence.until + afterMs]) {
    const isElse = (fault: Fault): boolean => fault !== silence && fault.from <= at && fault.until + afterMs >= silence.from;
    world.at(at, () => (faults.some(isElse) ? undefined : checkAfterSilence(story)));
  }
}

function isEmpty(cluster: Cluster): boolean {
  return (
    cluster.phones.every((phone) => phone.isIdle) &&
    cluster.gateways.every(({ octetsHeld }) => octetsHeld === 0) &&
    cluster.cells.every((cell) => cell.replicas.every((replica) => replica.isIdle && replica.counts.dialogs === 0))
  );
}

function shuffled<Item>(items: Item[], random: Random): Item[] {
  for (let index = items.length - 1; index > 0; index -= 1) {
    const other = random.whole(0, index);
    const [one, two] = [items[index], items[other]];
    if (one === undefined || two === undefined) break;
    items[index] = two;
    items[other] = one;
  }
  return items;
}
