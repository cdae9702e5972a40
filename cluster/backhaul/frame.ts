import { frameOctetsMax } from "../limits.ts";
import { messageOctetsMax } from "../../sip/limits.ts";
import { octetsOf, stringOf } from "../../sip/message/octets.ts";
import { protocolVersion } from "../protocol-version.ts";

/**
 * Frames: what travels on a backhaul, and between a line and an exchange. One frame carries many records; one codec serves gateway, line
 * and exchange. Layout, big-endian:
 *
 *     u8 version (protocol-version.ts) | u32 seq | u32 ack | records...
 *     record: u8 kind | u8 key length | key | u32 octets length | octets
 *
 * `seq` numbers the frames of one direction of one backhaul from 1. 0 is an acknowledgement only, never itself acknowledged. `ack` is cumulative:
 * every frame of the other direction up to it has been processed.
 */

/**
 * What a record says. Access to exchange: hello, message, undeliverable, closed, resolved, takeover, kept. Exchange to access: send, resolve,
 * closeFlow, serving, kept.
 */
export const RecordKind = {
  /** key: access name; octets: JSON {@link Hello}. First record of a backhaul. */
  hello: 1,
  /** key: flow key; octets: one SIP message as it arrived. */
  message: 2,
  /** key: flow key; octets: the SIP message that could not be delivered there. */
  undeliverable: 3,
  /** key: flow key of a connection that is gone. */
  closed: 4,
  /** key: id of the question; octets: JSON array of flow keys to try in order, empty when the name has no address (RFC 3263). */
  resolved: 5,
  /**
   * key: empty. The access has lost the other replica and speaks to this one from now on. What that one had in progress for this access is to be
   * taken over. Before any other record after the change.
   */
  takeover: 6,
  /** key: flow key; octets: one SIP message to write there. */
  send: 16,
  /** key: id of the question; octets: the URI of the next hop as text. */
  resolve: 17,
  /** key: flow key of a connection to close. */
  closeFlow: 18,
  /**
   * key: `1` when this replica serves, `0` while it is not to be given anything new. First record after the hello, and again whenever
   * it changes.
   */
  serving: 19,
  /**
   * Between an exchange and the lines of its cell. How much of what the line has said would survive the end of the exchange's process: see kept.ts. From a
   * line, without a key, it is the question.
   */
  kept: 20,
} as const;

export type RecordKind = (typeof RecordKind)[keyof typeof RecordKind];

export type FrameRecord = { readonly kind: number; readonly key: string; readonly octets: Uint8Array };

export type Frame = { readonly seq: number; readonly ack: number; readonly records: readonly FrameRecord[] };

/** First record of a backhaul: who calls, since when (a new boot means that its connections are gone), and where it listens. */
export type Hello = {
  readonly boot: string;
  readonly listeners: readonly { readonly transport: string; readonly host: string; readonly port: number }[];
};

export type FrameError = { readonly frameError: string };

const headerOctets = 9;
const noOctets = new Uint8Array(0);

/** Size on the wire of a record with this key and these octets. */
export function recordOctets(key: string, octets: Uint8Array): number {
  return 6 + key.length + octets.length;
}

/** Encodes one frame. Keys are ASCII of at most 255 octets; a longer one is a broken invariant and throws. */
export function encodeFrame(seq: number, ack: number, records: readonly FrameRecord[]): Uint8Array {
  let length = headerOctets;
  for (const record of records) length += recordOctets(record.key, record.octets);
  const out = new Uint8Array(length);
  const view = new DataView(out.buffer);
  out[0] = protocolVersion;
  view.setUint32(1, seq);
  view.setUint32(5, ack);
  let at = headerOctets;
  for (const record of records) {
    const { key, octets } = record;
    if (key.length > 255) throw new RangeError("frame record key longer than 255 octets");
    out[at] = record.kind;
    out[at + 1] = key.length;
    at += 2;
    for (let index = 0; index < key.length; index += 1) out[at + index] = key.charCodeAt(index);
    at += key.length;
    view.setUint32(at, octets.length);
    out.set(octets, at + 4);
    at += 4 + octets.length;
  }
  return out;
}

/** Decodes one frame; the records' octets are views into it. Anything that {@link encodeFrame} cannot have made is an error. */
export function decodeFrame(octets: Uint8Array): Frame | FrameError {
  if (octets.length < headerOctets) return { frameError: "shorter than its header" };
  if (octets.length > frameOctetsMax) return { frameError: `longer than ${frameOctetsMax} octets` };
  if (octets[0] !== protocolVersion)
    return { frameError: `it has version ${octets[0]} of the protocol, this is version ${protocolVersion}` };
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength);
  const records: FrameRecord[] = [];
  let at = headerOctets;
  while (at < octets.length) {
    if (at + 6 > octets.length) return { frameError: "record header cut off" };
    const kind = octets[at] ?? 0;
    const keyLength = octets[at + 1] ?? 0;
    const keyStart = at + 2;
    if (keyStart + keyLength + 4 > octets.length) return { frameError: "record key cut off" };
    const octetsStart = keyStart + keyLength + 4;
    const octetsLength = view.getUint32(keyStart + keyLength);
    if (octetsLength > messageOctetsMax) return { frameError: `record longer than ${messageOctetsMax} octets` };
    if (octetsStart + octetsLength > octets.length) return { frameError: "record octets cut off" };
    records.push({
      kind,
      key: stringOf(octets, keyStart, keyStart + keyLength),
      octets: octetsLength === 0 ? noOctets : octets.subarray(octetsStart, octetsStart + octetsLength),
    });
    at = octetsStart + octetsLength;
  }
  return { seq: view.getUint32(1), ack: view.getUint32(5), records };
}

export function isFrameError(value: Frame | FrameError): value is FrameError {
  return "frameError" in value;
}

/** JSON as record octets (ASCII: everything else is escaped). */
export function jsonOctets(value: unknown): Uint8Array {
  const text = JSON.stringify(value).replace(/[\u0080-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return octetsOf(text);
}

/** The inverse of {@link jsonOctets}; undefined when it is not JSON. The caller checks the shape. */
export function parseJsonOctets(octets: Uint8Array): unknown {
  try {
    return JSON.parse(stringOf(octets));
  } catch {
    return undefined;
  }
}
