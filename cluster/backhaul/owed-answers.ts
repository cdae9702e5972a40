import { isReliable, transportOfFlowKey } from "../../sip/flow/flow.ts";
import type { SteadyMs } from "../../sip/time.ts";
import { owedRequestsMax, owedRequestsMs, owedSweepMs } from "../limits.ts";
import { transactionHashOf } from "../overload/kinds.ts";
import { RecordKind, type FrameRecord } from "./frame.ts";

type Entry<Given> = { readonly record: Given; readonly to: string; readonly hash: number; readonly at: SteadyMs };

/**
 * Requests within dialogs that came over connections, were given to a replica, and have no final answer yet. A replica has what it forwards in its memory
 * only, but for INVITEs, and a phone says nothing again over a connection. So a BYE would be
 * lost with the replica that has taken it, while its phone has gone to another connection, say, and is looked for. The access says it to the other replica.
 */
export class OwedAnswers<Given extends FrameRecord = FrameRecord> {
  /** By the flow that they came on, in order. */
  readonly #byFlow = new Map<string, Entry<Given>[]>();
  #count = 0;
  #sweptAt: SteadyMs = Number.NEGATIVE_INFINITY;

  /**
   * A record was given to a replica, which `to` names where there are several. Not to be told of what has no token of ours: that may be a new request, and would
   * ring or beep once more.
   */
  given(record: Given, now: SteadyMs, to = ""): void {
    const { kind, key, octets } = record;
    if (kind === RecordKind.closed) return this.#forget(key);
    if (!mayBeOwed(record)) return;
    this.#sweep(now);
    const hash = transactionHashOf(octets);
    if (hash === 0 || this.#count >= owedRequestsMax) return;
    const entries = this.#byFlow.get(key);
    const entry = { record, to, hash, at: now };
    if (entries === undefined) this.#byFlow.set(key, [entry]);
    else entries.push(entry);
    this.#count += 1;
  }

  /** A message was sent to a flow: an answer, perhaps. */
  answered(key: string, octets: Uint8Array): void {
    const entries = this.#byFlow.get(key);
    if (entries === undefined || !isFinal(octets)) return;
    const hash = transactionHashOf(octets);
    this.#keep(
      key,
      entries.filter((entry) => entry.hash !== hash),
    );
  }

  /** Replicas that have not answered something for so long. */
  since(ageMs: number, now: SteadyMs): Set<string> {
    const all = [...this.#byFlow.values()].flat();
    return new Set(all.filter(({ at }) => now - at >= ageMs && now - at < owedRequestsMs).map(({ to }) => to));
  }

  /** Nothing is owed. */
  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** A replica is lost: what it has not answered and somebody may wait for still, and since when. It is forgotten here. */
  take(now: SteadyMs, to = ""): { readonly record: Given; readonly at: SteadyMs }[] {
    const taken: { readonly record: Given; readonly at: SteadyMs }[] = [];
    for (const [key, entries] of this.#byFlow) {
      const kept = entries.filter((entry) => entry.to !== to);
      if (kept.length === entries.length) continue;
      for (const entry of entries) if (entry.to === to && now - entry.at < owedRequestsMs) taken.push(entry);
      this.#keep(key, kept);
    }
    return taken;
  }

  #forget(key: string): void {
    if (this.#byFlow.has(key)) this.#keep(key, []);
  }

  #keep(key: string, kept: Entry<Given>[]): void {
    this.#count += kept.length - (this.#byFlow.get(key)?.length ?? 0);
    if (kept.length === 0) this.#byFlow.delete(key);
    else this.#byFlow.set(key, kept);
  }

  #sweep(now: SteadyMs): void {
    if (now - this.#sweptAt < owedSweepMs) return;
    this.#sweptAt = now;
    for (const [key, entries] of this.#byFlow)
      this.#keep(
        key,
        entries.filter(({ at }) => now - at < owedRequestsMs),
      );
  }
}

/** INVITE is kept by the pair, a REGISTER waits for it, a CANCEL goes with its INVITE, and an ACK is not answered. */
const others: readonly string[] = ["SIP/2.0 ", "INVITE ", "ACK ", "CANCEL ", "REGISTER "];

/** Whether a record is a request that nobody says again, and that no other memory has. */
export function mayBeOwed({ kind, key, octets }: FrameRecord): boolean {
  if (kind !== RecordKind.message || others.some((text) => startsWith(octets, text))) return false;
  return isReliable(transportOfFlowKey(key) ?? "UDP");
}

/** A response from 200 on. */
function isFinal(octets: Uint8Array): boolean {
  return startsWith(octets, "SIP/2.0 ") && (octets[8] ?? 0) >= 0x32;
}

function startsWith(octets: Uint8Array, text: string): boolean {
  for (let index = 0; index < text.length; index += 1) if (octets[index] !== text.charCodeAt(index)) return false;
  return true;
}
