/**
 * The version of what the parts of one system say to each other: frames, batches of records, heartbeats, control messages, and what cells ask of
 * cells. One number for all of it, because all of it comes from one release. Raise it with every change that the version before cannot read.
 *
 * - 1: until 29 November 2026. Nobody said a version.
 * - 2: every request and every WebSocket between parts says the version, in {@link versionHeader}, and so does every answer. Signatures and tokens
 *   have another form.
 * - 3: gateways open their backhauls at another path.
 * - 4: records are lists of JSON, no objects.
 *
 * Whoever hears another number refuses, and says so in one line: docs/decisions/0019-parts-of-two-versions-do-without-each-other.md.
 */
export const protocolVersion = 4;

/** What is spoken by a part that says no version. */
const unsaidVersion = 1;

/** HTTP header of every request, upgrade and answer between cells, gateways and commands. */
export const versionHeader = "tandem-version";

/**
 * Status of a refusal, for a part that speaks another version. Its signature was not looked at: that may have another form as well. This is what
 * Cloudflare says for a server that is down. To a release that does not know versions the cell is not there, which it says once.
 */
export const otherVersionStatus = 521;

/** The version that a header says; 0: something that is none. */
export function versionOf(header: string | null | undefined): number {
  if (header === null || header === undefined) return unsaidVersion;
  return /^\d{1,5}$/.test(header) ? Number(header) : 0;
}

/**
 * The version of whoever gave this answer, if it is another one than ours; undefined: it is ours. A failure that says none comes from whatever
 * stands between, Cloudflare perhaps.
 */
export function otherVersionOf(status: number, header: string | null | undefined, ours: number = protocolVersion): number | undefined {
  if (status >= 500 && (header === null || header === undefined)) return undefined;
  const theirs = versionOf(header);
  return theirs === ours ? undefined : theirs;
}

/** The one line about a part that speaks another version. `who` and `self` as in "cell b". */
export function otherVersionText(who: string, theirs: number, self: string, ours: number = protocolVersion): string {
  const older = theirs < ours ? who : self;
  return `${who} speaks version ${theirs} of the protocol, ${self} version ${ours}: upgrade ${older}; until then neither uses the other`;
}
