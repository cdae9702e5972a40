import { callTombstoneMs, dialogUnacknowledgedMs } from "../limits.ts";
import { alive, heldAt, isFields, isList, isNumber, isOptionalText, isText, isTexts, isTime, trimmed } from "./fields.ts";
import type { Fields, List } from "./fields.ts";
import { asItCame, mergeCall, type KindDefinition } from "./kind-definition.ts";
import { ownText } from "./own-texts.ts";
import type { LiveRecord } from "./state-record.ts";
import type { Dialog, DialogSide } from "./values.ts";
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
    const joined = joinDialogs(present, record);
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
  const { callId, state, createdAt, expiresAt, source } = value;
  const caller = listOfSide(value.caller, version);
  const callee = listOfSide(value.callee, version);
  const list = [kind, key, version, expiresAt, alive, callId, state, createdAt, caller, callee];
  if (source !== undefined) list.push(source);
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

function fieldsOfDialog(list: List, version: Version): Fields {
  return {
    callId: list[5],
    caller: fieldsOfSide(list[8], version),
    callee: fieldsOfSide(list[9], version),
    state: list[6],
    createdAt: list[7],
    expiresAt: list[3],
    source: heldAt(list, 10),
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
  const { source } = json;
  if (source !== undefined && isText(source)) return { callId, caller, callee, state, createdAt, expiresAt, source };
  return { callId, caller, callee, state, createdAt, expiresAt };
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

/** Both sides' later halves, the later state and the later end. Returns `first` itself when the second adds nothing. */
function joinDialogs(first: LiveRecord<"dialog">, second: LiveRecord<"dialog">): LiveRecord<"dialog"> {
  const caller = laterSide(first.value.caller, second.value.caller);
  const callee = laterSide(first.value.callee, second.value.callee);
  const state = first.value.state === "confirmed" ? first.value.state : second.value.state;
  const createdAt = Math.min(first.value.createdAt, second.value.createdAt);
  const version = laterVersion(first.version, second.version);
  const expiresAt = laterExpiry(first, second);
  const source = laterSource(first.value.source, second.value.source);
  const isFirst =
    source === first.value.source &&
    caller === first.value.caller &&
    callee === first.value.callee &&
    state === first.value.state &&
    createdAt === first.value.createdAt &&
    expiresAt === first.value.expiresAt &&
    version === first.version;
  if (isFirst) return first;
  const value: Dialog = { callId: first.value.callId, caller, callee, state, createdAt, expiresAt };
  if (source !== undefined) return { kind: "dialog", key: first.key, version, value: { ...value, source } };
  return { kind: "dialog", key: first.key, version, value };
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
  const own: Dialog = {
    callId: ownText(dialog.callId, earlier?.callId),
    caller: ownSide(dialog.caller, earlier?.caller),
    callee: ownSide(dialog.callee, earlier?.callee),
    state: dialog.state,
    createdAt: dialog.createdAt,
    expiresAt: dialog.expiresAt,
  };
  const { source } = dialog;
  return source === undefined ? own : { ...own, source: ownText(source, earlier?.source) };
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
