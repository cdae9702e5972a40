import type { LiveCall } from "../../cluster/calls/live-call.ts";
import { callRecordsOf } from "../../cluster/calls/retention.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { isParseError } from "../../sip/errors.ts";
import { accessOfFlow, isLine } from "../../sip/flow/flow.ts";
import { callCellsMax, callContactOctetsMax, callPartyOctetsMax } from "../../sip/limits.ts";
import type { NameAddr } from "../../sip/message/name-addr.ts";
import { octetsOf } from "../../sip/message/octets.ts";
import { parseMessage, type SipMessage } from "../../sip/message/sip-message.ts";
import type { ParseError } from "../../sip/errors.ts";
import type { Side } from "../../sip/dialog/dialog.ts";
import type { Branch } from "../../sip/proxy/branch.ts";
import type { Preprocessed } from "../../sip/proxy/route-preprocessing.ts";
import type { ResponseContext } from "../../sip/proxy/response-context.ts";
import { callKey, callRank, rankOfCall, type CallEnd } from "../../sip/record/call-record.ts";
import { endOfDialog, isSubscriptionKey } from "../../sip/record/dialog-record.ts";
import type { Writable } from "../../sip/record/fields.ts";
import type { RecordStore } from "../../sip/record/record-store.ts";
import type { LiveRecord } from "../../sip/record/state-record.ts";
import { makeTombstone } from "../../sip/record/tombstone.ts";
import type { Call, CallCause, CallKind, CallNote, Dialog, DialogSide, Invite } from "../../sip/record/values.ts";
import { cellOfVersion, msOfVersion } from "../../sip/record/version.ts";
import type { SteadyMs, WallMs } from "../../sip/time.ts";
import { callsWaitingMax, callsWaitingOctetsMax, callsWaitingStrangersShare } from "../limits.ts";
import { callingOf } from "./caller.ts";
import type { RecordClock } from "./record-clock.ts";

/** RFC 3261 22, RFC 4028 7.3: whoever gets one of these is to say the same again, with what is missing. No call has come to its end. */
const askedAgain: ReadonlySet<number> = new Set([401, 407, 422]);

/** The first request of a call: what it says of itself. */
type Beginning = {
  readonly callId: string;
  readonly tag: string;
  readonly cSeq: number;
  readonly caller: string;
  readonly callee: string;
  /** Its caller claims no name of ours, and so has proved none. */
  readonly isStrangers: boolean;
};

/** What came of it. */
type Outcome = {
  readonly end: CallEnd;
  readonly at: WallMs;
  readonly status: number;
  readonly cause: CallCause;
  readonly isByOperator?: boolean;
};

/** A call that rings, by the record of its INVITE. */
export type Ringing = { readonly callId: string; readonly tag: string; readonly invite: Invite; readonly version: string };

type Times = { readonly ring: WallMs | undefined; readonly answer: WallMs | undefined; readonly end: WallMs };

/**
 * Notes what becomes of calls, each once it is over. A call is what a caller begins with an INVITE: what is forwarded, and what is refused to somebody
 * who has proved who he is. Strangers who are refused here leave nothing. While a call stands, its dialog's record has what is known of its
 * beginning, and while it rings that of the INVITE has.
 */
export class CallKeeper {
  readonly #store: RecordStore;
  readonly #clock: RecordClock;
  readonly #map: () => ClusterMap;
  #unnoted = 0;

  constructor(store: RecordStore, clock: RecordClock, map: () => ClusterMap) {
    this.#store = store;
    this.#clock = clock;
    this.#map = map;
  }

  /** What the record of a call that is being answered will say of its beginning; undefined: it is none, or began at another exchange. */
  noteOf(context: ResponseContext, branch: Branch | undefined, now: SteadyMs): CallNote | undefined {
    if (!isFirst(context) || !this.#isWanted) return undefined;
    const { earlierCells, rangAt } = context;
    const { message } = context.request;
    const { caller, callee } = callingOf(this.#map(), message);
    const note: Writable<CallNote> = {
      start: startOf(context, this.#clock.wallAt(now)),
      cells: this.#cellsAfter(earlierCells),
      gateways: gatewaysOf([context.tx.flow, branch?.flow ?? ""]),
      failovers: earlierCells.length,
    };
    if (rangAt !== undefined) note.ring = rangAt;
    if (caller === undefined) note.caller = partyOf(message.from);
    if (callee === undefined) note.callee = plain(message.requestUri);
    return note;
  }

  /** A final response that refuses it is about to be forwarded. */
  refused(context: ResponseContext, status: number, now: SteadyMs): void {
    this.#refused(context, status, { cause: causeOf(context, status) }, now);
  }

  /** An operator ends it while it rings: this says more than the 487 that its caller is about to get. */
  takenBack(context: ResponseContext, now: SteadyMs): void {
    this.#refused(context, 487, { cause: "cancelled", isByOperator: true }, now);
  }

  #refused(context: ResponseContext, status: number, why: Pick<Outcome, "cause" | "isByOperator">, now: SteadyMs): void {
    const beginning = askedAgain.has(status) ? undefined : this.#beginningOf(context);
    if (beginning === undefined) return;
    const at = this.#clock.wallAt(now);
    const { earlierCells, rangAt } = context;
    const flows = context.branches.filter(({ client }) => client !== undefined).map(({ flow }) => flow);
    this.#put(
      beginning,
      { end: "refused", at, status, ...why },
      {
        start: startOf(context, at),
        ...(rangAt === undefined ? {} : { ring: rangAt }),
        cells: this.#cellsAfter(earlierCells),
        gateways: gatewaysOf([context.tx.flow, ...flows]),
        failovers: earlierCells.length,
      },
      now,
    );
  }

  /** The same of one that was forwarded nowhere. Its caller has proved who he is. */
  denied(invite: SipMessage, flow: string, status: number, now: SteadyMs): void {
    const beginning = askedAgain.has(status) ? undefined : this.#readBeginning(invite);
    if (beginning === undefined) return;
    const at = this.#clock.wallAt(now);
    const cause = status === 404 || status === 480 ? "nobody" : "denied";
    this.#put(
      beginning,
      { end: "refused", at, status, cause },
      { start: at, cells: [this.#clock.cell], gateways: gatewaysOf([flow]), failovers: 0 },
      now,
    );
  }

  /** A refusal passes whose INVITE nobody knows: who had it in hand has died with it. `request`: with the headers that the INVITE had. */
  refusedInPassing(request: SipMessage, status: number, flows: readonly string[], now: SteadyMs): void {
    const beginning = askedAgain.has(status) ? undefined : this.#readBeginning(request);
    if (beginning === undefined) return;
    const at = this.#clock.wallAt(now);
    const cause = status === 487 ? "cancelled" : "refused";
    const cells = [this.#clock.cell];
    this.#put(
      beginning,
      { end: "refusedInPassing", at, status, cause },
      { start: at, cells, gateways: gatewaysOf(flows), failovers: 0 },
      now,
    );
  }

  /** Whether a refusal of this INVITE has passed, when nobody knew it: its caller waits for nothing more. */
  wasRefusedInPassing(invite: Invite): boolean {
    const beginning = this.#beginningIn(invite);
    const known = beginning === undefined ? undefined : this.#store.get("call", callKey(beginning.callId, beginning.tag));
    return known !== undefined && rankOfCall(known) === callRank("refusedInPassing", beginning?.cSeq ?? 0);
  }

  /** These were forgotten, for their time was over: what is known of their calls. */
  forgotten(records: readonly LiveRecord<CallKind>[], now: SteadyMs): void {
    const answered = records.some(({ kind }) => kind === "invite") ? this.#answered() : undefined;
    for (const { kind, key, version, value } of records) {
      if (kind === "invite") this.lost(value, [...(value.earlierCells ?? []), cellOfVersion(version)], value.expiresAt, now, answered);
      else if (kind === "dialog" && !isSubscriptionKey(key)) this.vanished(value, now);
    }
  }

  /** An INVITE that these cells had in hand, one after the other, and with which nobody goes on. It is answered where its 200 passed another replica. */
  lost(invite: Invite, cells: readonly string[], at: WallMs, now: SteadyMs, answered = this.#answered()): void {
    const message = parseMessage(octetsOf(invite.request));
    const beginning = isParseError(message) ? undefined : this.#readBeginning(message);
    if (beginning === undefined || answered.has(callKey(beginning.callId, beginning.tag))) return;
    const { rangAt, branches } = invite;
    const flows = branches.filter(({ branch }) => branch !== "").map(({ flow }) => flow);
    this.#put(
      beginning,
      { end: "forgotten", at, status: 408, cause: "lost" },
      {
        start: invite.at ?? at,
        ...(rangAt === undefined ? {} : { ring: rangAt }),
        cells: cellsInTurn(cells),
        gateways: gatewaysOf([invite.flow, ...flows]),
        failovers: cells.length - 1,
      },
      now,
    );
  }

  /** There is no room to follow one that was answered. */
  unfollowed(context: ResponseContext, branch: Branch | undefined, status: number, now: SteadyMs): void {
    const beginning = this.#beginningOf(context);
    const note = this.noteOf(context, branch, now);
    if (beginning === undefined || note === undefined) return;
    const at = this.#clock.wallAt(now);
    this.#put(beginning, { end: "silent", at, status, cause: "unfollowed" }, { ...note, answer: at }, now);
  }

  /** One of the two has hung up, or a phone does not know the call any more. */
  hungUp(dialog: Dialog, by: Side | undefined, isBye: boolean, now: SteadyMs): void {
    const cause = by === "caller" ? "callerHungUp" : by === "callee" ? "calleeHungUp" : "ended";
    this.#ended(dialog, { end: "heard", at: this.#clock.wallAt(now), status: 200, cause: isBye ? cause : "broken" }, now);
  }

  /** An operator ends it. What the phones say to that adds nothing. */
  endedByOperator(dialog: Dialog, now: SteadyMs): void {
    this.#ended(dialog, { end: "heard", at: this.#clock.wallAt(now), status: 200, cause: "ended", isByOperator: true }, now);
  }

  /** The other replica has ended it. It has noted that, unless it did not know the call when it heard of its end. */
  endedThere(dialog: Dialog, at: WallMs, now: SteadyMs): void {
    this.#ended(dialog, { end: "heard", at, status: 200, cause: "ended" }, now);
  }

  /** Nothing more was heard of it. */
  vanished(dialog: Dialog, now: SteadyMs): void {
    const cause = dialog.state === "answered" ? "unacknowledged" : "vanished";
    const at = Math.min(endOfDialog(dialog), this.#clock.wallAt(now));
    this.#ended(dialog, { end: "silent", at, status: 200, cause }, now);
  }

  /** Two ledgers have what this says. What says more of the same call, and has come meanwhile, waits for its turn. */
  collected({ key, value }: LiveRecord<"call">, now: SteadyMs): void {
    const known = this.#store.get("call", key);
    if (known === undefined || rankOfCall(known) > value.rank) return;
    const order = { callId: "", cSeq: value.rank };
    this.#store.apply(makeTombstone("call", key, this.#clock.tick(now), this.#clock.wallAt(now), order));
  }

  /** How many were not noted since the last call, because too many wait for the collector. */
  takeUnnoted(): number {
    const count = this.#unnoted;
    this.#unnoted = 0;
    return count;
  }

  /** Those that stand now: goes through them all. */
  live(addressOfRecord: string | undefined): LiveCall[] {
    const calls: LiveCall[] = [];
    const answered = this.#answered();
    const add = (call: LiveCall): void => {
      if (addressOfRecord === undefined || call.caller === addressOfRecord || call.callee === addressOfRecord) calls.push(call);
    };
    for (const { key, value } of this.#store.records("dialog")) if (!isSubscriptionKey(key)) add(standing(value));
    for (const { version, value } of this.#store.records("invite")) {
      const beginning = this.#beginningIn(value);
      if (beginning !== undefined && !answered.has(callKey(beginning.callId, beginning.tag))) add(ringing(beginning, value, version));
    }
    return calls.toSorted((one, other) => one.start - other.start);
  }

  /** The calls that have been answered, by the keys of their records: goes through them all. */
  #answered(): ReadonlySet<string> {
    const keys = new Set<string>();
    for (const { key, value } of this.#store.records("dialog"))
      if (!isSubscriptionKey(key)) keys.add(callKey(value.callId, value.caller.tag));
    return keys;
  }

  /** The call that rings whose key this is: goes through them all. */
  findRinging(isIt: (key: string) => boolean): Ringing | undefined {
    for (const { version, value: invite } of this.#store.records("invite")) {
      const { callId, tag } = this.#beginningIn(invite) ?? {};
      if (callId !== undefined && tag !== undefined && isIt(callKey(callId, tag))) return { callId, tag, invite, version };
    }
    return undefined;
  }

  #beginningIn({ request }: Invite): Beginning | undefined {
    const message = parseMessage(octetsOf(request));
    return isParseError(message) ? undefined : this.#readBeginning(message);
  }

  #ended(dialog: Dialog, outcome: Outcome, now: SteadyMs): void {
    const { callId, caller, callee, call, createdAt } = dialog;
    const known = call?.cells ?? [];
    const { cell } = this.#clock;
    const flows = [caller.flow, callee.flow];
    // A line speaks to the replica of its own cell; others come here when they have lost the other one.
    const isElsewhere = known.length > 0 && known.at(-1) !== cell;
    const hasFailedOver = isElsewhere && !flows.some((flow) => flow !== "" && isLine(accessOfFlow(flow)));
    const beginning = {
      callId,
      tag: caller.tag,
      cSeq: 0,
      caller: call?.caller ?? nameOfSide(caller),
      callee: call?.callee ?? nameOfSide(callee),
      isStrangers: caller.addressOfRecord === "",
    };
    // Who picked up in vain, and was never acknowledged, says less than what its caller was told, if that is known to anybody.
    const isUnheard = outcome.cause === "unacknowledged";
    const end = isUnheard ? "unheard" : call === undefined ? "answeredInPassing" : outcome.end;
    this.#put(
      beginning,
      { ...outcome, end },
      {
        start: call?.start ?? createdAt,
        ...(call?.ring === undefined ? {} : { ring: call.ring }),
        answer: createdAt,
        answeredBy: callee.contact,
        cells: isElsewhere || call === undefined ? this.#cellsAfter(known) : known,
        gateways: gatewaysOf(flows, call?.gateways),
        failovers: (call?.failovers ?? 0) + (hasFailedOver ? 1 : 0),
      },
      now,
    );
  }

  #put(
    { callId, tag, cSeq, caller, callee, isStrangers }: Beginning,
    { end, at, status, cause, isByOperator = false }: Outcome,
    course: Pick<Call, "start" | "ring" | "answer" | "cells" | "gateways" | "failovers"> & { readonly answeredBy?: string },
    now: SteadyMs,
  ): void {
    if (!this.#isWanted) return;
    const key = callKey(callId, tag);
    const rank = callRank(end, cSeq);
    const known = this.#store.get("call", key);
    if (known !== undefined && rankOfCall(known) >= rank) return;
    if (known === undefined && !this.#hasRoom(isStrangers)) {
      this.#unnoted += 1;
      return;
    }
    const { start, ring, answer, cells, gateways, failovers, answeredBy = "" } = course;
    const times = inOrder(start, ring, answer, at);
    const value: Writable<Call> = {
      rank,
      caller: caller.slice(0, callPartyOctetsMax),
      callee: callee.slice(0, callPartyOctetsMax),
      answeredBy: answeredBy.slice(0, callContactOctetsMax),
      start,
      end: times.end,
      status,
      cause,
      cells,
      gateways,
      failovers,
    };
    if (isStrangers) value.isStrangers = true;
    if (isByOperator) value.isByOperator = true;
    if (times.ring !== undefined) value.ring = times.ring;
    if (times.answer !== undefined) value.answer = times.answer;
    this.#store.apply({ kind: "call", key, version: this.#clock.tick(now), value });
  }

  /** Whether one more may wait for the collector. Strangers fill a share, so that there is room for the calls of subscribers. */
  #hasRoom(isStrangers: boolean): boolean {
    const { octets, ofStrangers, octetsOfStrangers } = this.#store.callShares;
    if (this.#store.count("call") >= callsWaitingMax || octets >= callsWaitingOctetsMax) return false;
    if (!isStrangers) return true;
    return (
      ofStrangers < callsWaitingMax * callsWaitingStrangersShare && octetsOfStrangers < callsWaitingOctetsMax * callsWaitingStrangersShare
    );
  }

  /** Whether records are kept at all. */
  get #isWanted(): boolean {
    const { days, most } = callRecordsOf(this.#map());
    return days > 0 && most > 0;
  }

  #beginningOf(context: ResponseContext): Beginning | undefined {
    return isFirst(context) ? this.#readBeginning(context.request.message) : undefined;
  }

  #readBeginning(invite: SipMessage): Beginning | undefined {
    const { callId, fromTag = "", toTag, cSeq, from } = invite;
    if (toTag !== undefined || callId === "" || isParseError(cSeq)) return undefined;
    const { callerDomain, caller = partyOf(from), callee = plain(invite.requestUri) } = callingOf(this.#map(), invite);
    return { callId, tag: fromTag, cSeq: cSeq.number, caller, callee, isStrangers: callerDomain === undefined };
  }

  #cellsAfter(earlier: readonly string[]): readonly string[] {
    const { cell } = this.#clock;
    const cells = cellsInTurn(earlier);
    return cells.at(-1) === cell ? cells : [...cells.slice(0, callCellsMax - 1), cell];
  }
}

function nameOfSide({ addressOfRecord, contact }: DialogSide): string {
  return addressOfRecord === "" ? plain(contact) : addressOfRecord;
}

function standing({ callId, caller, callee, call, createdAt }: Dialog): LiveCall {
  return {
    key: callKey(callId, caller.tag),
    caller: call?.caller ?? nameOfSide(caller),
    callee: call?.callee ?? nameOfSide(callee),
    answeredBy: callee.contact,
    start: call?.start ?? createdAt,
    ...(call?.ring === undefined ? {} : { ring: call.ring }),
    answer: createdAt,
    status: 200,
    cells: call?.cells ?? [],
    gateways: gatewaysOf([caller.flow, callee.flow], call?.gateways),
    failovers: call?.failovers ?? 0,
  };
}

/** A cell that has restarted, or has taken it up twice, is named once. */
function cellsInTurn(cells: readonly string[]): readonly string[] {
  return cells.filter((cell, index) => cell !== cells[index - 1]);
}

function ringing({ callId, tag, caller, callee }: Beginning, invite: Invite, version: string): LiveCall {
  const { at, rangAt, earlierCells = [], flow, branches, lastStatus } = invite;
  return {
    key: callKey(callId, tag),
    caller,
    callee,
    answeredBy: "",
    start: at ?? msOfVersion(version),
    ...(rangAt === undefined ? {} : { ring: rangAt }),
    status: Math.max(lastStatus, 100),
    cells: cellsInTurn([...earlierCells, cellOfVersion(version)]),
    gateways: gatewaysOf([flow, ...branches.filter(({ branch }) => branch !== "").map((each) => each.flow)]),
    failovers: earlierCells.length,
  };
}

/** Whether it is of an INVITE that begins a call. What has been here before, and went somewhere else from there, is noted there. */
function isFirst(context: ResponseContext): context is ResponseContext & { request: Preprocessed } {
  const { isInvite, request } = context;
  return isInvite && request !== undefined && request.message.toTag === undefined && request.spirals === 0;
}

/** The clocks of two cells are not the same: what one of them has seen first is not shown as later than what the other one has seen then. */
function inOrder(start: WallMs, ring: WallMs | undefined, answer: WallMs | undefined, end: WallMs): Times {
  const rang = ring === undefined ? undefined : Math.max(start, ring);
  const answered = answer === undefined ? undefined : Math.max(rang ?? start, answer);
  return { ring: rang, answer: answered, end: Math.max(answered ?? rang ?? start, end) };
}

/** Somebody outside, as people write him. */
function partyOf(party: NameAddr | ParseError): string {
  return isParseError(party) ? "" : plain(party.uri);
}

/** A URI without what nobody reads: `user@host`, or a number. */
function plain(uri: string): string {
  const [address = ""] = uri.replace(/^(?:sips?|tel):/i, "").split(/[;?]/, 1);
  return address.slice(0, callPartyOctetsMax);
}

function startOf({ request }: ResponseContext, now: WallMs): WallMs {
  return request === undefined || request.at === 0 ? now : request.at;
}

function gatewaysOf(flows: readonly string[], known: readonly string[] = []): readonly string[] {
  const gateways = [...known];
  for (const flow of flows) {
    const access = flow === "" ? "" : accessOfFlow(flow);
    if (access !== "" && !gateways.includes(access) && gateways.length < callCellsMax) gateways.push(access);
  }
  return gateways;
}

function causeOf(context: ResponseContext, status: number): CallCause {
  const { best, branches, cancelled, rangAt } = context;
  if (cancelled) return "cancelled";
  if (best?.octets !== undefined) return "refused";
  if (!branches.some(({ client }) => client !== undefined)) return "nobody";
  if (status !== 408 && status !== 480) return "denied";
  return rangAt === undefined ? "unreachable" : "unanswered";
}
