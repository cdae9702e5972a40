import { isParseError } from "../../sip/errors.ts";
import { Header } from "../../sip/message/header-names.ts";
import { parseMessage } from "../../sip/message/sip-message.ts";
import type { StateRecord } from "../../sip/record/state-record.ts";
import { decodeFrame, isFrameError, RecordKind, type FrameRecord } from "../../cluster/backhaul/frame.ts";
import { parseBatch } from "../../cluster/replication/peer-batch.ts";

/** A frame for people. */
export function describeFrame(octets: Uint8Array): string {
  const frame = decodeFrame(octets);
  if (isFrameError(frame)) return frame.frameError;
  return frame.records.length === 0 ? `acknowledges ${frame.ack}` : frame.records.map(describe).join(", ");
}

/** A batch of a peer for people. */
export function describeBatch(text: string): string {
  const batch = parseBatch(text);
  return isParseError(batch) ? batch.reason : batch.records.map(describeRecord).join(", ");
}

function describe({ kind, key, octets }: FrameRecord): string {
  const name = Object.entries(RecordKind).find(([, value]) => value === kind)?.[0] ?? "?";
  const message = octets.length > 0 ? parseMessage(octets) : undefined;
  if (message === undefined || isParseError(message)) return `${name} ${key}`;
  const what = message.isRequest ? message.method : `${message.status} to ${message.text(Header.CSeq) ?? ""}`;
  return `${name} ${key}: ${what} of ${message.callId}`;
}

function describeRecord({ kind, key, version, value }: StateRecord): string {
  return `${value === undefined ? "end of " : ""}${kind} ${key} (${version})`;
}
