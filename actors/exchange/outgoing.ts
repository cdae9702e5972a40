import { RecordKind } from "../../cluster/backhaul/frame.ts";
import { splitFlow } from "../../sip/flow/flow.ts";
import { messageOctetsMax } from "../../sip/limits.ts";
import type { TransportSink } from "../../sip/transaction/transaction.ts";
import type { Accesses } from "./accesses.ts";
import type { Effect } from "./effects.ts";

/** A message for an access that is not there. */
export type Unsendable = { readonly flow: string; readonly octets: Uint8Array };

const none: readonly Unsendable[] = [];

/** Where requests come from that this system makes itself, as a flow: what is answered there nobody waits for. It loses nothing, so nothing is said again. */
export const ownFlow = "operator~t0.nobody.000000000000";

/** What an exchange wants done, in order, until its shell takes it. */
export class Outgoing implements TransportSink {
  readonly #accesses: Accesses;
  #effects: Effect[] = [];
  /** They come back as undeliverable when the event that sent them is over. */
  #unsendable: Unsendable[] = [];

  constructor(accesses: Accesses) {
    this.#accesses = accesses;
  }

  push(effect: Effect): void {
    this.#effects.push(effect);
  }

  /** `commit`: the message leaves when every record up to this sequence number is at the peer, or on the disk; undefined: at once. */
  send(flow: string, octets: Uint8Array, commit?: number): void {
    this.#push(flow, octets, commit, false);
  }

  answer(flow: string, octets: Uint8Array, commit?: number): void {
    this.#push(flow, octets, commit, true);
  }

  takeEffects(): Effect[] {
    const effects = this.#effects;
    if (effects.length > 0) this.#effects = [];
    return effects;
  }

  takeUnsendable(): readonly Unsendable[] {
    if (this.#unsendable.length === 0) return none;
    const unsendable = this.#unsendable;
    this.#unsendable = [];
    return unsendable;
  }

  #push(flow: string, octets: Uint8Array, commit: number | undefined, isAnswer: boolean): void {
    if (flow === ownFlow) return;
    // A refusal that repeats the longest of Vias: no frame takes it, and its backhaul would be lost over it.
    if (octets.length > messageOctetsMax) return;
    const usable = this.#accesses.usable(flow);
    const split = usable === undefined ? undefined : splitFlow(usable);
    if (split === undefined) {
      this.#unsendable.push({ flow, octets });
      return;
    }
    const record = { kind: RecordKind.send, key: split.key, octets };
    this.#effects.push({ type: "send", access: split.access, record, commit, isAnswer });
  }
}
