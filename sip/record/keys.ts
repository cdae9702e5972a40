/**
 * Keys of records. A space separates the parts: it can stand in none of them (RFC 3261 25.1: callid, token, and the escaped user of an
 * address-of-record have no white space).
 */

/** A binding of RFC 5626: one flow of one instance. */
export function outboundBindingKey(addressOfRecord: string, instanceId: string, regId: number): string {
  return [addressOfRecord, " ", String(regId), " ", instanceId].join("");
}

/** A binding of RFC 3261: its contact, spelled so that the usual variants of one URI are one text. */
export function contactBindingKey(addressOfRecord: string, canonicalContact: string): string {
  return [addressOfRecord, " ", canonicalContact].join("");
}

export function addressOfRecordOfBindingKey(key: string): string {
  const end = key.indexOf(" ");
  return end < 0 ? key : key.slice(0, end);
}

/** A dialog: its Call-ID and both tags, the same from either side (RFC 3261 12). */
export function dialogKey(callId: string, oneTag: string, otherTag: string): string {
  return oneTag < otherTag ? [callId, " ", oneTag, " ", otherTag].join("") : [callId, " ", otherTag, " ", oneTag].join("");
}

/** What a subscription makes of the dialog that it is in (RFC 6665 4.1.2, RFC 3515 2.4.4): a call in it ends apart. */
export function subscriptionKey(callId: string, oneTag: string, otherTag: string): string {
  return [dialogKey(callId, oneTag, otherTag), " s"].join("");
}

export function isSubscriptionKey(key: string): boolean {
  return key.endsWith(" s") && key.split(" ").length === 4;
}

/** A record of a kind that is not known here: the kind, and its own key. */
export function unreadKey(kind: string, key: string): string {
  return [kind, " ", key].join("");
}
