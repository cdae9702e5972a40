import type { WallMs } from "../../sip/time.ts";
import { fnv1a } from "../../sip/flow/token.ts";
import { formerSecretMs, formerSecretsMax } from "./limits.ts";
import { mergedServed, type ServedCertificate, servedIdOf } from "./served.ts";

/**
 * What cells have and nobody else: the secrets that tokens and nonces are signed with, and the key of the authority, where there is one. Each cell keeps it, so
 * that losing the first machine loses nothing. It is never in a map.
 *
 * A secret comes as `next`, which all cells check with. When all have it, it signs, and the one before is `former` until its end. Keyrings of two cells are
 * merged, in whichever order: so a cut with a change on each side loses no secret that something was signed with.
 */
export type Keyring = SecretPlace & {
  /** Signs. */
  readonly secret: string;
  /** Counts, and signs nothing until all cells have it. Absent: there is none. */
  readonly next?: PlacedSecret;
  /** What signed before, the newest first. Absent: nothing did. */
  readonly former?: readonly FormerSecret[];
  /** All up to this place have ended, and come back by nobody. Absent: none has. */
  readonly ended?: SecretPlace;
  readonly authority?: AuthorityKeys;
  /** What gateways show to phones and browsers, where an authority has issued it for several machines. Absent: nothing. */
  readonly served?: readonly ServedCertificate[];
};

/** Secrets are in one order that all cells agree on: the higher version, and of one version the writer decides, as with maps. */
export type SecretPlace = {
  readonly version: number;
  /** The cell that drew it; empty: it was deployed. */
  readonly writer: string;
};

export type PlacedSecret = SecretPlace & { readonly secret: string };

export type FormerSecret = PlacedSecret & { readonly until: WallMs };

/** The authority, as far as it is needed to sign a certificate. */
export type AuthorityKeys = {
  /** As its certificates name it. */
  readonly name: string;
  /** SubjectPublicKeyInfo, and PKCS #8: DER in base64. */
  readonly publicKey: string;
  readonly privateKey: string;
};

/** What tokens and nonces are signed with, and what else is checked with. */
export type Secrets = { readonly signing: string; readonly accepted: readonly string[] };

/** What a keyring says at this time. */
export function secretsOf({ secret, next, former = [] }: Keyring, now: WallMs): Secrets {
  const counting = former.filter(({ until }) => until > now);
  return { signing: secret, accepted: [...(next === undefined ? [] : [next]), ...counting].map((each) => each.secret) };
}

/** Says without any secret what a keyring has: two that say the same have the same. */
export function markOf({ version, writer, next, former = [], ended, served = [] }: Keyring): string {
  const places = [{ version, writer }, next, ended].map((place) => (place === undefined ? "-" : placeText(place)));
  const shown = served.map((each) => `c${fnv1a(`${servedIdOf(each)} ${each.chain}`).toString(36)}=${each.until}`);
  return [...places, ...former.map((each) => `${placeText(each)}=${each.until}`), ...shown].join(" ");
}

/** A keyring with another secret, that nothing is signed with yet; or why there is none. */
export function withNext(keyring: Keyring, next: Pick<PlacedSecret, "secret" | "writer">): Keyring | { readonly refused: string } {
  if (keyring.next !== undefined)
    return { refused: "the secret is being changed already: tandem rotate-secret --show says who has not got it" };
  const { former = [] } = keyring;
  const first = former.at(-1);
  if (first !== undefined && former.length >= formerSecretsMax)
    return { refused: `${former.length} former secrets count still, the first of them until ${new Date(first.until).toISOString()}` };
  return { ...keyring, next: { ...next, version: keyring.version + 1 } };
}

/** All cells have the next secret: it signs, and the one before has an end. */
export function withNextSigning(keyring: Keyring, now: WallMs): Keyring {
  const { next, secret, version, writer, former = [], ...rest } = keyring;
  if (next === undefined) return keyring;
  const before = { version, writer, secret, until: now + formerSecretMs };
  return { ...rest, ...next, former: [before, ...former].toSorted(newestFirst) };
}

/** Without what has ended. */
export function withoutEnded(keyring: Keyring, now: WallMs): Keyring {
  const last = keyring.former?.at(-1);
  return last === undefined || last.until > now ? keyring : withEnds(keyring, now);
}

/** What two keyrings say together. All who merge make the same of them, but for the ends of secrets that have none yet: of those the later one counts. */
export function merged(one: Keyring, other: Keyring, now: WallMs): Keyring {
  const ended = [one.ended, other.ended].reduce((last, each) =>
    each !== undefined && (last === undefined || isAfter(each, last)) ? each : last,
  );
  const all = allOf([one, other]).filter((each) => ended === undefined || isAfter(each, ended));
  const present = isAfter(other, one) ? other : one;
  const [next] = all.filter((each) => isAfter(each, present) && each.until === undefined);
  const former = all
    .filter((each) => !isSame(each, present) && each !== next)
    .map(({ version, writer, secret, until = now + formerSecretMs }) => ({ version, writer, secret, until }));
  const authority = present.authority ?? (present === one ? other : one).authority;
  const served = mergedServed([...(one.served ?? []), ...(other.served ?? [])], now);
  return withEnds(
    {
      version: present.version,
      writer: present.writer,
      secret: present.secret,
      ...(next === undefined ? {} : { next: { version: next.version, writer: next.writer, secret: next.secret } }),
      ...(former.length === 0 ? {} : { former }),
      ...(ended === undefined ? {} : { ended }),
      ...(authority === undefined ? {} : { authority }),
      ...(served.length === 0 ? {} : { served }),
    },
    now,
  );
}

type Known = PlacedSecret & { readonly until?: WallMs };

/** Each secret once, the newest first. */
function allOf(keyrings: readonly Keyring[]): Known[] {
  const all: Known[] = [];
  const each = keyrings.flatMap(({ version, writer, secret, next, former = [] }): Known[] => [
    { version, writer, secret },
    ...(next === undefined ? [] : [next]),
    ...former,
  ]);
  for (const secret of each) {
    const at = all.findIndex((known) => isSame(known, secret));
    const known = all[at];
    if (known === undefined) all.push(secret);
    else if ((secret.until ?? -1) > (known.until ?? -1)) all[at] = secret;
  }
  return all.toSorted(newestFirst);
}

function newestFirst(one: SecretPlace, other: SecretPlace): number {
  return isAfter(one, other) ? -1 : 1;
}

/** Takes out what has ended, from the oldest on, and what is too much. */
function withEnds(keyring: Keyring, now: WallMs): Keyring {
  const former = [...(keyring.former ?? [])];
  let { ended } = keyring;
  for (let last = former.at(-1); last !== undefined && (last.until <= now || former.length > 2 * formerSecretsMax); last = former.at(-1)) {
    ended = { version: last.version, writer: last.writer };
    former.pop();
  }
  const { former: _before, ...rest } = keyring;
  return { ...rest, ...(former.length === 0 ? {} : { former }), ...(ended === undefined ? {} : { ended }) };
}

function isAfter(one: SecretPlace, other: SecretPlace): boolean {
  return one.version === other.version ? one.writer > other.writer : one.version > other.version;
}

function isSame(one: SecretPlace, other: SecretPlace): boolean {
  return one.version === other.version && one.writer === other.writer;
}

function placeText({ version, writer }: SecretPlace): string {
  return `${version}.${writer}`;
}
