import type { WallMs } from "../../sip/time.ts";
import { servedAheadMs, servedCertificatesMax } from "./limits.ts";

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
  /** Since when it is good, as the cell has read it that was told. Absent: an earlier version was told. */
  readonly from?: WallMs;
};

/** What stands in a certificate, as a shell has read it. */
export type CertificateRead = {
  readonly from: WallMs;
  readonly until: WallMs;
  readonly isForKey: boolean;
  readonly isFor: (name: string) => boolean;
};

/** Why a certificate is none for gateways, in half a sentence; undefined: it is one. */
export function servedFault(
  { names, until }: Pick<ServedCertificate, "names" | "until">,
  certificate: CertificateRead,
  now: WallMs,
): string | undefined {
  const unnamed = names.filter((name) => !certificate.isFor(name));
  if (!certificate.isForKey) return "it is for another key";
  if (unnamed.length > 0) return `it does not name ${unnamed.join(", ")}`;
  if (certificate.until !== until) return "it ends at another time than was said";
  if (until <= now) return "it has ended";
  return isAhead(certificate, now) ? "it is not good yet" : undefined;
}

/** Which certificate it is: of one authority, for some names. */
export function servedIdOf({ directory, names }: Pick<ServedCertificate, "directory" | "names">): string {
  return `${directory} ${names.toSorted().join(",")}`;
}

/**
 * Of each certificate the one issued last, the newest first, without those that have ended: who replaces one that was revoked may get one that ends sooner. Who merges the same makes the
 * same of it.
 */
export function mergedServed(all: readonly ServedCertificate[], now: WallMs): readonly ServedCertificate[] {
  const latest = new Map<string, ServedCertificate>();
  for (const each of all) {
    const known = latest.get(servedIdOf(each));
    if (each.until > now && !isAhead(each, now) && (known === undefined || isLater(each, known))) latest.set(servedIdOf(each), each);
  }
  return [...latest.values()].toSorted((one, other) => (isLater(one, other) ? -1 : 1)).slice(0, servedCertificatesMax);
}

function isLater(one: ServedCertificate, other: ServedCertificate): boolean {
  const since = (one.from ?? 0) - (other.from ?? 0);
  if (since !== 0) return since > 0;
  return one.until === other.until ? one.chain > other.chain : one.until > other.until;
}

function isAhead({ from = 0 }: Pick<ServedCertificate, "from">, now: WallMs): boolean {
  return from > now + servedAheadMs;
}
