import type { PhoneFlow } from "../../sip/dialog/present-flow.ts";
import { phoneAnswerMsMax, phoneAskMsMax, phoneAskMsMin, phoneSearchesMax, phoneSearchesPerUserMax } from "../limits.ts";
import { phoneSearchMs } from "../../sip/limits.ts";
import { Timer, type TimerTable } from "../../sip/transaction/timer-table.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** A search for a phone, or for any phone of an address-of-record. */
export type Search = {
  /** In our domains; empty: registered nowhere here, only a way may come back. */
  readonly addressOfRecord: string;
  /** Until when it is waited for, ms since the epoch; one look is always taken. */
  readonly until: SteadyMs;
  /** Another exchange is asked once only. */
  readonly isOnce?: boolean;
  /**
   * Looks whether it is there. `flows`: those of its address-of-record; undefined: another exchange has them, and has not said yet. True: the
   * search is over.
   */
  readonly look: (flows: readonly PhoneFlow[] | undefined, now: SteadyMs) => boolean;
  /** Its time is over. */
  readonly giveUp: (now: SteadyMs) => void;
};

export type FinderOptions = {
  readonly timers: TimerTable;
  /** The flows of an address-of-record of this exchange; undefined: another one serves it. */
  readonly flowsHere: (addressOfRecord: string, now: SteadyMs) => readonly PhoneFlow[] | undefined;
  /** Asks the exchange that serves it; the answer comes as {@link PhoneFinder.answered}. */
  readonly ask: (addressOfRecord: string, name: string) => void;
};

type Entry = {
  readonly name: string;
  readonly timer: Timer;
  readonly search: Search;
  readonly until: SteadyMs;
  isAsking: boolean;
  /** When it last wanted another exchange to be asked. */
  wantedAt: SteadyMs;
  pauseMs: number;
  isOver: boolean;
};

/** What another exchange is asked about an address-of-record, and has not answered yet. */
type Question = { readonly addressOfRecord: string; readonly name: string; readonly at: SteadyMs; readonly askers: Set<Entry> };

/**
 * Finds phones that come back on another flow (RFC 5626 4.3): another connection, another gateway, another cell. Or they come back on the same flow,
 * when it was the way to their access that was missing. A search waits for what may end it: a REGISTER, here or at the peer; a way that opens.
 * Another exchange is asked, again and again after growing pauses. It has one question about each address-of-record at a time: one that is late is not asked for more,
 * or it would be later still. Nothing goes on while nobody is looked for.
 */
export class PhoneFinder {
  readonly #options: FinderOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #byAddressOfRecord = new Map<string, Set<Entry>>();
  /** Those that are under way, by address-of-record and by name. */
  readonly #questions = new Map<string, Question>();
  readonly #questionsByName = new Map<string, Question>();
  /** To be looked at when the event is over. */
  #due = new Set<Entry>();
  #names = 0;
  /** All look. */
  readonly #everyone = new Timer(() => {
    for (const entry of this.#entries.values()) this.#due.add(entry);
  });

  constructor(options: FinderOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  /**
   * Begins a search; nothing is called before {@link settle}. Over {@link phoneSearchesMax} or {@link phoneSearchesPerUserMax} it is looked once,
   * here only.
   */
  start(search: Search, now: SteadyMs, name: string = this.#newName()): void {
    const isElsewhere = this.#flows(search, now) === undefined;
    const until = isElsewhere ? Math.max(search.until, now + phoneSearchMs) : search.until;
    const timer = new Timer((at) => this.#fire(entry, at));
    const entry: Entry = {
      name,
      timer,
      search,
      until,
      isAsking: false,
      wantedAt: now,
      pauseMs: phoneAskMsMin,
      isOver: false,
    };
    this.#due.add(entry);
    const others = this.#byAddressOfRecord.get(search.addressOfRecord);
    if (this.#entries.size >= phoneSearchesMax || (others?.size ?? 0) >= phoneSearchesPerUserMax) return;
    this.#entries.set(name, entry);
    if (others === undefined) this.#byAddressOfRecord.set(search.addressOfRecord, new Set([entry]));
    else others.add(entry);
  }

  /** Nobody wants to know any more. */
  stop(name: string): void {
    const entry = this.#entries.get(name);
    if (entry !== undefined) this.#end(entry);
  }

  /** The bindings of an address-of-record have changed. True: somebody waits for that. */
  registered(addressOfRecord: string): boolean {
    const waiting = this.#byAddressOfRecord.get(addressOfRecord);
    if (waiting === undefined) return false;
    for (const entry of waiting) this.#due.add(entry);
    return true;
  }

  /** An access has connected, or a cell can be reached again: all look at once, when the time has come for events. */
  wayCame(): void {
    if (this.#entries.size > 0) this.#options.timers.set(this.#everyone, 0);
  }

  /** What another exchange says; too late, nobody listens. */
  answered(name: string, flows: readonly PhoneFlow[], now: SteadyMs): void {
    const question = this.#questionsByName.get(name);
    if (question === undefined) return;
    this.#forget(question);
    for (const entry of question.askers) if (!entry.isOver) this.#hear(entry, question, flows, now);
  }

  #hear(entry: Entry, question: Question, flows: readonly PhoneFlow[], now: SteadyMs): void {
    entry.isAsking = false;
    if (entry.search.look(flows, now)) return this.#end(entry);
    // Who came after the question had left may have been registered since.
    const isOver = entry.search.isOnce === true && entry.wantedAt <= question.at;
    if (isOver || now >= entry.until) return this.#giveUp(entry, now);
    if (entry.search.isOnce === true) return this.#ask(entry, now);
    this.#watch(entry, now + entry.pauseMs);
    entry.pauseMs = Math.min(2 * entry.pauseMs, phoneAskMsMax);
  }

  #forget({ addressOfRecord, name }: Question): void {
    this.#questions.delete(addressOfRecord);
    this.#questionsByName.delete(name);
  }

  /** Takes the looks that are due. True when there were any. */
  settle(now: SteadyMs): boolean {
    if (this.#due.size === 0) return false;
    const due = this.#due;
    this.#due = new Set();
    for (const entry of due) if (!entry.isOver) this.#look(entry, now);
    return true;
  }

  #fire(entry: Entry, now: SteadyMs): void {
    if (this.#entries.get(entry.name) !== entry) return;
    if (now >= entry.until) this.#giveUp(entry, now);
    else this.#ask(entry, now);
  }

  #look(entry: Entry, now: SteadyMs): void {
    const { search, name } = entry;
    const flows = this.#flows(search, now);
    if (search.look(flows, now)) return this.#end(entry);
    const isHeld = this.#entries.get(name) === entry;
    if (!isHeld || now >= entry.until) this.#giveUp(entry, now);
    else if (flows === undefined && !entry.isAsking) this.#ask(entry, now);
    else if (flows !== undefined) this.#watch(entry, entry.until);
  }

  #flows({ addressOfRecord }: Search, now: SteadyMs): readonly PhoneFlow[] | undefined {
    return addressOfRecord === "" ? [] : this.#options.flowsHere(addressOfRecord, now);
  }

  #ask(entry: Entry, now: SteadyMs): void {
    const { addressOfRecord } = entry.search;
    const before = this.#questions.get(addressOfRecord);
    const isAnswerable = before !== undefined && now - before.at < phoneAnswerMsMax;
    if (before !== undefined && !isAnswerable) this.#forget(before);
    const question = isAnswerable ? before : { addressOfRecord, name: this.#newName(), at: now, askers: new Set<Entry>() };
    if (!entry.isAsking) entry.wantedAt = now;
    entry.isAsking = true;
    question.askers.add(entry);
    this.#watch(entry, question.at + phoneAnswerMsMax);
    if (question === before) return;
    this.#questions.set(addressOfRecord, question);
    this.#questionsByName.set(question.name, question);
    this.#options.ask(addressOfRecord, question.name);
  }

  #watch(entry: Entry, at: SteadyMs): void {
    this.#options.timers.set(entry.timer, Math.min(at, entry.until));
  }

  #giveUp(entry: Entry, now: SteadyMs): void {
    this.#end(entry);
    entry.search.giveUp(now);
  }

  #end(entry: Entry): void {
    entry.isOver = true;
    if (this.#entries.get(entry.name) !== entry) return;
    this.#entries.delete(entry.name);
    this.#options.timers.clear(entry.timer);
    const { addressOfRecord } = entry.search;
    const others = this.#byAddressOfRecord.get(addressOfRecord);
    others?.delete(entry);
    if (others?.size === 0) this.#byAddressOfRecord.delete(addressOfRecord);
  }

  #newName(): string {
    this.#names += 1;
    return `~${this.#names.toString(36)}`;
  }
}
