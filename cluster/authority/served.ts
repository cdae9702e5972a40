import type { WallMs } from "../../sip/time.ts";
import { servedCertificatesMax } from "./limits.ts";

/**
 * A certificate that gateways of several machines show to phones and browsers, and its key (docs/decisions/0057). An authority that browsers trust has issued it
 * to one host. Cells keep it with the keyring, so that losing that host loses nothing.
 */
export type ServedCertificate = {
  /** URL of the authority's directory. */
  readonly directory: string;
  /** What stands in it, sorted. */
  readonly names: readonly string[];
  /** PEM. */
  readonly chain: string;
  readonly key: string;
  readonly until: WallMs;
};

/** Which certificate it is: of one authority, for some names. */
export function servedIdOf({ directory, names }: Pick<ServedCertificate, "directory" | "names">): string {
  return `${directory} ${names.toSorted().join(",")}`;
}

/** Of each certificate the latest, the newest first, without those that have ended. Who merges the same makes the same of it. */
export function mergedServed(all: readonly ServedCertificate[], now: WallMs): readonly ServedCertificate[] {
  const latest = new Map<string, ServedCertificate>();
  for (const each of all) {
    const known = latest.get(servedIdOf(each));
    if (each.until > now && (known === undefined || isLater(each, known))) latest.set(servedIdOf(each), each);
  }
  return [...latest.values()].toSorted((one, other) => (isLater(one, other) ? -1 : 1)).slice(0, servedCertificatesMax);
}

function isLater(one: ServedCertificate, other: ServedCertificate): boolean {
  return one.until === other.until ? one.chain > other.chain : one.until > other.until;
}
