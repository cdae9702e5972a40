import type { MapVersion } from "./map-version.ts";

/**
 * How many members of the group do a service, and which:
 * - `one of N`, `M of N`: so many of those that can, and others when these cannot any more.
 * - `all active`: all that can.
 * - `static`: those that are named, and nobody in their place.
 * - `no operation`: those that the operator has made active. The group changes nothing.
 */
export type PolicyKind = "one of N" | "M of N" | "all active" | "static" | "no operation";

export type Policy = {
  readonly kind: PolicyKind;
  /** M of N: how many. */
  readonly count?: number;
  /** Static: which. */
  readonly members?: readonly string[];
  /** One of N, M of N: who is taken before others, in this order. */
  readonly preferred?: readonly string[];
  /** Nobody but those. */
  readonly preferredOnly?: boolean;
  /** One that is preferred takes over from one that is less so when it is up again. Else the service stays where it is. */
  readonly failback?: boolean;
  /** Nobody does it where fewer than the majority of the map's cells are heard. */
  readonly quorum?: boolean;
  /** How often the one who does it is asked whether it can. Absent: never; a cell that is up can do it. */
  readonly isAliveMs?: number;
};

/** A service of the group, as the map has it. */
export type Singleton = {
  readonly name: string;
  /** Absent: the one that it is built with. */
  readonly policy?: Policy;
  /** The cells that do it. */
  readonly owners: readonly string[];
  /** The version of the map that made them its owners. Whoever is told of one refuses who comes with an older one. */
  readonly since: MapVersion;
};
