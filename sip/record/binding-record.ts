import { bindingTombstoneMs, callIdsPerBindingMax } from "../limits.ts";
import { alive, heldAt, isNumber, isOptionalText, isSequence, isText, isTexts, isTime, trimmed, type Fields, type List } from "./fields.ts";
import { needsRowOfItsVersion, type Held, type KindDefinition } from "./kind-definition.ts";
import { ownText, type SharedTexts } from "./own-texts.ts";
import type { BindingRecord, LiveRecord, StateRecord } from "./state-record.ts";
import type { Binding } from "./values.ts";
import { compareVersions } from "./version.ts";

/**
 * Where a phone can be reached. Every refresh has a row: one that is behind either forgets a phone too early or calls one that has gone
 * (docs/decisions/0016-expiries-are-exact.md).
 */
export const bindingKind: KindDefinition<"binding"> = {
  tombstoneMs: bindingTombstoneMs,
  isOfCall: false,
  hasRowsWithPeer: true,
  textOf: textOfBinding,
  fieldsOf: fieldsOfBinding,
  read: bindingOf,
  merge: (held, record) => (held.record.kind === "binding" ? mergeBinding(held, held.record, record) : held),
  needsRow: needsRowOfItsVersion,
  forgottenAt: ({ value }) => value.expiresAt + bindingTombstoneMs,
  own: ownBinding,
  sharing: (value, shared) => ({ ...value, transport: shared.of(value.transport), userAgent: shared.of(value.userAgent) }),
};

/** Its key by RFC 5626: one flow of one instance. */
export function outboundBindingKey(addressOfRecord: string, instanceId: string, regId: number): string {
  return [addressOfRecord, " ", String(regId), " ", instanceId].join("");
}

/** Its key by RFC 3261: its contact, spelled so that the usual variants of one URI are one text. */
export function contactBindingKey(addressOfRecord: string, canonicalContact: string): string {
  return [addressOfRecord, " ", canonicalContact].join("");
}

export function addressOfRecordOfBindingKey(key: string): string {
  const end = key.indexOf(" ");
  return end < 0 ? key : key.slice(0, end);
}

/** Call-ID and CSeq that order the records of one binding. */
export function orderOf(record: BindingRecord): { readonly callId: string; readonly cSeq: number } {
  return record.value ?? record;
}

/** Whether a binding ends earlier than its row says. Nobody is told of a connection that was lost. */
export function endsEarlier(record: BindingRecord, onDisk: StateRecord | undefined): boolean {
  if (onDisk?.kind !== "binding" || onDisk.value === undefined) return false;
  return record.value === undefined ? record.isLost !== true : record.value.expiresAt < onDisk.value.expiresAt;
}

const none: readonly BindingRecord[] = [];

/** What most bindings have stands first, and what few have is left out with the rest. */
function textOfBinding({ kind, key, version, value }: LiveRecord<"binding">): string {
  const { expiresAt, contact, callId, cSeq, registeredAt, flow, transport, received, userAgent } = value;
  const { parameters, instanceId, regId, q, path, formerFlows, provenAt, cameOn } = value;
  const addressOfRecord = value.addressOfRecord === addressOfRecordOfBindingKey(key) ? undefined : value.addressOfRecord;
  const list = [kind, key, version, expiresAt, alive, contact, callId, cSeq, registeredAt, flow, transport, received, userAgent];
  const isUsual =
    parameters === "" &&
    instanceId === "" &&
    regId === 0 &&
    q === undefined &&
    path.length === 0 &&
    (formerFlows ?? provenAt ?? addressOfRecord ?? cameOn) === undefined;
  if (isUsual) return JSON.stringify(list);
  const rest = [parameters, instanceId, regId, q, path.length === 0 ? undefined : path, formerFlows, provenAt, addressOfRecord, cameOn];
  return JSON.stringify([...list, ...trimmed(rest)]);
}

function fieldsOfBinding(list: List): Fields {
  const key = list[1];
  return {
    addressOfRecord: heldAt(list, 20) ?? (isText(key) ? addressOfRecordOfBindingKey(key) : undefined),
    contact: list[5],
    parameters: heldAt(list, 13) ?? "",
    q: heldAt(list, 16),
    callId: list[6],
    cSeq: list[7],
    registeredAt: list[8],
    expiresAt: list[3],
    instanceId: heldAt(list, 14) ?? "",
    regId: heldAt(list, 15) ?? 0,
    flow: list[9],
    formerFlows: heldAt(list, 18),
    transport: list[10],
    received: list[11],
    userAgent: list[12],
    path: heldAt(list, 17) ?? noPath,
    provenAt: heldAt(list, 19),
    cameOn: heldAt(list, 21),
  };
}

function bindingOf(json: Fields): Binding | undefined {
  const { addressOfRecord, contact, parameters, q, callId, cSeq, registeredAt, expiresAt } = json;
  const { instanceId, regId, flow, formerFlows, transport, received, userAgent, path, provenAt, cameOn } = json;
  if (!isText(addressOfRecord) || !isText(contact) || !isText(parameters) || !isText(callId)) return undefined;
  if (!(q === undefined || (isNumber(q) && q >= 0 && q <= 1))) return undefined;
  if (!isSequence(cSeq) || !isTime(registeredAt) || !isTime(expiresAt) || !isSequence(regId)) return undefined;
  if (!isText(instanceId) || !isText(flow) || !isText(transport) || !isText(received) || !isText(userAgent)) return undefined;
  if (!Array.isArray(path) || !path.every(isText) || !isOptionalText(provenAt) || !isOptionalText(cameOn)) return undefined;
  const binding: Binding = {
    addressOfRecord,
    contact,
    parameters,
    q,
    callId,
    cSeq,
    registeredAt,
    expiresAt,
    instanceId,
    regId,
    flow,
    transport,
    received,
    userAgent,
    path: path.length === 0 ? noPath : path,
  };
  if (provenAt === undefined && cameOn === undefined) return isTexts(formerFlows) ? { ...binding, formerFlows } : binding;
  return {
    ...binding,
    ...(isTexts(formerFlows) ? { formerFlows } : {}),
    ...(provenAt === undefined ? {} : { provenAt }),
    ...(cameOn === undefined ? {} : { cameOn }),
  };
}

/** One empty list for all bindings without a path. */
export const noPath: readonly string[] = [];

/**
 * RFC 3261 10.3: within a Call-ID the higher CSeq wins, whatever the versions say; between Call-IDs, and within one CSeq, the later
 * version.
 *
 * Keeping only the winner would make the outcome depend on the order of arrival. X/5 at version 1, Y/1 at version 2, X/4 at version 3 beat each other
 * in a circle. So the latest record of each Call-ID is kept, and the one with the latest version of these counts. In normal operation there is one. A
 * phone that starts again has a new Call-ID, and the old one is swept when its phone could not matter any more.
 */
function mergeBinding(held: Held, present: BindingRecord, record: BindingRecord): Held {
  const { callId } = orderOf(record);
  if (orderOf(present).callId === callId) {
    if (compareWithinCallId(record, present) <= 0) return held;
    return held.others.length === 0 ? { record, others: none } : electBinding([record, ...held.others]);
  }
  const all: BindingRecord[] = [present];
  let isKnown = false;
  for (const other of held.others) {
    if (orderOf(other).callId !== callId) {
      all.push(other);
      continue;
    }
    if (compareWithinCallId(record, other) <= 0) return held;
    isKnown = true;
    all.push(record);
  }
  if (!isKnown) all.push(record);
  const elected = electBinding(all);
  return elected.record === present && isSameSet(elected.others, held.others) ? held : elected;
}

function compareWithinCallId(first: BindingRecord, second: BindingRecord): number {
  const bySequence = orderOf(first).cSeq - orderOf(second).cSeq;
  if (bySequence !== 0) return bySequence;
  return compareVersions(first.version, second.version);
}

/** The latest version first, the others behind it; beyond {@link callIdsPerBindingMax} the earliest are forgotten. */
function electBinding(records: BindingRecord[]): Held {
  records.sort((first, second) => compareVersions(second.version, first.version));
  const [record, ...others] = records;
  if (record === undefined) throw new RangeError("nothing to elect from");
  return { record, others: others.slice(0, callIdsPerBindingMax - 1) };
}

function isSameSet(first: readonly BindingRecord[], second: readonly BindingRecord[]): boolean {
  return first.length === second.length && first.every((record, index) => record === second[index]);
}

function ownBinding(binding: Binding, earlier: Binding | undefined, shared: SharedTexts): Binding {
  const own: Binding = {
    addressOfRecord: ownText(binding.addressOfRecord, earlier?.addressOfRecord),
    contact: ownText(binding.contact, earlier?.contact),
    parameters: ownText(binding.parameters, earlier?.parameters),
    q: binding.q,
    callId: ownText(binding.callId, earlier?.callId),
    cSeq: binding.cSeq,
    registeredAt: binding.registeredAt,
    expiresAt: binding.expiresAt,
    instanceId: ownText(binding.instanceId, earlier?.instanceId),
    regId: binding.regId,
    flow: ownText(binding.flow, earlier?.flow),
    transport: shared.of(binding.transport),
    received: ownText(binding.received, earlier?.received),
    userAgent: shared.of(binding.userAgent),
    path: binding.path.length === 0 ? noPath : binding.path.map((route, index) => ownText(route, earlier?.path[index])),
  };
  const { formerFlows, provenAt, cameOn } = binding;
  if (formerFlows === undefined && provenAt === undefined && cameOn === undefined) return own;
  return {
    ...own,
    ...(formerFlows === undefined ? {} : { formerFlows: formerFlows.map((flow, index) => ownText(flow, earlier?.formerFlows?.[index])) }),
    ...(provenAt === undefined ? {} : { provenAt: ownText(provenAt, earlier?.provenAt) }),
    ...(cameOn === undefined ? {} : { cameOn: ownText(cameOn, earlier?.cameOn) }),
  };
}
