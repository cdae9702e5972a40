import type { PhoneFlow } from "../../sip/dialog/present-flow.ts";
import { isParseError } from "../../sip/errors.ts";
import { contactSearchesPerCallerMax, contactSearchesPerSecondMax, exchangesAskedMax } from "../limits.ts";
import { phoneSearchMs } from "../../sip/limits.ts";
import { isSipUri, parseUri, unescapeUri, type SipUri } from "../../sip/message/uri.ts";
import type { Preprocessed } from "../../sip/proxy/route-preprocessing.ts";
import type { BindingRecord } from "../../sip/record/state-record.ts";
import { Timer, type TimerTable } from "../../sip/transaction/timer-table.ts";
import type { ServerTransaction } from "../../sip/transaction/transaction.ts";
import type { Clocks, SteadyMs } from "../../sip/time.ts";

export type ContactFinderOptions = {
  readonly wallAt: Clocks["wallAt"];
  readonly timers: TimerTable;
  /** This exchange, and how many there are. */
  readonly exchange: number;
  readonly exchangeCount: () => number;
  readonly bindings: () => Iterable<BindingRecord>;
  /** Asks another exchange; the answer comes as {@link ContactFinder.answered}. */
  readonly ask: (contact: string, exchange: number, reference: string) => void;
  /** Where a request goes; undefined: nobody has registered that Contact. */
  readonly found: (waiter: ContactWaiter, flow: string | undefined, now: SteadyMs) => void;
};

export type ContactWaiter = {
  readonly tx: ServerTransaction;
  readonly request: Preprocessed;
  /** Who calls, as has been proved. */
  readonly caller: string;
  /** The user of ours that Referred-By names; empty: none. */
  readonly referrer: string;
  /** The exchange of that user. */
  readonly first: number | undefined;
};

type Search = {
  readonly timer: Timer;
  readonly waiter: ContactWaiter;
  readonly holders: PhoneFlow[];
  pending: number;
  /** Not everybody who may know has said it. */
  isPartial: boolean;
};

/**
 * Finds the phone that has registered a Contact which nobody can dial: a softphone's (RFC 7118 5, a host under `.invalid`). A phone that is
 * told to call it (Refer-To with Replaces, RFC 3891) sends such a request, and no address-of-record stands in it. So it is looked for here, and
 * all other exchanges are asked at once. That is rare and costs a look at every binding: for callers who have proved who they are, and so
 * many times a second.
 *
 * A Contact is no secret, and nothing keeps a subscriber from registering that of another one. So the user whom Referred-By names has it, if he has registered it.
 * Else it must be that of one user only, and every exchange must have said so: otherwise nobody is called.
 */
export class ContactFinder {
  readonly #options: ContactFinderOptions;
  readonly #searches = new Map<string, Search>();
  #names = 0;
  #second = 0;
  #looks = 0;
  readonly #callers = new Map<string, number>();

  constructor(options: ContactFinderOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#searches.size;
  }

  /** What another exchange asks: the flows on which phones have registered a Contact here. Unavailable: there were too many questions. */
  flowsOf(contact: string, now: SteadyMs): PhoneFlow[] | "unavailable" {
    return this.#mayLook(now) ? this.#look(contact, now) : "unavailable";
  }

  /** Looks for the phone of a Request-URI; `found` is called, perhaps before this returns. */
  find(waiter: ContactWaiter, now: SteadyMs): void {
    const contact = waiter.request.message.requestUri;
    if (!this.#mayLook(now) || !this.#mayAsk(waiter.caller)) return this.#options.found(waiter, undefined, now);
    const holders = this.#look(contact, now);
    const sure = flowOf(holders, waiter.referrer);
    const { others, isPartial } = this.#others(waiter.first);
    if (sure !== undefined || others.length === 0) return this.#options.found(waiter, sure ?? onlyFlow(holders, isPartial), now);
    this.#names += 1;
    const name = `${prefix}${this.#names.toString(36)}`;
    const timer = new Timer((at) => this.#end(name, undefined, at));
    this.#searches.set(name, { timer, waiter, holders, pending: others.length, isPartial });
    this.#options.timers.set(timer, now + phoneSearchMs);
    for (const exchange of others) this.#options.ask(contact, exchange, name);
  }

  /** What another exchange says; too late, nobody listens. False: it is no answer to this. */
  answered(name: string, answer: readonly PhoneFlow[] | "unavailable", now: SteadyMs): boolean {
    if (!name.startsWith(prefix)) return false;
    const search = this.#searches.get(name);
    if (search === undefined) return true;
    search.pending -= 1;
    if (answer === "unavailable") search.isPartial = true;
    else search.holders.push(...answer);
    const sure = flowOf(search.holders, search.waiter.referrer);
    if (sure !== undefined || search.pending === 0) this.#end(name, sure ?? onlyFlow(search.holders, search.isPartial), now);
    return true;
  }

  #end(name: string, flow: string | undefined, now: SteadyMs): void {
    const search = this.#searches.get(name);
    if (search === undefined) return;
    this.#searches.delete(name);
    this.#options.timers.clear(search.timer);
    this.#options.found(search.waiter, flow, now);
  }

  #look(contact: string, now: SteadyMs): PhoneFlow[] {
    const uri = parseUri(contact);
    if (isParseError(uri) || !isSipUri(uri)) return [];
    const flows: PhoneFlow[] = [];
    const wall = this.#options.wallAt(now);
    for (const { value } of this.#options.bindings()) {
      if (value === undefined || value.flow === "" || value.expiresAt <= wall) continue;
      if (!value.contact.toLowerCase().includes(uri.host) || !isSamePhone(uri, value.contact)) continue;
      const { addressOfRecord, instanceId, flow, registeredAt } = value;
      flows.push({ addressOfRecord, contact: value.contact, instanceId, flow, registeredAt });
    }
    return flows;
  }

  /** Who is asked. Where all cannot be, nobody but the user of Referred-By can have it. */
  #others(first: number | undefined): { readonly others: readonly number[]; readonly isPartial: boolean } {
    const { exchange, exchangeCount } = this.#options;
    const count = exchangeCount();
    if (count - 1 > exchangesAskedMax) return { others: first === undefined || first === exchange ? [] : [first], isPartial: true };
    const others = Array.from({ length: count }, (_, index) => index).filter((index) => index !== exchange);
    return { others, isPartial: false };
  }

  /** A look goes through all bindings: so many in one second. */
  #mayLook(now: SteadyMs): boolean {
    const second = Math.floor(now / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#looks = 0;
      this.#callers.clear();
    }
    this.#looks += 1;
    return this.#looks <= contactSearchesPerSecondMax;
  }

  #mayAsk(caller: string): boolean {
    const count = (this.#callers.get(caller) ?? 0) + 1;
    this.#callers.set(caller, count);
    return count <= contactSearchesPerCallerMax;
  }
}

/** Names under which answers come begin so. Those of other searches begin otherwise. */
const prefix = "c~";

/** Whether a Contact was made by who has made this URI: user, host and port; parameters come and go (`ob`, `transport`). */
function isSamePhone(uri: SipUri, contact: string): boolean {
  const other = parseUri(contact);
  if (isParseError(other) || !isSipUri(other)) return false;
  return other.host === uri.host && other.port === uri.port && unescapeUri(other.user ?? "") === unescapeUri(uri.user ?? "");
}

/** The flow of the latest binding of this user that has it. */
function flowOf(holders: readonly PhoneFlow[], addressOfRecord: string | undefined): string | undefined {
  let latest: PhoneFlow | undefined;
  if (addressOfRecord === "") return undefined;
  for (const each of holders) {
    if (each.addressOfRecord === addressOfRecord && (latest === undefined || each.registeredAt > latest.registeredAt)) latest = each;
  }
  return latest?.flow;
}

/** The same of the only user who has it; undefined: there are more, or may be. */
function onlyFlow(holders: readonly PhoneFlow[], isPartial: boolean): string | undefined {
  const [holder] = holders;
  if (holder === undefined || isPartial || holders.some(({ addressOfRecord }) => addressOfRecord !== holder.addressOfRecord))
    return undefined;
  return flowOf(holders, holder.addressOfRecord);
}
