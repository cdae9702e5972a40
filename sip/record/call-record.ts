import { callKeyOctetsMax, callTombstoneMs, callUncollectedMs } from "../limits.ts";
import { sipHash, type SipHashKey } from "../sip-hash.ts";
import { alive, heldAt, isSequence, isText, isTexts, isTime, type Fields, type List, type Writable } from "./fields.ts";
import { asItCame, needsRowOfItsVersion, type KindDefinition } from "./kind-definition.ts";
import { ownText } from "./own-texts.ts";
import type { StateRecord } from "./state-record.ts";
import type { Call, CallCause } from "./values.ts";
import { compareVersions } from "./version.ts";

/**
 * What became of a call, once it is over. It waits here for the collector, and is a tombstone when the ledgers have it. The same call may be noted more
 * than once: by both replicas, after a takeover, or when its caller says it again. Of these the one of the higher rank counts (see {@link callRank}),
 * and of equal ones the one that was collected. A tombstone has the rank of what was collected in its `cSeq`.
 */
export const callKind: KindDefinition<"call"> = {
  tombstoneMs: callTombstoneMs,
  isOfCall: true,
  // Those that are not collected soon get rows all the same: see RecordStore.keepRows.
  hasRowsWithPeer: false,
  textOf: ({ kind, key, version, value }) => {
    const { rank, caller, callee, answeredBy, start, ring, answer, end, status, cause, cells, gateways } = value;
    const { failovers, isStrangers, isByOperator } = value;
    const list = [kind, key, version, end, alive, rank, caller, callee, answeredBy, start, ring, answer, status, cause, cells, gateways];
    if (failovers > 0 || isStrangers === true || isByOperator === true) list.push(failovers);
    if (isStrangers === true || isByOperator === true) list.push(isStrangers === true ? 1 : 0);
    if (isByOperator === true) list.push(1);
    return JSON.stringify(list);
  },
  fieldsOf: (list: List) => ({
    rank: list[5],
    caller: list[6],
    callee: list[7],
    answeredBy: list[8],
    start: list[9],
    ring: heldAt(list, 10),
    answer: heldAt(list, 11),
    end: list[3],
    status: list[12],
    cause: list[13],
    cells: list[14],
    gateways: list[15],
    failovers: heldAt(list, 16) ?? 0,
    isStrangers: heldAt(list, 17) === 1,
    isByOperator: heldAt(list, 18) === 1,
  }),
  read: callOf,
  merge: (held, record) => (held.record.kind === "call" && isAbove(record, held.record) ? { record, others: none } : held),
  needsRow: needsRowOfItsVersion,
  forgottenAt: ({ value }) => value.end + callUncollectedMs,
  own: ownCall,
  sharing: asItCame,
};

/**
 * Its key: one call is one Call-ID of one caller's tag. So what a caller says again with a password, or after a refusal, is the same call, and so is
 * each copy and each fork of it (RFC 3261 8.1.3.5). Where they are long the key is a hash, which has no space. Whoever finds another call with the same one
 * has gained nothing: he may as well say the Call-ID and the tag of that call.
 */
export function callKey(callId: string, callerTag: string): string {
  const key = [callId, " ", callerTag].join("");
  return key.length > callKeyOctetsMax ? [sipHash(noSecret, key), sipHash(noOtherSecret, key)].join("") : key;
}

/** Both replicas make the same key of the same call, whichever release they are of. Two hashes: no two calls have both by chance. */
const noSecret: SipHashKey = [1, 0, 0, 0];
const noOtherSecret: SipHashKey = [2, 0, 0, 0];

/**
 * What is known of a call's end, the least first:
 *
 * - `forgotten`: nothing, for whoever had it in hand has failed;
 * - `unheard`: somebody has answered, and nobody has acknowledged that: whoever refused it knows what its caller was told;
 * - `refusedInPassing`: somebody has refused it, and the INVITE was not known any more;
 * - `refused`: nobody has answered, as far as whoever notes it knows;
 * - `answeredInPassing`: somebody has, and the INVITE was not known any more;
 * - `silent`: nothing was heard of it for so long that it is over;
 * - `heard`: one of the two has hung up.
 */
export type CallEnd = "forgotten" | "unheard" | "refusedInPassing" | "refused" | "answeredInPassing" | "silent" | "heard";

/**
 * Two came later, and are between those that older releases know: the number of an INVITE is below 2**31 (RFC 3261 8.1.1.5). That of what is unheard is 0,
 * so it is below what was refused in passing.
 */
const ends: Readonly<Record<CallEnd, number>> = {
  forgotten: 0,
  unheard: 0.5,
  refusedInPassing: 0.5,
  refused: 1,
  answeredInPassing: 2,
  silent: 3,
  heard: 4,
};

/** Of two that were noted of one call the higher one counts. `cSeq`: of its INVITE, for a caller may try once more after a refusal. */
export function callRank(end: CallEnd, cSeq: number): number {
  return ends[end] * 2 ** 32 + cSeq;
}

/** The rank of what is known, or of what was collected. */
export function rankOfCall(record: StateRecord<"call">): number {
  return record.value === undefined ? record.cSeq : record.value.rank;
}

function isAbove(record: StateRecord<"call">, held: StateRecord<"call">): boolean {
  const order = rankOfCall(record) - rankOfCall(held);
  if (order !== 0) return order > 0;
  const isOver = record.value === undefined;
  return isOver === (held.value === undefined) ? compareVersions(record.version, held.version) > 0 : isOver;
}

const none: readonly never[] = [];

/** Each that there is: a text that a later release adds is no record of this one. */
const causes: Readonly<Record<CallCause, true>> = {
  callerHungUp: true,
  calleeHungUp: true,
  broken: true,
  ended: true,
  vanished: true,
  unacknowledged: true,
  unfollowed: true,
  cancelled: true,
  refused: true,
  nobody: true,
  unanswered: true,
  unreachable: true,
  denied: true,
  lost: true,
};

function isCallCause(value: unknown): value is CallCause {
  return typeof value === "string" && Object.hasOwn(causes, value);
}

function callOf(json: Fields): Call | undefined {
  const { rank, caller, callee, answeredBy, start, ring, answer, end, status, cause, cells, gateways } = json;
  const { failovers, isStrangers, isByOperator } = json;
  if (!isSequence(rank) || !isText(caller) || !isText(callee) || !isText(answeredBy) || !isTime(start) || !isTime(end)) return undefined;
  if (!(ring === undefined || isTime(ring)) || !(answer === undefined || isTime(answer))) return undefined;
  if (!isSequence(status) || !isCallCause(cause) || !isTexts(cells) || !isTexts(gateways) || !isSequence(failovers)) return undefined;
  const call: Writable<Call> = { rank, caller, callee, answeredBy, start, end, status, cause, cells, gateways, failovers };
  if (ring !== undefined) call.ring = ring;
  if (answer !== undefined) call.answer = answer;
  if (isStrangers === true) call.isStrangers = true;
  if (isByOperator === true) call.isByOperator = true;
  return call;
}

function ownCall(call: Call): Call {
  return {
    ...call,
    caller: ownText(call.caller, undefined),
    callee: ownText(call.callee, undefined),
    answeredBy: ownText(call.answeredBy, undefined),
    gateways: call.gateways.map((gateway) => ownText(gateway, undefined)),
  };
}
