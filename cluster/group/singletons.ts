import { statedAt } from "../map/deployed-map.ts";
import { isNewer, type MapVersion, type Versioned } from "../map/map-version.ts";
import type { Policy, Singleton } from "../map/singleton.ts";
import type { MemberState } from "./view.ts";

/** A cell, as the one that decides sees it. */
export type Candidate = {
  readonly id: string;
  readonly state: MemberState;
  /** Its service says that it can, or is not asked. */
  readonly isFit: boolean;
};

/** A map, as far as services are concerned. */
type MapOfServices = Versioned & {
  readonly statedAt?: number;
  readonly cells: readonly { readonly id: string }[];
  readonly singletons?: readonly Singleton[];
};

/** The services that are built in. */
const builtIn: readonly { readonly name: string; readonly policy: Policy }[] = [
  // Two cells have no majority when one of them is down, and calls are to be recorded all the same.
  { name: "call-records", policy: { kind: "one of N", isAliveMs: 5_000 } },
];

/**
 * What the map says of each service. It may say nothing yet: then the first cell does it, since the map was deployed. So nothing has to be written at a
 * start. Who changes the cells has to say it.
 */
export function singletonsOf(map: MapOfServices): readonly (Singleton & { readonly policy: Policy })[] {
  const said = map.singletons ?? [];
  return builtIn.map(({ name, policy }) => {
    const known = said.find((each) => each.name === name);
    const first = map.cells.slice(0, 1).map(({ id }) => id);
    return known === undefined ? { name, policy, owners: first, since: { epoch: statedAt(map), writer: "" } } : { policy, ...known };
  });
}

/**
 * The services as the map is to have them; undefined: it has them so. `next`: the version that it would get. `fences`: later epochs than the map says, that
 * some have been told of. Who has lost to another side of a cut knows them, and its objects would refuse the owner for ever: so that gets a new epoch.
 */
export function assignSingletons(
  map: MapOfServices,
  candidatesFor: (name: string) => readonly Candidate[],
  fences: readonly { readonly name: string; readonly since: MapVersion }[],
  next: MapVersion,
): readonly Singleton[] | undefined {
  const before = singletonsOf(map);
  const after = before.map((singleton) => {
    const owners = ownersOf(singleton.policy, singleton.owners, candidatesFor(singleton.name));
    // One that the next map does not pass is of no map that lost, and another map would not help.
    const isFenced = fences.some(({ name, since }) => name === singleton.name && isNewer(since, singleton.since) && isNewer(next, since));
    return isSame(owners, singleton.owners) && !isFenced ? singleton : { ...singleton, owners, since: next };
  });
  if (after.every((singleton, index) => singleton === before[index])) return undefined;
  const said = map.singletons ?? [];
  // What a later release has built in, and what is as it is without being written.
  const others = said.filter(({ name }) => after.every((each) => each.name !== name));
  return [...others, ...after.map((each) => written(said, each))];
}

/** What the map says of each service, written out. */
export function servicesOf(map: MapOfServices): readonly Singleton[] {
  return singletonsOf(map).map((each) => written(map.singletons ?? [], each));
}

/** As the map says it: a policy that is built in is not written. */
function written(said: readonly Singleton[], { name, owners, since }: Singleton): Singleton {
  const policy = said.find((each) => each.name === name)?.policy;
  return { name, ...(policy === undefined ? {} : { policy }), owners, since };
}

/** Who is to do it, in the order of the map. `owners`: who does it now. */
export function ownersOf(policy: Policy, owners: readonly string[], candidates: readonly Candidate[]): readonly string[] {
  const live = candidates.filter(({ state }) => state !== "down");
  if (policy.kind === "no operation") return owners;
  if (policy.quorum === true && 2 * live.length <= candidates.length) return [];
  const able = live.filter(({ isFit }) => isFit);
  switch (policy.kind) {
    case "one of N":
      return choose(policy, owners, able, 1);
    case "M of N":
      return choose(policy, owners, able, policy.count ?? 1);
    case "all active":
      return able.map(({ id }) => id);
    case "static":
      return candidates.map(({ id }) => id).filter((id) => policy.members?.includes(id) ?? false);
  }
}

/**
 * Cells that are up come before those that leave, and these before those that have only started. Among equals who does it goes on, or, with failback,
 * who is preferred does.
 */
function choose(policy: Policy, owners: readonly string[], able: readonly Candidate[], count: number): readonly string[] {
  const { preferred = [], preferredOnly = false, failback = false } = policy;
  const preference = ({ id }: Candidate): number => (preferred.includes(id) ? preferred.indexOf(id) : preferred.length);
  const isNew = ({ id }: Candidate): number => (owners.includes(id) ? 0 : 1);
  const inOrder = able
    .filter(({ id }) => !preferredOnly || preferred.includes(id))
    .toSorted((one, other) => {
      const byState = stateOrder.indexOf(one.state) - stateOrder.indexOf(other.state);
      const byPreference = preference(one) - preference(other);
      const byOwner = isNew(one) - isNew(other);
      return byState || (failback ? byPreference || byOwner : byOwner || byPreference);
    });
  const chosen = new Set(inOrder.slice(0, count).map(({ id }) => id));
  return able.map(({ id }) => id).filter((id) => chosen.has(id));
}

const stateOrder: readonly MemberState[] = ["up", "draining", "joining", "down"];

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((id) => other.includes(id));
}

/** A policy for people: `one of N`, `2 of N, preferred c b, failback`. */
export function policyText({ kind, count = 1, members = [], preferred = [], preferredOnly, failback, quorum }: Policy): string {
  return [
    kind === "M of N" ? `${count} of N` : kind === "static" ? `static ${members.join(" ")}` : kind,
    ...(preferred.length === 0 ? [] : [`preferred ${preferred.join(" ")}${preferredOnly === true ? " only" : ""}`]),
    ...(failback === true ? ["failback"] : []),
    ...(quorum === true ? ["quorum"] : []),
  ].join(", ");
}
