import { presentFlow, type Phone, type PhoneFlow } from "../dialog/present-flow.ts";
import { phoneSearchesMax, phoneSearchMs } from "../limits.ts";
import type { TimerTable } from "../transaction/timer-table.ts";

/** A phone that does not answer where it was. */
export type Lost = Phone & {
  /** In our domains; empty: it is from outside, and registered nowhere here. */
  readonly addressOfRecord: string;
  /** The flow that does not lead there; empty: none has been tried. */
  readonly failed: string;
};

/** Told where the phone is; undefined: nobody knows. */
export type Found = (flow: string | undefined, now: number) => void;

export type FinderOptions = {
  readonly timers: TimerTable;
  /** The flows of an address-of-record of this exchange; undefined: another one serves it. */
  readonly flowsHere: (addressOfRecord: string, now: number) => readonly PhoneFlow[] | undefined;
  /** Asks the exchange that serves it; the answer comes as {@link PhoneFinder.answered}. */
  readonly ask: (addressOfRecord: string, reference: string) => void;
  readonly isUsable: (flow: string) => boolean;
};

const timerPrefix = "f:";

/**
 * Finds a phone that has come back on another flow (RFC 5626 4.3): another connection, another gateway, another cell. Its bindings say where it
 * is; those of another exchange's users are asked for there, for a while.
 */
export class PhoneFinder {
  readonly #options: FinderOptions;
  readonly #searches = new Map<string, { readonly phone: Lost; readonly found: Found }>();
  /** Known at once, told at the end of the event. */
  #known: { readonly flow: string | undefined; readonly found: Found }[] = [];
  #references = 0;

  constructor(options: FinderOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#searches.size;
  }

  /** `found` is called later, never from inside this call. */
  find(phone: Lost, found: Found, now: number): void {
    const { addressOfRecord } = phone;
    const flows = addressOfRecord === "" ? [] : this.#options.flowsHere(addressOfRecord, now);
    if (flows !== undefined) {
      this.#known.push({ flow: this.#choose(phone, flows), found });
      return;
    }
    if (this.#searches.size >= phoneSearchesMax) {
      this.#known.push({ flow: undefined, found });
      return;
    }
    this.#references += 1;
    const reference = this.#references.toString(36);
    this.#searches.set(reference, { phone, found });
    this.#options.timers.set(timerPrefix + reference, now + phoneSearchMs);
    this.#options.ask(addressOfRecord, reference);
  }

  /** What another exchange says; too late, nobody listens. */
  answered(reference: string, flows: readonly PhoneFlow[], now: number): void {
    const search = this.#searches.get(reference);
    if (search === undefined) return;
    this.#searches.delete(reference);
    this.#options.timers.clear(timerPrefix + reference);
    search.found(this.#choose(search.phone, flows), now);
  }

  /** False when the timer is none of these. */
  fire(timerKey: string, now: number): boolean {
    if (!timerKey.startsWith(timerPrefix)) return false;
    this.answered(timerKey.slice(timerPrefix.length), [], now);
    return true;
  }

  /** Tells what was known at once. True when there was something. */
  settle(now: number): boolean {
    if (this.#known.length === 0) return false;
    const known = this.#known;
    this.#known = [];
    for (const { flow, found } of known) found(flow, now);
    return true;
  }

  #choose(phone: Lost, flows: readonly PhoneFlow[]): string | undefined {
    return presentFlow(phone, flows, (flow) => flow !== phone.failed && this.#options.isUsable(flow));
  }
}
