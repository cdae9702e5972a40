import type { MessageEdit } from "../message/edit.ts";
import { Header } from "../message/header-names.ts";
import type { SipMessage } from "../message/sip-message.ts";
import type { Preprocessed } from "./route-preprocessing.ts";

/**
 * RFC 3325 5: no phone, and nobody outside, is trusted to say who somebody is. So P-Asserted-Identity, P-Preferred-Identity and Remote-Party-ID end
 * here, in requests and responses. Phones of ours are told in their place what the digest of a caller has proved. Nothing of it goes to the outside,
 * which trusts us no more than we trust it.
 */
export function writeIdentity(edit: MessageEdit, { message, asserted, isLeaving }: Preprocessed): void {
  if (message.hasIdentityHeaders) {
    withoutIdentity(edit);
    // RFC 3323 4.3: a service further on may do what it asks for. A phone of ours could not.
    if (!isLeaving) edit.removeAll(Header.Privacy);
  }
  if (asserted !== undefined) edit.append(Header.PAssertedIdentity, `<sip:${asserted}>`);
}

/** A response with other changes, and without who it says that somebody is. */
export function withoutIdentities(edit: MessageEdit): MessageEdit {
  return withoutIdentity(edit).removeAll(Header.Privacy);
}

function withoutIdentity(edit: MessageEdit): MessageEdit {
  return edit.removeAll(Header.PAssertedIdentity).removeAll(Header.PPreferredIdentity).removeAll(Header.RemotePartyId);
}

/** What a caller asks in Privacy (RFC 3323 4.2, RFC 3325 9.3). */
export type PrivacyWish = {
  /** Nobody is to be told who calls. */
  readonly isAnonymous: boolean;
  /** More is asked than that, and the request is to fail where it cannot be had: we hide no address in other headers. */
  readonly isImpossible: boolean;
};

const noWish: PrivacyWish = { isAnonymous: false, isImpossible: false };
const possible: ReadonlySet<string> = new Set(["id", "none", "critical", ""]);

export function privacyOf(message: SipMessage): PrivacyWish {
  if (!message.hasIdentityHeaders || !message.has(Header.Privacy)) return noWish;
  const wishes = message
    .values(Header.Privacy)
    .join(";")
    .toLowerCase()
    .split(/[;,\s]+/);
  return {
    isAnonymous: wishes.includes("id") || wishes.includes("user"),
    isImpossible: wishes.includes("critical") && wishes.some((wish) => !possible.has(wish)),
  };
}
