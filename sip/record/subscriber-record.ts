import { bindingTombstoneMs } from "../limits.ts";
import { isText, type Fields, type List } from "./fields.ts";
import { alive } from "./fields.ts";
import { asItCame, isLaterVersion, needsRowOfItsVersion, neverForgotten, type KindDefinition } from "./kind-definition.ts";
import type { Subscriber } from "./values.ts";

/** A user that we authenticate: whatever was said last counts. Its key is the address-of-record. */
export const subscriberKind: KindDefinition<"subscriber"> = {
  tombstoneMs: bindingTombstoneMs,
  isOfCall: false,
  hasRowsWithPeer: true,
  textOf: ({ kind, key, version, value }) =>
    JSON.stringify([kind, key, version, null, alive, value.ha1Md5, value.ha1Sha256, value.ha1bMd5, value.ha1bSha256]),
  fieldsOf: ([, , , , , ha1Md5, ha1Sha256, ha1bMd5, ha1bSha256]: List) => ({ ha1Md5, ha1Sha256, ha1bMd5, ha1bSha256 }),
  read: subscriberOf,
  merge: (held, record) => (isLaterVersion(record, held.record) ? { record, others: none } : held),
  needsRow: needsRowOfItsVersion,
  forgottenAt: neverForgotten,
  own: asItCame,
  sharing: asItCame,
};

const none: readonly never[] = [];

function subscriberOf(json: Fields): Subscriber | undefined {
  const { ha1Md5, ha1Sha256, ha1bMd5, ha1bSha256 } = json;
  if (!isText(ha1Md5) || !isText(ha1Sha256) || !isText(ha1bMd5) || !isText(ha1bSha256)) return undefined;
  return { ha1Md5, ha1Sha256, ha1bMd5, ha1bSha256 };
}
