import { resolve } from "node:path";
import { hostInUri } from "../sip/host-in-uri.ts";
import type { ClusterMap } from "../cluster/map/cluster-map.ts";
import { whyNoHost } from "../cluster/map/domains.ts";
import type { Arguments } from "./arguments.ts";
import { Failure, UsageError } from "./errors.ts";
import { letterOf } from "./layout.ts";
import { cellsMax, isOwnName, isTakenBack, type Settings } from "./settings.ts";
import type { StateDirectory } from "./state-directory.ts";

/** Options of `tandem up` that say what a system is, or what was said when this host joined it. */
const settledOptions: readonly string[] = [
  "domain",
  "auth",
  "digest",
  "failed-logins",
  "call-records",
  "call-records-most",
  "exchanges",
  "replication",
  "cells",
  "gateways",
];

/** Throws a {@link UsageError}: what a host has that has joined is not said when it is started again. */
export function checkJoinedOptions({ values }: Arguments, { path }: StateDirectory): void {
  const option = settledOptions.find((each) => values.has(each));
  if (option !== undefined)
    throw new UsageError(`--${option}: ${path} is of a host that has joined a system, where that is settled already`);
}

/** What a host was told of its own, which it needs when it is started again: options by name, with their values. */
export type KeptOptions = Readonly<Record<string, readonly string[]>>;

/** Of these options one takes the place of all: what was kept of the others does not fit beside it. */
const keptTogether: readonly (readonly string[])[] = [
  ["sip", "advertise"],
  ["tls-cert", "tls-key", "acme", "acme-names", "acme-directory", "acme-ca", "acme-port"],
  ["tls-port"],
  ["ws-port"],
  ["wss-port"],
  ["trusted"],
  ["proxy-from"],
  ["messages-per-source"],
  ["http-host"],
  ["http-port"],
  ["health"],
  ["metrics-from"],
];
const files: readonly string[] = ["tls-cert", "tls-key", "acme-ca"];

/** Paths are kept whole: a later start may be from elsewhere. */
export function optionsToKeep({ values, lists }: Pick<Arguments, "values" | "lists">): KeptOptions {
  const kept = keptTogether.flat().flatMap((name): (readonly [string, readonly string[]])[] => {
    const value = values.get(name);
    const all = lists.get(name) ?? (value === undefined || isTakenBack(name, value) ? [] : [value]);
    return all.length === 0 ? [] : [[name, files.includes(name) ? all.map((path) => resolve(path)) : all]];
  });
  return Object.fromEntries(kept);
}

/** What was kept, where this machine is at another address: its gateways are there as well, where they were at that one. */
export function keptElsewhere(kept: KeptOptions, from: string, to: string): KeptOptions {
  const sip = kept["sip"]?.map((each) =>
    each === hostInUri(from) || each.startsWith(`${hostInUri(from)}:`) ? each.replace(hostInUri(from), hostInUri(to)) : each,
  );
  return sip === undefined ? kept : { ...kept, sip };
}

/** What was kept, with what is said now in its place. */
export function withKept(args: Arguments, kept: KeptOptions): Arguments {
  const [values, lists] = [new Map(args.values), new Map(args.lists)];
  for (const names of keptTogether) {
    if (names.some((name) => args.values.has(name) || args.lists.has(name))) continue;
    for (const name of names) {
      const [first, ...others] = kept[name] ?? [];
      if (first === undefined) continue;
      values.set(name, first);
      if (name === "sip") lists.set(name, [first, ...others]);
    }
  }
  // A release before took it without a page, where it has no effect.
  if (!values.has("health") && !args.values.has("metrics-from")) values.delete("metrics-from");
  return { ...args, values, lists };
}

/** What a host is to run, and by which names it did so before, where it has tried to join before. */
export type Wanted = {
  readonly hasCell: boolean;
  readonly gateways: number;
  readonly before: { readonly letters: readonly string[]; readonly gateways: readonly string[] };
  /** The key that this host has for a member of this name, if it has one. */
  readonly keyOf: (id: string) => string | undefined;
};

/** Names that nobody has in the system, or that this host has there already. Throws a {@link Failure} when there are no more. */
export function namesIn(
  map: ClusterMap,
  { hasCell, gateways, before, keyOf }: Wanted,
): { letters: readonly string[]; gateways: readonly string[] } {
  const isFree = (id: string): boolean => {
    const member = map.members?.find((each) => each.id === id);
    if (member !== undefined) return member.key === keyOf(id);
    return map.cells.every((cell) => cell.id !== id);
  };
  const letters = [...before.letters, ...Array.from({ length: cellsMax }, (_, index) => letterOf(index))];
  const letter = letters.find(isFree);
  if (hasCell && letter === undefined) throw new Failure(`there are ${cellsMax} cells already`);
  const numbered = Array.from({ length: (map.members ?? []).length + gateways }, (_, index) => `g${index + 1}`);
  const names = [...new Set([...before.gateways, ...numbered])].filter(isFree).slice(0, gateways);
  return { letters: hasCell && letter !== undefined ? [letter] : [], gateways: names };
}

/** Throws a {@link Failure} where a SIP domain of the system is a name of this machine: phones would look for no other when it is down. */
export function checkDomains(map: ClusterMap, host: string, { advertise }: Pick<Settings, "advertise">): void {
  const named = map.domains.find(({ name }) => name === host.toLowerCase() || isOwnName(name));
  if (named !== undefined) throw new Failure(`${named.name} is a SIP domain of the system, and the name of this machine: ${whyNoHost}`);
  if (advertise !== undefined && map.domains.some(({ name }) => name === advertise))
    throw new Failure(`--advertise ${advertise}: is a SIP domain of the system; give this machine another name: ${whyNoHost}`);
}
