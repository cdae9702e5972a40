import { unacknowledgedOctetsMax } from "../limits.ts";
import { t1Ms } from "../../sip/limits.ts";
import { isReliable, transportOfFlowKey } from "../../sip/flow/flow.ts";
import { RecordKind, recordOctets, type FrameRecord } from "../../cluster/backhaul/frame.ts";
import type { SteadyMs } from "../../sip/time.ts";

type Sent = { readonly seq: number; readonly at: SteadyMs; readonly records: readonly FrameRecord[]; readonly octets: number };

/**
 * What was sent to an access on one backhaul and is not acknowledged: it may never have arrived. Datagrams are not kept, for transactions say them
 * again by themselves; nor what closes connections, which end with their access.
 */
export class Unacknowledged {
  #sent: Sent[] = [];
  #octets = 0;
  /** A frame whose acknowledgement is waited for, to see how long that takes; 0: none is. */
  #timedSeq = 0;
  #timedAt = 0;

  get isEmpty(): boolean {
    return this.#sent.length === 0;
  }

  add(seq: number, records: readonly FrameRecord[], now: SteadyMs): void {
    if (this.#timedSeq === 0) {
      this.#timedSeq = seq;
      this.#timedAt = now;
    }
    const kept = records.filter(isSaidOnce);
    if (kept.length === 0) return;
    let octets = 0;
    for (const record of kept) octets += recordOctets(record.key, record.octets);
    this.#sent.push({ seq, at: now, records: kept, octets });
    this.#octets += octets;
    while (this.#octets > unacknowledgedOctetsMax) this.#forgetFirst();
  }

  /** Every frame up to this one has been processed. Returns how long that took, ms, of one that is timed. */
  acknowledge(seq: number, now: SteadyMs): number | undefined {
    while ((this.#sent[0]?.seq ?? Number.POSITIVE_INFINITY) <= seq) this.#forgetFirst();
    if (this.#timedSeq === 0 || this.#timedSeq > seq) return undefined;
    this.#timedSeq = 0;
    return Math.max(0, now - this.#timedAt);
  }

  /** All that is left, in order, and that somebody may wait for still. Forgets it. */
  take(now: SteadyMs): FrameRecord[] {
    const records = this.#sent.filter(({ at }) => now - at < 64 * t1Ms).flatMap((sent) => sent.records);
    this.#sent = [];
    this.#octets = 0;
    return records;
  }

  #forgetFirst(): void {
    this.#octets -= this.#sent.shift()?.octets ?? 0;
  }
}

function isSaidOnce({ kind, key }: FrameRecord): boolean {
  if (kind === RecordKind.resolve) return true;
  return kind === RecordKind.send && isReliable(transportOfFlowKey(key) ?? "UDP");
}
