import { NodeConnector } from "../../kit/connections/node-connector.ts";
import { nodeEnvironment } from "../../kit/connections/node-environment.ts";
import type { PhoneTransport, Target } from "../../kit/phone/link.ts";
import { News } from "../../kit/phone/news.ts";
import { Phone } from "../../kit/phone/phone.ts";
import { comesTrue } from "../../kit/world/until.ts";
import { Call, type CallKind, type CallReport, type Side } from "./call.ts";
import type { Amounts } from "./plan.ts";

/** What its phones call themselves. */
const userAgent = "tandem drill";
/** A new call that needs longer than this to be set up, the callee's own time not counted, is slow: somebody noticed. */
const slowMs = 1_000;
/** The callee of a new call answers within this. */
const answerMs = 100;
/** How long a new call lasts at least; up to half as long again. */
const talkMs = 1_000;
/** Phones that register, and calls that are set up, at the same time before the drill. */
const togetherMax = 50;
/** What has not come to an end by then, after the last new call, never will: a transaction gives up after 32 s. */
const overMs = 40_000;
/** How often it is asked whether all phones are registered. */
const settlePollMs = 100;

export type LoadOptions = {
  readonly transport: PhoneTransport;
  readonly domain: string;
  readonly host: string;
  readonly targets: readonly Target[];
  readonly ca: string | undefined;
  readonly amounts: Amounts;
  /** Every phone has a connection to each target; else half of them have one only, and go to the other target when it dies. */
  readonly everyoneHasTwo: boolean;
};

/** The load's account of one fault. */
export type LoadReport = {
  readonly established: { readonly ended: number; readonly lost: number };
  readonly ringing: { readonly completed: number; readonly lost: number };
  /** Ringing calls whose callers hung up: the phone was told, and the caller that it was. */
  readonly cancelled: { readonly ended: number; readonly lost: number };
  readonly phones: { readonly registered: number; readonly lost: number };
  readonly newCalls: {
    readonly made: number;
    readonly failed: number;
    readonly slow: number;
    /** ms from the fault to the INVITE of the last one that failed; undefined when none did. */
    readonly lastFailedMs: number | undefined;
    /** The longest time that a call took to be set up. */
    readonly slowestMs: number;
  };
  /** Calls that failed though they were over before the fault: the drill itself is in doubt. */
  readonly failedBefore: number;
  readonly anomalies: Readonly<Record<string, number>>;
  /** What became of lost calls, the first ones of each sort, and of REGISTERs that failed. */
  readonly losses: readonly string[];
};

/** Of each sort. A thousand calls are lost for a handful of reasons; which ones must be seen of each sort. */
const lossesMax = 200;

/**
 * Each phone has an order of its own, as names of equal weight come to whoever asks (RFC 2782): those of a target that goes spread over all others. As many phones
 * begin with each.
 */
export function orderFor<Each>(targets: readonly Each[], index: number): Each[] {
  const rest = [...targets];
  const order: Each[] = [];
  for (let number = index; rest.length > 0;) {
    const count = rest.length;
    order.push(...rest.splice(number % count, 1));
    number = Math.floor(number / count);
  }
  return order;
}

/** Phones and their calls: everything that goes on while something fails. */
export class Load {
  readonly #options: LoadOptions;
  readonly #phones: Phone[] = [];
  readonly #calls = new Map<string, Call>();
  readonly #standing: Call[] = [];
  readonly #ringing: Call[] = [];
  readonly #cancelled: Call[] = [];
  readonly #anomalies: Record<string, number> = {};
  readonly #reports: CallReport[] = [];
  readonly #run = Math.random().toString(36).slice(2, 8);
  /** Of calls: one rings, stands, or is over. */
  readonly #news = new News(nodeEnvironment);
  #made = 0;
  #pace: NodeJS.Timeout | undefined;
  #sweep: NodeJS.Timeout | undefined;
  #faultAt = 0;

  constructor(options: LoadOptions) {
    this.#options = options;
    const { transport, domain, host, targets, ca, amounts, everyoneHasTwo } = options;
    const ports = { environment: nodeEnvironment, connector: new NodeConnector({ transport, domain, host, ca }) };
    for (let index = 0; index < amounts.registered; index += 1) {
      const flows = everyoneHasTwo || Math.floor(index / targets.length) % 2 === 1 ? 2 : 1;
      const phone = new Phone(
        { transport, domain, targets: orderFor(targets, index), userAgent, user: `phone${index}`, first: 0, flows },
        ports,
        {
          request: (receiver, message, reply) => {
            const call = this.#calls.get(message.callId);
            if (call === undefined) reply(message.method === "INVITE" && message.toTag === undefined ? 486 : 481, "none");
            else call.receive(receiver, message, reply);
          },
          ack: (_, message) => {
            // That of a refusal ends a transaction, not a 200.
            if (message.toTag?.startsWith("m") !== true) this.#calls.get(message.callId)?.acknowledge();
          },
        },
      );
      this.#phones.push(phone);
    }
    this.#sweep = setInterval(() => {
      for (const phone of this.#phones) phone.sweep();
    }, 5_000);
  }

  /** Registers all phones; throws when some are not within the time. */
  async register(withinMs: number): Promise<void> {
    let registered = 0;
    const deadline = performance.now() + withinMs;
    await together(this.#phones, async (phone) => {
      const started = phone.start();
      await bounded(started, deadline - performance.now());
      if (phone.isRegistered) registered += 1;
    });
    if (registered < this.#phones.length) {
      const reasons = this.#phones.flatMap(({ registerFailures, lastLinkEnd }) => [
        ...registerFailures,
        ...(lastLinkEnd === undefined ? [] : [lastLinkEnd]),
      ]);
      const reason = reasons[0] ?? "no answer";
      throw new Error(`${this.#phones.length - registered} of ${this.#phones.length} phones could not register: ${reason}`);
    }
  }

  /** Sets up the calls that are to stand; throws when some do not within the time. */
  async establish(withinMs: number): Promise<void> {
    const calls = Array.from({ length: this.#options.amounts.established }, () => this.#make("established"));
    await this.#begin(calls, withinMs, "stand", (call) => call.stands);
    this.#standing.push(...calls);
  }

  /** Lets the calls ring that are to ring. */
  async ring(withinMs: number): Promise<void> {
    const { ringing } = this.#options.amounts;
    const answered = Array.from({ length: ringing }, () => this.#make("ringing"));
    const cancelled = Array.from({ length: Math.ceil(ringing / 2) }, () => this.#make("cancelled"));
    await this.#begin([...answered, ...cancelled], withinMs, "ring", (call) => call.isRinging);
    this.#ringing.push(...answered);
    this.#cancelled.push(...cancelled);
  }

  /** New calls from now on, at the rate. */
  startCalls(): void {
    const { rate } = this.#options.amounts;
    if (rate === 0) return;
    const startedAt = performance.now();
    let made = 0;
    this.#pace = setInterval(() => {
      const due = Math.floor(((performance.now() - startedAt) / 1000) * rate);
      // After a stall of this process nobody gains by a burst.
      if (due - made > rate) made = due - rate;
      for (; made < due; made += 1) this.#make("new").start();
    }, 10);
  }

  stopCalls(): void {
    clearInterval(this.#pace);
  }

  /**
   * The fault happens now. The standing calls end, and of the ringing ones two thirds are answered and one third is cancelled, spread over `windowMs`
   * from now on. Both sides hang up. Of eight calls one has a re-INVITE before, one a REFER, and of one a phone changes its network, before the
   * other side re-invites it or hangs up: callers and callees in turn.
   */
  fault(windowMs: number): void {
    this.#faultAt = performance.now();
    this.#standing.forEach((call, index) => {
      setTimeout(() => endStanding(call, index), (windowMs * index) / this.#standing.length);
    });
    for (const [calls, act] of [
      [this.#ringing, (call: Call): void => call.answer()],
      [this.#cancelled, (call: Call): void => call.cancel()],
    ] as const) {
      calls.forEach((call, index) => setTimeout(() => act(call), (windowMs * 0.7 * index) / calls.length));
    }
  }

  /** A name server names this target no more. Phones look at different times within `withinMs`, and know it no more then. */
  forget(target: string, withinMs: number): void {
    for (const phone of this.#phones) setTimeout(() => phone.forget(target), Math.random() * withinMs);
  }

  /** Waits until every call is over; what does not come to an end is lost. */
  async drain(): Promise<void> {
    await this.#news.holds(() => this.inProgress === 0, overMs);
    for (const call of this.#calls.values()) call.abandon();
  }

  /** Calls that are not over. */
  get inProgress(): number {
    let count = 0;
    for (const call of this.#calls.values()) if (!call.isOver) count += 1;
    return count;
  }

  /** Gives phones that have lost their flow the time to be registered again. */
  async settle(withinMs: number): Promise<void> {
    await comesTrue(() => this.#phones.every(({ isRegistered }) => isRegistered), withinMs, settlePollMs);
  }

  report(): LoadReport {
    const faultAt = this.#faultAt;
    const of = (kind: CallKind): CallReport[] => this.#reports.filter((report) => report.kind === kind);
    const [established, ringing, cancelled, all] = [of("established"), of("ringing"), of("cancelled"), of("new")];
    const before = lost(all).filter(({ endedAt }) => endedAt < faultAt);
    const made = all.filter(({ endedAt }) => endedAt >= faultAt);
    const failed = lost(made);
    const ofPhones = this.#phones.filter(({ isRegistered }) => !isRegistered);
    const losses = [lost(established), lost(ringing), lost(cancelled), failed, before]
      .flatMap((calls) => calls.slice(0, lossesMax))
      .map(
        ({ kind, startedAt, endedAt, failure }) =>
          `${kind} call, started ${Math.round(startedAt - faultAt)} ms and lost ${Math.round(endedAt - faultAt)} ms after the fault: ${failure ?? ""}`,
      );
    const registers = this.#phones.flatMap((phone) => phone.registerFailures.map((failure) => `${phone.user}: ${failure}`));
    const flowsGivenUp = this.#phones.reduce((sum, phone) => sum + phone.flowsGivenUp, 0);
    return {
      established: { ended: established.length - lost(established).length, lost: lost(established).length },
      ringing: { completed: ringing.length - lost(ringing).length, lost: lost(ringing).length },
      cancelled: { ended: cancelled.length - lost(cancelled).length, lost: lost(cancelled).length },
      phones: { registered: this.#phones.length - ofPhones.length, lost: ofPhones.length },
      newCalls: {
        made: made.length,
        failed: failed.length,
        slow: made.filter(({ failure, delayMs }) => failure === undefined && delayMs > slowMs).length,
        lastFailedMs: failed.length === 0 ? undefined : Math.round(Math.max(...failed.map(({ startedAt }) => startedAt - faultAt))),
        slowestMs: Math.round(Math.max(0, ...made.map(({ delayMs }) => delayMs))),
      },
      failedBefore: before.length,
      anomalies: { ...this.#anomalies, "REGISTER failed": registers.length, "flow given up": flowsGivenUp },
      losses: [...losses, ...registers.slice(0, lossesMax)],
    };
  }

  /** The calls that stood when the fault happened. */
  get standing(): readonly Call[] {
    return this.#standing;
  }

  /** The addresses-of-record whose phones must be registered. */
  get users(): string[] {
    return this.#phones.map(({ user }) => user);
  }

  stop(): void {
    this.stopCalls();
    clearInterval(this.#sweep);
    for (const phone of this.#phones) phone.stop();
  }

  #make(kind: CallKind): Call {
    const count = this.#phones.length;
    const number = this.#made;
    this.#made += 1;
    // Callers and callees of all sorts meet: one flow or two, this target or that.
    const callerAt = number % count;
    const calleeAt = (number + Math.floor(count / 2) + (Math.floor(number / 4) % 4)) % count;
    const caller = this.#phones[callerAt];
    const callee = this.#phones[calleeAt === callerAt ? (calleeAt + 1) % count : calleeAt];
    if (caller === undefined || callee === undefined) throw new RangeError("a load without phones");
    const call = new Call({
      id: `${this.#run}${number.toString(36)}`,
      kind,
      caller,
      callee,
      over: (ended) => this.#over(ended),
      progress: (moved, event) => this.#progress(moved, event),
      anomaly: (what) => {
        this.#anomalies[what] = (this.#anomalies[what] ?? 0) + 1;
      },
    });
    this.#calls.set(call.id, call);
    return call;
  }

  #progress(call: Call, event: "rings" | "stands"): void {
    if (event === "rings") {
      if (call.kind === "established") call.answer();
      if (call.kind === "new") setTimeout(() => call.answer(), Math.random() * answerMs);
    } else if (call.kind === "new" || call.kind === "ringing") {
      const side: Side = Math.random() < 0.5 ? "caller" : "callee";
      setTimeout(() => call.hangUp(side), talkMs * (1 + Math.random() / 2));
    }
    this.#news.tell();
  }

  #over(call: Call): void {
    this.#reports.push(call.report());
    // Retransmissions of its messages may still come.
    setTimeout(() => this.#calls.delete(call.id), 40_000).unref();
    this.#news.tell();
  }

  async #begin(calls: readonly Call[], withinMs: number, what: string, isDone: (call: Call) => boolean): Promise<void> {
    const until = performance.now() + withinMs;
    await together(calls, async (call) => {
      call.start();
      await this.#news.holds(() => isDone(call) || call.isOver, until - performance.now());
    });
    const failed = calls.filter((call) => !isDone(call));
    if (failed.length === 0) return;
    throw new Error(`${failed.length} of ${calls.length} calls do not ${what}: ${failed[0]?.report().failure ?? "not in time"}`);
  }
}

/** How a call ends that stood when the fault happened: see {@link Load.fault}. */
function endStanding(call: Call, index: number): void {
  const side: Side = index % 2 === 0 ? "caller" : "callee";
  const round = Math.floor(index / 8);
  const inTurn: Side = round % 2 === 0 ? "caller" : "callee";
  const other: Side = inTurn === "caller" ? "callee" : "caller";
  if (!call.stands) return call.hangUp(side);
  switch (index % 8) {
    case 3:
      return call.refresh(inTurn, () => call.hangUp(side));
    case 7:
      return call.refer(inTurn, () => call.hangUp(side));
    case 5:
      call.move(inTurn);
      return round % 4 < 2 ? call.hangUp(other) : call.refresh(other, () => call.hangUp(other));
    default:
      return call.hangUp(side);
  }
}

function lost(reports: readonly CallReport[]): CallReport[] {
  return reports.filter(({ failure }) => failure !== undefined);
}

/** Does something with all, a bounded number at a time. */
async function together<T>(all: readonly T[], act: (one: T) => Promise<void>): Promise<void> {
  let next = 0;
  const workers = Array.from({ length: Math.min(togetherMax, all.length) }, async () => {
    for (;;) {
      const one = all[next];
      next += 1;
      if (one === undefined) return;
      await act(one);
    }
  });
  await Promise.all(workers);
}

async function bounded(work: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([
    work,
    new Promise<void>((end) => {
      timer = setTimeout(end, Math.max(0, ms));
    }),
  ]);
  clearTimeout(timer);
}
