import { datagramsUnderWayMax } from "../limits.ts";
import { isReliable, transportOfFlowKey } from "../../sip/flow/flow.ts";
import { RecordKind, type FrameRecord } from "./frame.ts";

type Entry = { readonly record: FrameRecord; readonly mark: number };

/**
 * Datagrams that are on their way to a replica that is late. Who waits for an answer says his again (RFC 3261 17.1.1.2, 17.1.2.2), and each copy
 * would make the replica later still. The replica learns nothing from them before it has read the first. A copy that comes when that has been read
 * passes.
 */
export class UnderWay {
  #entries = new Map<number, Entry>();

  /** Whether the same datagram is on its way. `settled`: how many records of the backhaul are off its hands. */
  has(record: FrameRecord, settled: number): boolean {
    const entry = this.#entries.get(hashOf(record));
    return entry !== undefined && entry.mark > settled && isSameRecord(entry.record, record);
  }

  /** It has been given to the backhaul, as the `mark`th of its records. */
  add(record: FrameRecord, mark: number, settled: number): void {
    if (this.#entries.size >= datagramsUnderWayMax) {
      for (const [hash, entry] of this.#entries) if (entry.mark <= settled) this.#entries.delete(hash);
      // None more is remembered: copies pass then.
      if (this.#entries.size >= datagramsUnderWayMax) return;
    }
    this.#entries.set(hashOf(record), { record, mark });
  }
}

export function isDatagram({ kind, key }: FrameRecord): boolean {
  return kind === RecordKind.message && !isReliable(transportOfFlowKey(key) ?? "TCP");
}

export function isSameRecord(one: FrameRecord, other: FrameRecord): boolean {
  return one.kind === other.kind && one.key === other.key && isSame(one.octets, other.octets);
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  if (one.length !== other.length) return false;
  // From the beginning: Via and Call-ID differ there, where bodies are often alike.
  for (let at = 0; at < one.length; at += 1) if (one[at] !== other[at]) return false;
  return true;
}

/** FNV-1a of the beginning, where start line and topmost Via are. */
function hashOf({ octets }: FrameRecord): number {
  let hash = 0x811c9dc5 ^ octets.length;
  const end = Math.min(octets.length, hashedOctets);
  for (let at = 0; at < end; at += 1) hash = Math.imul(hash ^ (octets[at] ?? 0), 0x01000193);
  return hash;
}

const hashedOctets = 512;
