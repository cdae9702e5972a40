import { isParseError, parseError, type ParseError } from "../../sip/errors.ts";
import { peerBatchOctetsMax } from "../limits.ts";
import { memoryOf, type Memory } from "../../sip/record/memory.ts";
import { anyRecordOf } from "../../sip/record/record-text.ts";
import type { StateRecord } from "../../sip/record/state-record.ts";

/**
 * What travels between the two replicas of an exchange, as JSON text: batches of records, each with an answer. Sequence numbers are those of
 * the sender's record store, and mean nothing without its boot: the random name of one start of one replica.
 */
export type PeerBatch = BatchHeader & {
  readonly records: readonly StateRecord[];
  /** Texts that are no records: they are left out, the others count. Records of kinds that are not known are among the others. */
  readonly unreadable: number;
};

export type BatchHeader = {
  readonly cell: string;
  readonly boot: string;
  /** The start of the receiver that this is for; empty: not known, the batch only asks. */
  readonly peerBoot: string;
  /** The batch goes on where the receiver was at this sequence number, ... */
  readonly after: number;
  /** ... and holds everything up to this one that the receiver did not tell itself. */
  readonly sequence: number;
  /** With this batch the receiver has all that there is. */
  readonly isComplete: boolean;
  /** How far the sender's memory goes back, until the receiver has all of it for the first time. Absent: nothing new. */
  readonly memory?: Memory;
};

export type PeerAnswer = {
  readonly boot: string;
  /** The sequence number up to which the answering replica has everything of the asking one's boot. */
  readonly received: number;
  /** Where the asking replica is when it has everything that the answering one has for it at this moment; 0: it has it. */
  readonly ahead: number;
  /** The answering replica knows another start of the asking one, and took nothing: it will ask. */
  readonly isUnknown?: boolean;
};

/** A batch as text; the records are text already (serializeRecord), so that their size could be looked at. */
export function serializeBatch(header: BatchHeader, records: readonly string[]): string {
  const text = JSON.stringify(header);
  return `${text.slice(0, -1)},"records":[${records.join(",")}]}`;
}

/** The inverse of {@link serializeBatch}; anything else is an error value (`peer-...`), never an exception. */
export function parseBatch(text: string): PeerBatch | ParseError {
  if (text.length > peerBatchOctetsMax) return parseError("peer-max", 413, "Batch Too Large", peerBatchOctetsMax);
  const json = parseJson(text);
  if (json === undefined) return parseError("peer-json", 400, "Malformed JSON");
  const { cell, boot, peerBoot, after, sequence, isComplete, records: list } = json;
  if (!isName(cell) || cell === "" || !isName(boot) || boot === "" || !isName(peerBoot))
    return parseError("peer-boot", 400, "Malformed Boot");
  if (!isSequence(after) || !isSequence(sequence) || sequence < after) return parseError("peer-sequence", 400, "Malformed Sequence");
  if (typeof isComplete !== "boolean" || !Array.isArray(list)) return parseError("peer-batch", 400, "Malformed Batch");
  const records: StateRecord[] = [];
  for (const each of list) {
    const record = anyRecordOf(each);
    if (!isParseError(record)) records.push(record);
  }
  const memory = memoryOf(json["memory"]);
  const batch = { cell, boot, peerBoot, after, sequence, isComplete, records, unreadable: list.length - records.length };
  return memory === undefined ? batch : { ...batch, memory };
}

export function serializeAnswer(answer: PeerAnswer): string {
  return JSON.stringify(answer);
}

/** The inverse of {@link serializeAnswer}. */
export function parseAnswer(text: string): PeerAnswer | ParseError {
  const json = parseJson(text);
  if (json === undefined) return parseError("peer-json", 400, "Malformed JSON");
  const { boot, received, ahead, isUnknown } = json;
  if (!isName(boot) || boot === "" || !isSequence(received) || !isSequence(ahead))
    return parseError("peer-answer", 400, "Malformed Answer");
  return isUnknown === true ? { boot, received, ahead, isUnknown } : { boot, received, ahead };
}

type Fields = Readonly<Record<string, unknown>>;

function parseJson(text: string): Fields | undefined {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === "object" && json !== null && !Array.isArray(json) ? (json as Fields) : undefined;
  } catch {
    return undefined;
  }
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value.length <= 64;
}

function isSequence(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}
