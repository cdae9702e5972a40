import type { ProxyEnvironment } from "../../../sip/proxy/environment.ts";

/** What a proxy needs from around it that has no say of its own. */
type Silent = Pick<
  ProxyEnvironment,
  | "cellFor"
  | "mayBeRepeated"
  | "mayBeCopy"
  | "hasPassed"
  | "isUnproven"
  | "proved"
  | "leadsHere"
  | "unknownTokenStatus"
  | "followsRoutes"
  | "vouch"
  | "final"
  | "unacknowledged"
  | "changed"
>;

/** An environment in which the given hooks are all that happens: one replica, alone, whose phones are where they registered. */
export function environment(given: Omit<ProxyEnvironment, keyof Silent> & Partial<Silent>): ProxyEnvironment {
  return {
    cellFor: () => given.cell,
    mayBeRepeated: () => false,
    mayBeCopy: () => false,
    hasPassed: () => false,
    isUnproven: () => false,
    proved: () => undefined,
    leadsHere: () => false,
    unknownTokenStatus: () => undefined,
    followsRoutes: () => true,
    vouch: () => undefined,
    final: () => undefined,
    unacknowledged: () => undefined,
    changed: () => undefined,
    ...given,
  };
}
