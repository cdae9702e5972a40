import { isParseError, parseError, type ParseError } from "../errors.ts";
import { recordOctetsMax } from "../limits.ts";
import { alive, isFields, isList, isSequence, isText, isTexts, isTime, type Fields, type List } from "./fields.ts";
import { kinds, namedKinds } from "./record-kinds.ts";
import type { LiveRecord, StateRecord, Tombstone } from "./state-record.ts";
import { unreadOf } from "./unread-record.ts";
import type { RecordKind } from "./values.ts";
import { isVersion, type Version } from "./version.ts";

/**
 * Records as text: a list of JSON, the same for the peer and the disk. Names of fields are left out, for they were most of the text: what a place
 * holds is fixed. `[kind, key, version, endsAt, state, ...]` is the beginning of all. What follows is the kind's own, and ends where only usual
 * values would follow. A later release may add places at the end. One that it adds is dropped here, and one that is missing gets its default.
 *
 * - `state` 0: the record holds something. `endsAt` is its `expiresAt`, or null.
 * - `state` 1: it is a tombstone. `endsAt` is its `until`, and Call-ID and CSeq follow. 2: the same, of a connection that was lost.
 *
 * Until 30 November 2026 a record was an object with its fields by name. Disks have those still; they are read, and not written.
 */

/** In place of {@link alive}: a tombstone. */
const over = 1;
const lost = 2;

/** What this release cannot read is said as it came. */
export function serializeRecord(record: StateRecord): string {
  if (record.value !== undefined) return kinds[record.kind].textOf(record);
  const { kind, key, version, until, callId, cSeq, isLost, formerFlows } = record;
  if (isLost !== true) return JSON.stringify([kind, key, version, until, over, callId, cSeq]);
  const list = [kind, key, version, until, lost, callId, cSeq];
  return JSON.stringify(formerFlows === undefined ? list : [...list, formerFlows]);
}

/** A record that another release may have written: one of a kind that is not known here is carried (unread-record.ts). */
export function parseAnyRecord(text: string): StateRecord | ParseError {
  if (text.length > recordOctetsMax) return parseError("record-max", 413, "Record Too Large", recordOctetsMax);
  const json = parseJson(text);
  return isParseError(json) ? json : anyRecordOf(json);
}

/** The inverse of {@link serializeRecord}, of the kinds that are known. What is no record is an error value (`record-...`), never an exception. */
export function parseRecord(text: string): StateRecord | ParseError {
  if (text.length > recordOctetsMax) return parseError("record-max", 413, "Record Too Large", recordOctetsMax);
  const json = parseJson(text);
  return isParseError(json) ? json : recordOf(json);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return parseError("record-json", 400, "Malformed JSON");
  }
}

/** As {@link recordOf}, and records of kinds that are not known. */
export function anyRecordOf(json: unknown): StateRecord | ParseError {
  const record = recordOf(json);
  if (!isParseError(record) || record.error !== "record-kind" || !(isList(json) || isFields(json))) return record;
  return unreadOf(json) ?? record;
}

/** A record from parsed JSON, its shape checked; what does not belong to it is dropped. */
export function recordOf(json: unknown): StateRecord | ParseError {
  if (isList(json)) return recordOfList(json);
  if (!isFields(json)) return parseError("record", 400, "Not a Record");
  const head = headOf(json["kind"], json["key"], json["version"]);
  if (isParseError(head)) return head;
  const record = "value" in json ? liveOf(head, json["value"]) : tombstoneOf(head, json, json["isLost"] === true);
  return record ?? malformed(head);
}

function recordOfList(list: List): StateRecord | ParseError {
  const head = headOf(list[0], list[1], list[2]);
  if (isParseError(head)) return head;
  const state = list[4];
  if (state === alive) return liveOf(head, kinds[head.kind].fieldsOf(list, head.version)) ?? malformed(head);
  if (state !== over && state !== lost) return malformed(head);
  const [, , , until, , callId, cSeq, formerFlows] = list;
  return tombstoneOf(head, { until, callId, cSeq, formerFlows }, state === lost) ?? malformed(head);
}

/** What all records begin with. */
type Head = { readonly kind: RecordKind; readonly key: string; readonly version: Version };

function headOf(name: unknown, key: unknown, version: unknown): Head | ParseError {
  const kind = namedKinds.find((each) => each === name);
  if (kind === undefined) return parseError("record-kind", 400, "Unknown Kind of Record");
  if (!isText(key) || key === "") return parseError("record-key", 400, "Malformed Key of a Record");
  if (!isText(version) || !isVersion(version)) return parseError("record-version", 400, "Malformed Version of a Record");
  return { kind, key, version };
}

function malformed({ kind }: Head): ParseError {
  return parseError("record-value", 400, `Malformed ${kind} Record`);
}

function tombstoneOf({ kind, key, version }: Head, json: Fields, isLost: boolean): Tombstone | undefined {
  const { until, callId, cSeq, formerFlows } = json;
  if (!isTime(until) || !isText(callId) || !isSequence(cSeq)) return undefined;
  const tombstone = { kind, key, version, value: undefined, until, callId, cSeq } satisfies Tombstone;
  if (!isLost) return tombstone;
  return { ...tombstone, isLost: true, ...(isTexts(formerFlows) ? { formerFlows } : {}) };
}

function liveOf({ kind, key, version }: Head, json: unknown): LiveRecord | undefined {
  const value = isFields(json) ? kinds[kind].read(json) : undefined;
  // A definition reads values of its kind only.
  return value && ({ kind, key, version, value } as LiveRecord);
}
