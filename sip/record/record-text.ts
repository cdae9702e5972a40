import { isParseError, parseError, type ParseError } from "../errors.ts";
import { recordOctetsMax } from "../limits.ts";
import { Specimen } from "../specimen.ts";
import { isFields, isSequence, isText, isTexts, isTime, type Fields } from "./fields.ts";
import { oneForEachKind, kinds, namedKinds } from "./record-kinds.ts";
import type { LiveRecord, StateRecord, Tombstone } from "./state-record.ts";
import { unreadOf } from "./unread-record.ts";
import type { RecordKind } from "./values.ts";
import { isVersion, type Version } from "./version.ts";

/**
 * Records as text: JSON, the same for the peer and the disk. Fields may be added later: unknown ones are ignored, and a missing one of
 * those added after the first release must get its default here.
 */

/** What this release cannot read is said as it came. */
export function serializeRecord(record: StateRecord): string {
  return record.kind === "unread" && record.value !== undefined ? record.value.text : JSON.stringify(record);
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

const specimens = { live: oneForEachKind(() => new Specimen()), tombstone: oneForEachKind(() => new Specimen()) };

/** As {@link recordOf}, and records of kinds that are not known. */
export function anyRecordOf(json: unknown): StateRecord | ParseError {
  const record = recordOf(json);
  if (!isParseError(record) || record.error !== "record-kind" || !isFields(json)) return record;
  return unreadOf(json) ?? record;
}

/** A record from parsed JSON, its shape checked; fields that do not belong to it are dropped. */
export function recordOf(json: unknown): StateRecord | ParseError {
  if (!isFields(json)) return parseError("record", 400, "Not a Record");
  const kind = namedKinds.find((each) => each === json["kind"]);
  const key = json["key"];
  const version = json["version"];
  if (kind === undefined) return parseError("record-kind", 400, "Unknown Kind of Record");
  if (!isText(key) || key === "") return parseError("record-key", 400, "Malformed Key of a Record");
  if (!isText(version) || !isVersion(version)) return parseError("record-version", 400, "Malformed Version of a Record");
  const isLive = "value" in json;
  specimens[isLive ? "live" : "tombstone"][kind].keep(json);
  const record = isLive ? liveOf(kind, key, version, json["value"]) : tombstoneOf(kind, key, version, json);
  return record ?? parseError("record-value", 400, `Malformed ${kind} Record`);
}

function tombstoneOf(kind: RecordKind, key: string, version: Version, json: Fields): Tombstone | undefined {
  const until = json["until"];
  const callId = json["callId"];
  const cSeq = json["cSeq"];
  if (!isTime(until) || !isText(callId) || !isSequence(cSeq)) return undefined;
  const tombstone = { kind, key, version, value: undefined, until, callId, cSeq } satisfies Tombstone;
  if (json["isLost"] !== true) return tombstone;
  const formerFlows = json["formerFlows"];
  return { ...tombstone, isLost: true, ...(isTexts(formerFlows) ? { formerFlows } : {}) };
}

function liveOf(kind: RecordKind, key: string, version: Version, json: unknown): LiveRecord | undefined {
  const value = isFields(json) ? kinds[kind].read(json) : undefined;
  // A definition reads values of its kind only.
  return value && ({ kind, key, version, value } as LiveRecord);
}
