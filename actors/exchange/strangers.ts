import { isParseError, type ParseError } from "../../sip/errors.ts";
import { MessageEdit } from "../../sip/message/edit.ts";
import * as headerLines from "../../sip/message/header-lines.ts";
import { Header, type HeaderId } from "../../sip/message/header-names.ts";
import type { NameAddr } from "../../sip/message/name-addr.ts";
import { parseMessage, type SipMessage } from "../../sip/message/sip-message.ts";
import { isSipUri } from "../../sip/message/uri.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { showsAddress } from "../../cluster/map/shown-address.ts";
import type { Preprocessed } from "../../sip/proxy/route-preprocessing.ts";
import { claimOfParty } from "./caller.ts";

/** What a stranger may begin, and what he may say with it. A stranger claims no name of ours, and so has no password to prove it (decision 0014). */

/**
 * He may call, write, and ask what a phone can do. REFER makes some phones dial (RFC 3515 5.2). SUBSCRIBE asks for what is another's to tell: with
 * whom somebody speaks, tags included (RFC 4235 3.6). PUBLISH is for who is published (RFC 3903 14.1). A method that we do not know may be any of it.
 * What he may send within a dialog: see strangers-within.ts.
 */
const begun: ReadonlySet<string> = new Set(["INVITE", "ACK", "CANCEL", "MESSAGE", "OPTIONS"]);

type Row = readonly [id: HeaderId, reason: string];

/**
 * What is taken off his requests, within dialogs too, and why. P-Asserted-Identity, P-Preferred-Identity, Remote-Party-ID and Privacy are taken off those of
 * everybody: see identity-headers.ts.
 */
const rows: readonly Row[] = [
  [Header.Diversion, "RFC 5806: who has passed a call on is said by elements that trust each other; phones show it."],
  [Header.HistoryInfo, "RFC 7044: the same."],
  [Header.ReferredBy, "RFC 3892: without a signature it is worth nothing, and phones show it; they call without it as well."],
  [Header.PCalledPartyId, "RFC 7315 4.2: the called party's own proxy says it, who is nobody but us."],
  [Header.PServedUser, "RFC 5502: within a trust domain only."],
  [Header.PAssertedService, "RFC 6050 4.1: within a trust domain only; phones choose how to ring by it."],
  [Header.AlertInfo, "RFC 3261 20.4: disruptive when it is not trusted. Phones answer at once, or fetch what it names."],
  [Header.CallInfo, "RFC 3261 20.9: to be shown of who is trusted only. Phones answer at once (answer-after)."],
  [Header.AnswerMode, "RFC 5373: who makes a phone answer at once listens to a room. It needs authorization."],
  [Header.PrivAnswerMode, "RFC 5373: the same, also of a phone that is set not to."],
  [Header.PAutoAnswer, "As Answer-Mode, of before it."],
  [Header.PAlertingMode, "As Answer-Mode, of push-to-talk."],
  [Header.XAutoAnswer, "As Answer-Mode, of softphones."],
  [Header.AutoAnswer, "The same."],
  [Header.XAutoAnswerDashed, "The same."],
  [Header.ResourcePriority, "RFC 4412: a call that ends others needs authorization."],
];

const isTakenOff: Uint8Array = new Uint8Array(256);
for (const [id] of rows) isTakenOff[id] = 1;

/** Why a stranger's initial request goes no further; undefined: it may. */
export function refusalOfStranger(map: ClusterMap, message: SipMessage): { readonly status: number; readonly reason: string } | undefined {
  if (!begun.has(message.method)) return { status: 403, reason: "Password Needed" };
  if (asksToAnswer(message.to)) return { status: 403, reason: "Password Needed" };
  return isMasked(map, message) ? { status: 403, reason: "Not Your Name" } : undefined;
}

/** Whether a Contact shows an address of ours. */
function isMasked(map: ClusterMap, { contacts }: SipMessage): boolean {
  return !isParseError(contacts) && contacts !== "*" && contacts.some(({ displayName }) => showsAddress(map, displayName, undefined));
}

/** Whether a stranger's request is one that he may not send within a dialog either, whatever its method. */
export function isNotToBeSaid(map: ClusterMap, message: SipMessage): boolean {
  return asksToAnswer(message.to) || isMasked(map, message);
}

/** Some makers' phones answer at once for `intercom=true` in To, which is not ours to change (RFC 3261 16.6). */
function asksToAnswer(to: NameAddr | ParseError): boolean {
  if (isParseError(to)) return false;
  const uri = to.parsedUri;
  return to.params.has("intercom") || (!isParseError(uri) && isSipUri(uri) && uri.params.has("intercom"));
}

/** A stranger's request without what is not his to say; the same one when there is nothing of it. */
export function ofStranger(map: ClusterMap, request: Preprocessed): Preprocessed {
  const { message } = request;
  const { lines } = message;
  let edit: MessageEdit | undefined;
  for (let line = 0; line < headerLines.lineCount(lines); line += 1) {
    const id = headerLines.lineId(lines, line);
    if (isTakenOff[id] !== 1) continue;
    edit ??= new MessageEdit(message);
    edit.removeAll(id);
  }
  if (message.has(Header.ReplyTo) && repliesToUs(map, message)) {
    edit ??= new MessageEdit(message);
    edit.removeAll(Header.ReplyTo);
  }
  if (edit === undefined) return request;
  const stripped = parseMessage(edit.serialize());
  return isParseError(stripped) ? request : { ...request, message: stripped };
}

/** A Reply-To (RFC 3261 20.31) that names or shows a user of ours, or cannot be read. */
function repliesToUs(map: ClusterMap, message: SipMessage): boolean {
  const parties = message.nameAddrs(Header.ReplyTo);
  return (
    isParseError(parties) ||
    parties.some((party) => {
      const claim = claimOfParty(map, party);
      return claim === undefined || claim.domain !== undefined || showsAddress(map, party.displayName, undefined);
    })
  );
}
