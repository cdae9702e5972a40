import { equalInConstantTime } from "../../sip/flow/token.ts";
import { invitationLocationCharactersMax } from "./limits.ts";

/**
 * An invitation for one machine more, as a token: `tandem1.ID.ROLE.EXPIRES.FINGERPRINT.LOCATION.MAC`. It pins the authority, so whoever stands between gets nothing
 * (docs/decisions/0047-a-machine-joins-by-an-invitation.md).
 */
export type Invitation = {
  /** 16 hex digits, drawn. */
  readonly id: string;
  readonly role: Role;
  /** Where the machine stands, as the map says it of cells. */
  readonly location?: string;
  /** ms since the epoch. */
  readonly expires: number;
  /** SHA-256 of the authority's certificate, 64 hex digits. */
  readonly fingerprint: string;
};

/** What the machine may run. */
export type Role = "gateway" | "cell" | "both";

export const roles: readonly Role[] = ["gateway", "cell", "both"];

/** HMAC-SHA256 as hex, under a key that is derived from the secret of the keyring for invitations alone. */
export type InvitationMac = (text: string) => string;

export function makeInvitation(invitation: Invitation, mac: InvitationMac): string {
  const text = textOf(invitation);
  return `${text}.${mac(text)}`;
}

/** What a token says, by whoever made it; undefined: it is none. */
export function readInvitation(token: string): Invitation | undefined {
  const [, id = "", role = "", expires = "", fingerprint = "", location = ""] = pattern.exec(token) ?? [];
  const known = roles.find((each) => each === role);
  const place = decoded(location);
  if (known === undefined || place === undefined || place.length > invitationLocationCharactersMax) return undefined;
  const invitation = { id, role: known, expires: Number(expires), fingerprint, ...(place === "" ? {} : { location: place }) };
  // One token has one spelling.
  return token.startsWith(`${textOf(invitation)}.`) ? invitation : undefined;
}

/** Whether a text looks like a token: such a thing does not belong on a command line. */
export function looksLikeInvitation(text: string): boolean {
  return text.startsWith(`${form}.`);
}

/**
 * How a cell looks at a token that a newcomer brings. `macs`: of the secret that signs, and of the next one, which signs at another cell already perhaps; a former one
 * may have been stolen. `fingerprint`: of the authority here. `now`: ms since the epoch.
 */
export type Checking = { readonly macs: readonly InvitationMac[]; readonly fingerprint: string; readonly now: number };

/** What a token says, if it is one of this system that has not expired, or why it does not count. */
export function checkInvitation(token: string, { macs, fingerprint, now }: Checking): Invitation | { readonly refused: string } {
  const invitation = readInvitation(token);
  if (invitation === undefined) return { refused: noTokenText };
  if (invitation.fingerprint !== fingerprint) return { refused: "the token is of another system" };
  const end = token.lastIndexOf(".");
  if (!macs.some((mac) => equalInConstantTime(token.slice(end + 1), mac(token.slice(0, end)))))
    return { refused: "the token was changed, or is from before the secret of the system was: make another one with tandem invite" };
  const agoMs = now - invitation.expires;
  if (agoMs >= 0) return { refused: `the token expired ${Math.ceil(agoMs / 1000)} s ago: make another one with tandem invite` };
  return invitation;
}

export const noTokenText = "this is no token of tandem invite";

type Invited = {
  readonly id: string;
  readonly kind: "cell" | "gateway" | "host";
  readonly host: string;
};

/** Why these may not come by an invitation; undefined: they may. It is for one host, which comes first, and what runs on it. */
export function invitedFault({ role }: Pick<Invitation, "role">, members: readonly Invited[]): string | undefined {
  const [host, ...others] = members;
  if (host?.kind !== "host") return "the first member must be the host";
  const stranger = others.find((each) => each.kind === "host" || each.host !== host.id);
  if (stranger !== undefined) return `${stranger.id} does not run on ${host.id}`;
  const unwanted = others.find(({ kind }) => role !== "both" && kind !== role);
  return unwanted === undefined ? undefined : `the invitation is for a ${role}, and ${unwanted.id} is a ${unwanted.kind}`;
}

const form = "tandem1";
const pattern = new RegExp(
  `^${form}\\.([0-9a-f]{16})\\.([a-z]{1,8})\\.(\\d{1,15})\\.([0-9a-f]{64})\\.([0-9A-Za-z%_~!*'()-]{0,600})\\.[0-9a-f]{64}$`,
);

function textOf({ id, role, location = "", expires, fingerprint }: Invitation): string {
  return `${form}.${id}.${role}.${expires}.${fingerprint}.${encodeURIComponent(location).replaceAll(".", "%2E")}`;
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
