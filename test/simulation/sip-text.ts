import { Header } from "../../sip/message/header-names.ts";
import { octetsOf, stringOf } from "../../sip/message/octets.ts";
import { isParseError } from "../../sip/errors.ts";
import { parseMessage, type SipMessage } from "../../sip/message/sip-message.ts";
import type { StateRecord } from "../../sip/record/state-record.ts";
import { decodeFrame, isFrameError, RecordKind, type FrameRecord } from "../../cluster/backhaul/frame.ts";
import { parseBatch } from "../../cluster/replication/peer-batch.ts";

export type Line = readonly [name: string, value: string];

/** A request as octets: in the order given, the length at the end. */
export function requestOf(method: string, uri: string, lines: readonly Line[], body = ""): Uint8Array {
  let text = `${method} ${uri} SIP/2.0\r\n`;
  for (const [name, value] of lines) text += `${name}: ${value}\r\n`;
  return octetsOf(`${text}Content-Length: ${body.length}\r\n\r\n${body}`);
}

/** RFC 3261 8.2.6: a response, with what it copies from the request. */
export function responseTo(request: SipMessage, status: number, tag: string, lines: readonly Line[] = []): Uint8Array {
  let text = `SIP/2.0 ${status} As Planned\r\n`;
  const head = stringOf(request.octets, request.start, request.bodyStart).split("\r\n");
  for (const line of head.slice(1)) {
    if (/^To:/i.test(line)) text += line.includes(";tag=") || status === 100 ? `${line}\r\n` : `${line};tag=${tag}\r\n`;
    else if (/^(?:Via|From|Call-ID|CSeq|Record-Route):/i.test(line)) text += `${line}\r\n`;
  }
  for (const [name, value] of lines) text += `${name}: ${value}\r\n`;
  return octetsOf(`${text}Content-Length: 0\r\n\r\n`);
}

export function branchOf(message: SipMessage): string {
  return /;branch=([^;,\s]+)/.exec(message.text(Header.Via) ?? "")?.[1] ?? "";
}

export function cSeqOf(message: SipMessage): { readonly number: number; readonly method: string } {
  const [number = "0", method = ""] = (message.text(Header.CSeq) ?? "").split(" ");
  return { number: Number(number), method };
}

/** The URI in angle brackets. */
export function uriOf(value: string): string {
  return /<([^>]*)>/.exec(value)?.[1] ?? value;
}

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
