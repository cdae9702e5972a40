import { isParseError, parseError, type ParseError } from "../errors.ts";
import { recordOctetsMax } from "../limits.ts";
import { Specimen } from "../specimen.ts";
import type { LiveRecord, StateRecord, Tombstone } from "./state-record.ts";
import {
  recordKinds,
  type Binding,
  type Dialog,
  type DialogSide,
  type Invite,
  type InviteBranch,
  type InviteTarget,
  type RecordKind,
  type Subscriber,
} from "./values.ts";
import { isVersion, type Version } from "./version.ts";

/**
 * Records as text: JSON, the same for the pair and the disk. Fields may be added later: unknown ones are ignored, and a missing one of
 * those added after the first release must get its default here.
 */

export function serializeRecord(record: StateRecord): string {
  return JSON.stringify(record);
}

/** Several records as one text: `[record,record,...]`. */
export function serializeRecords(records: readonly StateRecord[]): string {
  return JSON.stringify(records);
}

/** The inverse of {@link serializeRecord}. What is no record is an error value (`record-...`), never an exception. */
export function parseRecord(text: string): StateRecord | ParseError {
  if (text.length > recordOctetsMax) return parseError("record-max", 413, "Record Too Large", recordOctetsMax);
  const json = parseJson(text);
  return isParseError(json) ? json : recordOf(json);
}

/** The inverse of {@link serializeRecords}; one bad record makes the whole batch an error: a pair that sends such has another fault. */
export function parseRecords(text: string): StateRecord[] | ParseError {
  const json = parseJson(text);
  if (isParseError(json)) return json;
  if (!Array.isArray(json)) return parseError("record-list", 400, "Not a List of Records");
  const records: StateRecord[] = [];
  for (const [index, each] of json.entries()) {
    const record = recordOf(each);
    if (isParseError(record)) return record.at(index);
    records.push(record);
  }
  return records;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return parseError("record-json", 400, "Malformed JSON");
  }
}

type Fields = Readonly<Record<string, unknown>>;
/** While it is made: fields that may be absent are added one by one, which costs less than spreading objects. */
type Writable<Value> = { -readonly [Key in keyof Value]: Value[Key] };

const specimens = {
  live: { subscriber: new Specimen(), binding: new Specimen(), invite: new Specimen(), dialog: new Specimen() },
  tombstone: { subscriber: new Specimen(), binding: new Specimen(), invite: new Specimen(), dialog: new Specimen() },
};

/** A record from parsed JSON, its shape checked; fields that do not belong to it are dropped. */
export function recordOf(json: unknown): StateRecord | ParseError {
  if (!isFields(json)) return parseError("record", 400, "Not a Record");
  const kind = recordKinds.find((each) => each === json["kind"]);
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
  if (!isFields(json)) return undefined;
  switch (kind) {
    case "subscriber": {
      const value = subscriberOf(json);
      return value && { kind, key, version, value };
    }
    case "binding": {
      const value = bindingOf(json);
      return value && { kind, key, version, value };
    }
    case "invite": {
      const value = inviteOf(json);
      return value && { kind, key, version, value };
    }
    case "dialog": {
      const value = dialogOf(json);
      return value && { kind, key, version, value };
    }
  }
  return kind satisfies never;
}

function subscriberOf(json: Fields): Subscriber | undefined {
  const { ha1Md5, ha1Sha256, ha1bMd5, ha1bSha256 } = json;
  if (!isText(ha1Md5) || !isText(ha1Sha256) || !isText(ha1bMd5) || !isText(ha1bSha256)) return undefined;
  return { ha1Md5, ha1Sha256, ha1bMd5, ha1bSha256 };
}

function bindingOf(json: Fields): Binding | undefined {
  const { addressOfRecord, contact, parameters, q, callId, cSeq, registeredAt, expiresAt } = json;
  const { instanceId, regId, flow, formerFlows, transport, received, userAgent, path, provenAt } = json;
  if (!isText(addressOfRecord) || !isText(contact) || !isText(parameters) || !isText(callId)) return undefined;
  if (!(q === undefined || (isNumber(q) && q >= 0 && q <= 1))) return undefined;
  if (!isSequence(cSeq) || !isTime(registeredAt) || !isTime(expiresAt) || !isSequence(regId)) return undefined;
  if (!isText(instanceId) || !isText(flow) || !isText(transport) || !isText(received) || !isText(userAgent)) return undefined;
  if (!Array.isArray(path) || !path.every(isText) || !isOptionalText(provenAt)) return undefined;
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
  if (provenAt === undefined) return isTexts(formerFlows) ? { ...binding, formerFlows } : binding;
  return { ...binding, ...(isTexts(formerFlows) ? { formerFlows } : {}), provenAt };
}

/** One empty list for all bindings without a path. */
export const noPath: readonly string[] = [];

function inviteOf(json: Fields): Invite | undefined {
  const { expiresAt, request, flow, responseFlow, lastStatus, lastResponse, recordRoute, attempts } = json;
  const { cancelled, cancelReasons, declined } = json;
  if (!isTime(expiresAt) || !isText(request) || !isText(flow) || !isText(responseFlow)) return undefined;
  if (!isSequence(lastStatus) || !isSequence(attempts) || !(lastResponse === undefined || isText(lastResponse))) return undefined;
  if (typeof recordRoute !== "boolean" || typeof cancelled !== "boolean" || typeof declined !== "boolean") return undefined;
  const waiting = listOf(json["waiting"], targetOf);
  const branches = listOf(json["branches"], branchOf);
  const challenges = listOf(json["challenges"], challengeOf);
  const best = json["best"] === undefined ? undefined : bestOf(json["best"]);
  if (waiting === undefined || branches === undefined || challenges === undefined || !isTexts(cancelReasons)) return undefined;
  if (best === undefined && json["best"] !== undefined) return undefined;
  const at = json["at"];
  if (!(at === undefined || isTime(at))) return undefined;
  const invite: Writable<Invite> = {
    expiresAt,
    request,
    flow,
    responseFlow,
    lastStatus,
    lastResponse,
    recordRoute,
    waiting,
    branches,
    attempts,
    best,
    challenges,
    cancelled,
    cancelReasons,
    declined,
  };
  if (at !== undefined) invite.at = at;
  return invite;
}

/** A list whose every element can be read. */
function listOf<Value>(json: unknown, read: (fields: Fields) => Value | undefined): Value[] | undefined {
  if (!Array.isArray(json)) return undefined;
  const values: Value[] = [];
  for (const each of json as readonly unknown[]) {
    const value = isFields(each) ? read(each) : undefined;
    if (value === undefined) return undefined;
    values.push(value);
  }
  return values;
}

function targetOf(json: Fields): InviteTarget | undefined {
  const { requestUri, routes, flow, nextHop, group, q, seek, bindingKey } = json;
  if (!isText(requestUri) || !isTexts(routes)) return undefined;
  if (!isOptionalText(flow) || !isOptionalText(nextHop) || !isOptionalText(group) || !isOptionalText(bindingKey)) return undefined;
  if (!(q === undefined || isNumber(q))) return undefined;
  if (!(seek === undefined || seek === "first" || seek === "onFailure" || seek === "registration")) return undefined;
  const target: Writable<InviteTarget> = { requestUri, routes };
  if (flow !== undefined) target.flow = flow;
  if (nextHop !== undefined) target.nextHop = nextHop;
  if (group !== undefined) target.group = group;
  if (q !== undefined) target.q = q;
  if (seek !== undefined) target.seek = seek;
  if (bindingKey !== undefined) target.bindingKey = bindingKey;
  return target;
}

function branchOf(json: Fields): InviteBranch | undefined {
  const { reference, branch, mark, flow, alternatives, cancelRequested } = json;
  const target = isFields(json["target"]) ? targetOf(json["target"]) : undefined;
  const state = branchStates.find((each) => each === json["state"]);
  if (target === undefined || state === undefined || !isText(reference) || !isText(branch) || !isText(flow)) return undefined;
  if (!isText(mark) || !isTexts(alternatives) || typeof cancelRequested !== "boolean") return undefined;
  const breadth = json["breadth"];
  if (!(breadth === undefined || isSequence(breadth))) return undefined;
  const isLost = json["isLost"] === true;
  const known: Writable<InviteBranch> = { target, state, reference, branch, mark, flow, alternatives, cancelRequested, isLost };
  if (breadth !== undefined) known.breadth = breadth;
  if (json["hasFound"] === true) known.hasFound = true;
  return known;
}

const branchStates = ["Resolving", "Calling", "Proceeding", "Cancelling", "Finished"] as const;

function challengeOf({ isProxy, value }: Fields): Invite["challenges"][number] | undefined {
  return typeof isProxy === "boolean" && isText(value) ? { isProxy, value } : undefined;
}

function bestOf(json: unknown): Invite["best"] {
  if (!isFields(json) || !isSequence(json["status"])) return undefined;
  const { status, octets } = json;
  return octets === undefined || isText(octets) ? { status, octets } : undefined;
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

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value.length <= recordOctetsMax;
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every(isText);
}

function isOptionalText(value: unknown): value is string | undefined {
  return value === undefined || isText(value);
}

function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

function isTime(value: unknown): value is number {
  return isNumber(value) && value >= 0;
}

/** A whole number from 0 on. */
function isSequence(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}
