import { callTombstoneMs, dialogUnacknowledgedMs } from "../limits.ts";
import { alive, heldAt, isFields, isList, isNumber, isOptionalText, isSequence, isText, isTexts, isTime, trimmed } from "./fields.ts";
import type { Fields, List, Writable } from "./fields.ts";
import { asItCame, mergeCall, type KindDefinition } from "./kind-definition.ts";
import { ownText } from "./own-texts.ts";
import type { LiveRecord } from "./state-record.ts";
import type { CallNote, Dialog, DialogSide } from "./values.ts";
import { compareVersions, isVersion, laterVersion, type Version } from "./version.ts";

/**
 * A dialog: its sides are merged apart. It has a new row when a side has moved, not for every CSeq. Those order what arrives, and nothing that is
 * under way outlives both memories.
 */
export const dialogKind: KindDefinition<"dialog"> = {
  tombstoneMs: callTombstoneMs,
  isOfCall: true,
  hasRowsWithPeer: true,
  textOf: textOfDialog,
  fieldsOf: fieldsOfDialog,
  read: dialogOf,
  merge: (held, record) => {
    const present = held.record;
    if (present.kind !== "dialog" || present.value === undefined || record.value === undefined) return mergeCall(held, record);
    const joined = joinDialogs(...alignedDialogs(present, record));
    return joined === present ? held : { record: joined, others: none };
  },
  needsRow: (onDisk, record) => isDialogMoved(onDisk.value, record.value),
  forgottenAt: ({ value }) => endOfDialog(value) + callTombstoneMs,
  own: ownDialog,
  sharing: asItCame,
};

/** Its key: its Call-ID and both tags, the same from either side (RFC 3261 12). */
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

/** When a dialog is over if nothing more is heard of it: soon while its 2xx has not been acknowledged. */
export function endOfDialog(dialog: Dialog): number {
  return dialog.state === "answered" ? Math.min(dialog.expiresAt, dialog.createdAt + dialogUnacknowledgedMs) : dialog.expiresAt;
}

const none: readonly never[] = [];

function textOfDialog({ kind, key, version, value }: LiveRecord<"dialog">): string {
  const { callId, state, createdAt, expiresAt, source, call } = value;
  const caller = listOfSide(value.caller, version);
  const callee = listOfSide(value.callee, version);
  const list: unknown[] = [kind, key, version, expiresAt, alive, callId, state, createdAt, caller, callee];
  if (call !== undefined) list.push(source, listOfNote(call));
  else if (source !== undefined) list.push(source);
  return JSON.stringify(list);
}

/** A side that the record's own version has written does not say it again. */
function listOfSide(side: DialogSide, version: Version): List {
  const { tag, addressOfRecord, contact, flow, instanceId, cSeq, name, routes } = side;
  return trimmed([
    tag,
    addressOfRecord,
    contact,
    flow,
    instanceId,
    cSeq,
    side.version === version ? undefined : side.version,
    name,
    routes,
  ]);
}

/** Most have rung, have had one replica, and are between users of ours. */
function listOfNote({ start, ring, cells, gateways, failovers, caller, callee }: CallNote): List {
  return trimmed([start, cells, gateways, ring, failovers === 0 ? undefined : failovers, caller, callee]);
}

function fieldsOfDialog(list: List, version: Version): Fields {
  return {
    callId: list[5],
    caller: fieldsOfSide(list[8], version),
    callee: fieldsOfSide(list[9], version),
    state: list[6],
    createdAt: list[7],
    expiresAt: list[3],
    source: heldAt(list, 10),
    call: fieldsOfNote(heldAt(list, 11)),
  };
}

function fieldsOfNote(list: unknown): Fields | undefined {
  if (!isList(list)) return undefined;
  return {
    start: list[0],
    cells: list[1],
    gateways: list[2],
    ring: heldAt(list, 3),
    failovers: heldAt(list, 4) ?? 0,
    caller: heldAt(list, 5),
    callee: heldAt(list, 6),
  };
}

function fieldsOfSide(list: unknown, version: Version): Fields | undefined {
  if (!isList(list)) return undefined;
  return {
    tag: list[0],
    addressOfRecord: list[1],
    contact: list[2],
    flow: list[3],
    instanceId: list[4],
    cSeq: list[5],
    version: heldAt(list, 6) ?? version,
    name: heldAt(list, 7),
    routes: heldAt(list, 8),
  };
}

function dialogOf(json: Fields): Dialog | undefined {
  const { callId, state, createdAt, expiresAt } = json;
  const caller = sideOf(json["caller"]);
  const callee = sideOf(json["callee"]);
  if (caller === undefined || callee === undefined || !isText(callId) || !isTime(createdAt) || !isTime(expiresAt)) return undefined;
  if (state !== "answered" && state !== "confirmed") return undefined;
  const dialog: Writable<Dialog> = { callId, caller, callee, state, createdAt, expiresAt };
  const { source } = json;
  const call = noteOf(json["call"]);
  if (isText(source)) dialog.source = source;
  if (call !== undefined) dialog.call = call;
  return dialog;
}

/** One that cannot be read is left out: the call goes on without. */
function noteOf(json: unknown): CallNote | undefined {
  if (!isFields(json)) return undefined;
  const { start, ring, cells, gateways, failovers, caller, callee } = json;
  if (!isTime(start) || !(ring === undefined || isTime(ring)) || !isTexts(cells) || !isTexts(gateways)) return undefined;
  if (!isSequence(failovers) || !isOptionalText(caller) || !isOptionalText(callee)) return undefined;
  const note: Writable<CallNote> = { start, cells, gateways, failovers };
  if (ring !== undefined) note.ring = ring;
  if (caller !== undefined) note.caller = caller;
  if (callee !== undefined) note.callee = callee;
  return note;
}

function sideOf(json: unknown): DialogSide | undefined {
  if (!isFields(json)) return undefined;
  const { tag, addressOfRecord, name, contact, flow, instanceId, routes, cSeq, version } = json;
  if (!isText(tag) || !isText(addressOfRecord) || !isText(contact) || !isText(flow) || !isText(instanceId)) return undefined;
  if (!isText(version) || !isVersion(version) || !isNumber(cSeq) || !Number.isInteger(cSeq) || cSeq < -1) return undefined;
  if (!(routes === undefined || isTexts(routes)) || !isOptionalText(name)) return undefined;
  const side = { tag, addressOfRecord, contact, flow, instanceId, cSeq, version };
  // Most have neither.
  if (name === undefined && routes === undefined) return side;
  return { ...side, ...(name === undefined ? {} : { name }), ...(routes === undefined ? {} : { routes }) };
}

type LiveDialog = LiveRecord<"dialog">;

/**
 * Both with the same caller. A replica that has only seen an answer within a call takes whoever asked for the caller. Whose side is which says the one that
 * knows how the call began, or the older one.
 */
function alignedDialogs(first: LiveDialog, second: LiveDialog): [LiveDialog, LiveDialog] {
  if (first.value.caller.tag === second.value.caller.tag || first.value.caller.tag !== second.value.callee.tag) return [first, second];
  return knowsMore(first.value, second.value) ? [first, turned(second)] : [turned(first), second];
}

function knowsMore(one: Dialog, other: Dialog): boolean {
  if ((one.call === undefined) !== (other.call === undefined)) return one.call !== undefined;
  if (one.createdAt !== other.createdAt) return one.createdAt < other.createdAt;
  return one.caller.tag < other.caller.tag;
}

function turned(record: LiveDialog): LiveDialog {
  const { caller, callee } = record.value;
  return { ...record, value: { ...record.value, caller: callee, callee: caller } };
}

/** Both sides' later halves, the later state and the later end. Returns `first` itself when the second adds nothing. */
function joinDialogs(first: LiveRecord<"dialog">, second: LiveRecord<"dialog">): LiveRecord<"dialog"> {
  const caller = laterSide(first.value.caller, second.value.caller);
  const callee = laterSide(first.value.callee, second.value.callee);
  const state = first.value.state === "confirmed" ? first.value.state : second.value.state;
  const createdAt = Math.min(first.value.createdAt, second.value.createdAt);
  const version = laterVersion(first.version, second.version);
  const expiresAt = laterExpiry(first, second);
  const source = laterSource(first.value.source, second.value.source);
  const call = fullerNote(first.value.call, second.value.call);
  const isFirst =
    source === first.value.source &&
    call === first.value.call &&
    caller === first.value.caller &&
    callee === first.value.callee &&
    state === first.value.state &&
    createdAt === first.value.createdAt &&
    expiresAt === first.value.expiresAt &&
    version === first.version;
  if (isFirst) return first;
  const value: Writable<Dialog> = { callId: first.value.callId, caller, callee, state, createdAt, expiresAt };
  if (source !== undefined) value.source = source;
  if (call !== undefined) value.call = call;
  return { kind: "dialog", key: first.key, version, value };
}

/** Of two, the one of the replica that knew the call longer; the same whichever comes first. */
function fullerNote(first: CallNote | undefined, second: CallNote | undefined): CallNote | undefined {
  if (first === undefined || second === undefined || first === second) return first ?? second;
  if (first.start !== second.start) return first.start < second.start ? first : second;
  const [one, other] = [first, second].map((note) => JSON.stringify(listOfNote(note)));
  return (one ?? "") >= (other ?? "") ? first : second;
}

/** Any of two, the same whichever comes first. */
function laterSource(first: string | undefined, second: string | undefined): string | undefined {
  if (first === undefined || second === undefined) return first ?? second;
  return first < second ? second : first;
}

/** The expiry that the later version says: session timers may shorten it (RFC 4028). */
function laterExpiry(first: LiveRecord<"dialog">, second: LiveRecord<"dialog">): number {
  const order = compareVersions(first.version, second.version);
  if (order === 0) return Math.max(first.value.expiresAt, second.value.expiresAt);
  return (order > 0 ? first : second).value.expiresAt;
}

function laterSide(first: DialogSide, second: DialogSide): DialogSide {
  const order = first.cSeq - second.cSeq || compareVersions(first.version, second.version);
  return order >= 0 ? first : second;
}

function isDialogMoved(onDisk: Dialog, dialog: Dialog): boolean {
  return (
    dialog.state !== onDisk.state ||
    dialog.expiresAt !== onDisk.expiresAt ||
    isSideMoved(onDisk.caller, dialog.caller) ||
    isSideMoved(onDisk.callee, dialog.callee)
  );
}

function isSideMoved(onDisk: DialogSide, side: DialogSide): boolean {
  return side.contact !== onDisk.contact || side.flow !== onDisk.flow || side.instanceId !== onDisk.instanceId;
}

function ownDialog(dialog: Dialog, earlier: Dialog | undefined): Dialog {
  const own: Writable<Dialog> = {
    callId: ownText(dialog.callId, earlier?.callId),
    caller: ownSide(dialog.caller, earlier?.caller),
    callee: ownSide(dialog.callee, earlier?.callee),
    state: dialog.state,
    createdAt: dialog.createdAt,
    expiresAt: dialog.expiresAt,
  };
  const { source, call } = dialog;
  if (source !== undefined) own.source = ownText(source, earlier?.source);
  if (call !== undefined) own.call = call === earlier?.call ? call : ownNote(call);
  return own;
}

function ownNote(note: CallNote): CallNote {
  const { caller, callee } = note;
  const own: Writable<CallNote> = { ...note, gateways: note.gateways.map((gateway) => ownText(gateway, undefined)) };
  if (caller !== undefined) own.caller = ownText(caller, undefined);
  if (callee !== undefined) own.callee = ownText(callee, undefined);
  return own;
}

function ownSide(side: DialogSide, earlier: DialogSide | undefined): DialogSide {
  if (side === earlier) return side;
  const own = {
    tag: ownText(side.tag, earlier?.tag),
    addressOfRecord: ownText(side.addressOfRecord, earlier?.addressOfRecord),
    contact: ownText(side.contact, earlier?.contact),
    flow: ownText(side.flow, earlier?.flow),
    instanceId: ownText(side.instanceId, earlier?.instanceId),
    cSeq: side.cSeq,
    version: side.version,
  };
  const { name, routes } = side;
  if (name === undefined && routes === undefined) return own;
  return {
    ...own,
    ...(name === undefined ? {} : { name: ownText(name, earlier?.name) }),
    ...(routes === undefined ? {} : { routes: routes.map((route, index) => ownText(route, earlier?.routes?.[index])) }),
  };
}
