import { timerCLateMs, timerCMs } from "../../sip/limits.ts";
import { exchangeOf } from "../../cluster/map/cluster-map.ts";
import { HybridClock } from "../../cluster/time/hybrid-clock.ts";
import { secretsOf } from "../../sip/auth/digest.ts";
import { isParseError } from "../../sip/errors.ts";
import { anyRecordOf } from "../../sip/record/record-text.ts";
import { Aims, aimedFaultKinds, aimedShare, planAimedFaults, type AimedFaultKind } from "./aimed-faults.ts";
import { checkCallRecords } from "./call-records.ts";
import { Cell } from "./cell.ts";
import { Cluster, clusterMap, passwordOf, simulatedHash } from "./cluster.ts";
import { faultKinds, laterFaultKinds, makeFault, type Fault, type FaultKind, type LaterFaultKind } from "./faults.ts";
import { groupFaultKinds, groupShare, groupSizes, makeGroupFault, type GroupFaultKind } from "./group-faults.ts";
import { makeMapFault, mapFaultKinds, mapFaultShare, type MapFaultKind } from "./map-faults.ts";
import { innerFaultKinds, planInnerFaults, type InnerFaultKind } from "./inner-faults.ts";
import { makeMemberFault, memberFaultKinds, type MemberFaultKind } from "./member-faults.ts";
import { Gateway } from "./gateway.ts";
import { epochMs, type Clock } from "./host.ts";
import { afterMs, healedMs, isAloneUntilHealed } from "./excuses.ts";
import { checkAfterSilence, checkAtTheEnd, checkEmpty, checkHealed } from "./invariants.ts";
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
import { checkProbes } from "./probes.ts";
import { Random } from "./random.ts";
import { checkServices } from "./service.ts";
import type { Done } from "./repertoire.ts";
import { World, type Violation } from "./world.ts";

/**
 * A seed that failed once is what it was. `first`: without what was added since to what people do, and without kinds of faults that came later;
 * `second`: without faults that are aimed. `third`: without call records.
 */
export type Edition = "first" | "second" | "third" | "present";

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
  /** Changes of the map; undefined: all, in some runs. Those that are named come in each run. */
  readonly mapFaults?: readonly MapFaultKind[];
  /** What befalls a group of many cells; undefined: all, in some runs. Those that are named come in each run. */
  readonly groupFaults?: readonly GroupFaultKind[];
  /** Cells that come and go; undefined: none. Those that are named come in each run. */
  readonly memberFaults?: readonly MemberFaultKind[];
  /** So many; undefined: as the seed says. */
  readonly cells?: number;
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
  const moving = Random.stream(seed, 8);
  const movesCount = countMoves(options, moving);
  const grouped = Random.stream(seed, 9);
  const groupSize = groupSizeOf(options, grouped);
  const size: Size = {
    cellsMin: movesCount > 0 ? moving.pick([3, 4]) : 2,
    group: groupSize === undefined ? undefined : grouped,
    groupSize,
  };
  const cluster = makeCluster(world, edition, edition === "first" ? undefined : Random.stream(seed, 6), aimedCount > 0, size);
  for (const kind of without) cluster.leftOut.add(kind);
  start(cluster);
  const lastMs = world.random.whole(15_000, 40_000);
  const faults = planAllFaults(cluster, options, lastMs);
  faults.push(...planMapFaults(cluster, moving, mapKindsOf(options), movesCount, lastMs));
  if (groupSize !== undefined) faults.push(...planGroupFaults(cluster, grouped, options, lastMs));
  const pardons = new Pardons();
  const story = (): Story => ({ cluster, faults: [...faults.filter(({ kind }) => !cluster.leftOut.has(kind)), ...aims.faults], pardons });
  const onlooker = new Onlooker(cluster);
  onlooker.watch(faults);
  lookForHealing(
    cluster,
    story,
    faults.filter(({ kind }) => kind.startsWith("lose a cell") && groupSize !== undefined),
  );
  const isEndless = planPeople(cluster, options, faults, lastMs);
  const aims = new Aims(cluster, (fault) => {
    onlooker.watch([fault]);
    lookAfter(story(), fault);
  });
  cluster.aims = aims;
  const aimedUntil = planAimedFaults(cluster, aims, aimed, aimedKindsOf(options), aimedCount, lastMs);
  const quietFrom = Math.max(5_000 + lastMs, aimedUntil, ...faults.map(({ until }) => until));
  world.runUntil(quietFrom + settleMs + (isEndless ? timerCMs + timerCLateMs : 0));
  checkAtTheEnd(story());
  checkServices(cluster);
  const before = cluster.phones.map((phone) => phone.outgoing.length);
  planProbes(cluster);
  world.runUntil(world.now + 20_000);
  checkProbes(story(), before);
  for (const { registration } of cluster.phones) registration.stop();
  for (const until = world.now + 300_000; world.now < until && !isEmpty(cluster);) world.runUntil(world.now + 5_000);
  checkEmpty(story());
  if (edition === "present") checkCallRecords(story());
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
  return aimedFaults ?? ((edition === "present" || edition === "third") && faults === faultKinds ? aimedFaultKinds : []);
}

/** Those that are named come in each run, else some runs have one. */
function countAimed(options: Options, random: Random): number {
  if (aimedKindsOf(options).length === 0) return 0;
  return options.aimedFaults === undefined ? Number(random.chance(aimedShare)) : random.pick([1, 1, 2]);
}

function mapKindsOf({ edition = "present", faults = faultKinds, mapFaults }: Options): readonly MapFaultKind[] {
  return mapFaults ?? ((edition === "present" || edition === "third") && faults === faultKinds ? mapFaultKinds : []);
}

/** Those that are named come in each run, else some runs have them. */
function countMoves(options: Options, random: Random): number {
  if (mapKindsOf(options).length === 0 || (options.mapFaults === undefined && !random.chance(mapFaultShare))) return 0;
  return random.pick([1, 1, 2, 3]);
}

function planMapFaults(cluster: Cluster, random: Random, kinds: readonly MapFaultKind[], count: number, lastMs: number): Fault[] {
  return Array.from({ length: count }, () => makeMapFault(cluster, random.pick(kinds), random.whole(4_000, 5_000 + lastMs), random));
}

/** How many cells a group has that is to heal itself; undefined: there is none such in this run. */
function groupSizeOf(
  { cells, edition = "present", faults = faultKinds, mapFaults, groupFaults, memberFaults }: Options,
  random: Random,
): number | undefined {
  if (cells !== undefined) return cells;
  const named = groupFaults === undefined && memberFaults === undefined ? undefined : [...(groupFaults ?? []), ...(memberFaults ?? [])];
  if (named !== undefined) return named.length > 0 ? random.pick(groupSizes) : undefined;
  const isAll = edition === "present" && faults === faultKinds && mapFaults === undefined;
  return isAll && random.chance(groupShare) ? random.pick(groupSizes) : undefined;
}

/** Those that are named come in each run. */
function planGroupFaults(cluster: Cluster, random: Random, options: Options, lastMs: number): Fault[] {
  const { faults = faultKinds, groupFaults = faults === faultKinds ? groupFaultKinds : [] } = options;
  const { memberFaults = [] } = options;
  const kinds = [...groupFaults, ...mapKindsOf(options), ...memberFaults];
  if (kinds.length === 0) return [];
  const count = random.pick([0, 1, 1, 2, 2, 3]) + (options.groupFaults === undefined ? 0 : 1);
  return Array.from({ length: count }, () => {
    const kind = random.pick(kinds);
    const from = random.whole(4_000, 5_000 + lastMs);
    if (isMemberFault(kind)) return makeMemberFault(cluster, kind, from, random);
    return isGroupFault(kind) ? makeGroupFault(cluster, kind, from, random) : makeMapFault(cluster, kind, from, random);
  });
}

function isMemberFault(kind: GroupFaultKind | MapFaultKind | MemberFaultKind): kind is MemberFaultKind {
  return memberFaultKinds.some((each) => each === kind);
}

function isGroupFault(kind: GroupFaultKind | MapFaultKind): kind is GroupFaultKind {
  return groupFaultKinds.some((each) => each === kind);
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

/** How many cells there are. `group`: draws what else there is of a group that is to heal itself. */
type Size = { readonly cellsMin: number; readonly groupSize: number | undefined; readonly group: Random | undefined };

/**
 * `variety`: now and then there is a third cell, and exchanges that it does not serve; or phones are asked for passwords. They are so more often where
 * faults are aimed, for what is said again to the other replica has an old nonce.
 */
function makeCluster(world: World, edition: Edition, variety: Random | undefined, isAimed: boolean, size: Size): Cluster {
  const { random } = world;
  const isShared = random.chance(0.6);
  const addresses = isShared ? ["192.0.2.1", "192.0.2.1"] : ["192.0.2.1", "192.0.2.2"];
  const isThree = variety?.chance(0.25) === true;
  const hasFuture = variety?.chance(0.2) === true;
  const auth = variety?.chance(isAimed ? 0.7 : 0.3) === true ? "digest" : "open";
  const { group, groupSize = Math.max(size.cellsMin, isThree ? 3 : 2) } = size;
  const cells = ["a", "b", "c", "d", "e", "f"].slice(0, groupSize);
  const exchanges = random.whole(1, 3) + (isThree ? 1 : 0) + (group?.whole(1, groupSize - 1) ?? 0);
  const map = clusterMap(cells, exchanges, [...new Set(addresses)], auth, edition === "present");
  // So soon that a cell which dies or is cut off for some seconds is replaced, where there is another one.
  const cluster = new Cluster(world, edition === "present" ? { ...map, healAfterMs: 4_000 } : map);
  for (const { id } of cluster.map.cells) cluster.cells.push(new Cell(cluster, id, clockOf(random)));
  for (const [index, address] of addresses.entries())
    cluster.gateways.push(new Gateway(cluster, `g${index + 1}`, address, clockOf(random)));
  const users = ["alice", "bob", "carol", "dave", "erin", "frank"].slice(0, random.whole(2, 5) + (group === undefined ? 0 : 1));
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

/** A cell that is lost has been replaced by then, unless another fault of cells is there as well. */
function lookForHealing({ world }: Cluster, story: () => Story, losses: readonly Fault[]): void {
  for (const loss of losses) world.at(loss.from + healedMs, () => (isAloneUntilHealed(story(), loss) ? checkHealed(story()) : undefined));
}

function isEmpty(cluster: Cluster): boolean {
  return (
    cluster.phones.every((phone) => phone.isIdle) &&
    cluster.gateways.every(({ octetsHeld }) => octetsHeld === 0) &&
    cluster.living.every((cell) =>
      cell.replicas.every(
        (replica) => replica.state === "none" || replica.state === "joining" || (replica.isIdle && replica.counts.dialogs === 0),
      ),
    )
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
