import { jsonOctets, RecordKind, type FrameRecord } from "../../cluster/backhaul/frame.ts";
import { isLine } from "../../sip/flow/flow.ts";
import { sweepMs } from "../../sip/limits.ts";
import { sweepAlarmMs, timerSpacingMs } from "../limits.ts";
import type { Timer } from "../timer.ts";
import type { Backhauls } from "./backhauls.ts";
import type { CallCourier } from "./call-courier.ts";
import type { DiskWriter } from "./disk-writer.ts";
import type { Effect } from "./effects.ts";
import type { Elders } from "./elders.ts";
import type { Exchange } from "./exchange.ts";
import type { HandOver } from "./hand-over.ts";
import { LineCouriers } from "./line-couriers.ts";
import type { Newcomer } from "./newcomer.ts";
import { Offers } from "./offers.ts";
import { Outbox } from "./outbox.ts";
import type { Replication } from "./replication.ts";
import type { ExchangePorts } from "./ports.ts";
import { Release, Wait } from "./release.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** What comes after an event. */
export type Aftermath = {
  /** An access that waits for an answer: what the event has for it goes into that. */
  readonly answering?: string | undefined;
  /** All that the event changed is at the peer, or there is no peer to wait for. */
  readonly committed?: (now: SteadyMs) => void;
  /** Another process keeps what the event brought until `committed` is called, and says it to the other replica if this one dies: a gateway its frame. */
  readonly isKept?: boolean;
  /** It was offered to another exchange before: what is offered now is not waited for. */
  readonly isOffered?: boolean;
  /** The event is over: what it sends has left, but for what is for `answering`. */
  readonly over?: (answer: FrameRecord[], now: SteadyMs) => void;
  /** Too much waits already: the event does not happen. Absent: it must not be refused. */
  readonly refused?: () => void;
};

export type EventRunnerOptions = {
  readonly exchange: Exchange;
  readonly writer: DiskWriter;
  readonly backhauls: Backhauls;
  /** Absent: nobody is to be told but the peer. */
  readonly newcomer?: Newcomer;
  /** Absent: this exchange has come from none, and none from it. */
  readonly elders?: Elders;
  readonly handOver?: HandOver;
  readonly ports: ExchangePorts;
};

const nothingMore: Aftermath = {};

/**
 * Gives events to the core, one at a time, and carries out after each what it wants. That is frames to accesses, commits, records to the peer and to
 * disk, deadlines, and questions to other exchanges.
 */
export class EventRunner {
  readonly #exchange: Exchange;
  readonly #writer: DiskWriter;
  readonly #backhauls: Backhauls;
  readonly #ports: ExchangePorts;
  readonly lines: LineCouriers;
  readonly release: Release;
  #replication: Replication | undefined;
  readonly #newcomer: Newcomer | undefined;
  readonly #elders: Elders | undefined;
  readonly #handOver: HandOver | undefined;
  /** This replica is none any more, or none yet: nothing happens in the core, and nothing leaves it. */
  #isRetired = false;
  readonly #offers: Offers;
  #courier: CallCourier | undefined;
  /** For transactions. */
  readonly #timer: Timer;
  /** What it is set to, ms. */
  #timerAt = Number.POSITIVE_INFINITY;
  /** When records are to be looked at for what has expired, ms. */
  #nextSweep = 0;

  constructor({ exchange, writer, backhauls, newcomer, elders, handOver, ports }: EventRunnerOptions) {
    this.#exchange = exchange;
    this.#writer = writer;
    this.#backhauls = backhauls;
    this.#newcomer = newcomer;
    this.#elders = elders;
    this.#handOver = handOver;
    this.#ports = ports;
    this.#timer = ports.timer(() => this.#rang(ports.now()));
    const threw = (error: unknown): void => ports.log.threw(error);
    this.lines = new LineCouriers({
      lines: ports.lines,
      now: ports.now,
      returned: (access, records, now) => this.event((at) => this.receive(access, records, at), now),
      unreachable: (access, records, now) => this.event((at) => this.notTaken(access, records, at), now),
      threw,
    });
    this.#offers = new Offers({
      ports,
      cellsOf: (other) => exchange.cellsOf(other),
      keep: (access, record, committed) =>
        this.event((at) => void this.#exchange.takeOffered(access, record, true, at), ports.now(), { committed, isOffered: true }),
    });
    this.release = new Release({
      soon: ports.soon,
      now: ports.now,
      send: (outbox, now) => this.#send(outbox, now),
      acknowledge: (now) => backhauls.acknowledge(now),
      threw,
    });
  }

  /** Called once, before the first event. Undefined: there is no other replica. */
  start(replication: Replication | undefined, courier: CallCourier, now: SteadyMs): void {
    this.#replication = replication;
    this.#courier = courier;
    courier.look();
    this.#sweep(now);
    this.arm(now);
  }

  /** The map names a peer, or none, where it did not. */
  setReplication(replication: Replication | undefined): void {
    this.#replication = replication;
  }

  /** This replica, which was to join, is one from now on. */
  enter(now: SteadyMs): void {
    this.#isRetired = false;
    this.#sweep(now);
    this.arm(now);
  }

  /** The map gives this cell no replica of the exchange any more. What the core has in hand, the other replicas go on with. */
  retire(): void {
    this.#isRetired = true;
    this.#elders?.end();
    this.#offers.end();
    this.#timer.clear();
  }

  /** One event on the core, and what it wants done: now, or when this replica may serve. */
  event(run: (now: SteadyMs) => void, now: SteadyMs, aftermath: Aftermath = nothingMore): void {
    const isBounded = aftermath.refused !== undefined;
    if (this.#isRetired) dismiss(aftermath, now);
    else if (this.#elders?.isWaiting === true) {
      if (!this.#elders.keep((at) => this.event(run, at, aftermath), isBounded)) aftermath.refused?.();
    } else if (this.#replication === undefined || this.#replication.admits(now)) this.#happen(run, now, aftermath);
    else if (!this.#replication.keep((at) => this.#happen(run, at, aftermath), isBounded)) aftermath.refused?.();
  }

  /** Runs what only reads, when this replica may serve. It must not be refused unless `refused` is there. */
  whenServing(run: (now: SteadyMs) => void, now: SteadyMs, refused?: () => void): void {
    if (this.#isRetired) refused?.();
    else if (this.#elders?.isWaiting === true) {
      if (!this.#elders.keep((at) => this.whenServing(run, at, refused), refused !== undefined)) refused?.();
    } else if (this.#replication === undefined || this.#replication.admits(now)) run(now);
    else if (!this.#replication.keep(run, refused !== undefined)) refused?.();
  }

  /** A broken invariant must not take the other calls of this exchange along: it is said, and the next event served. */
  guard(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#ports.log.threw(error);
    }
  }

  /** Records of an access, within an event. */
  receive(access: string, records: readonly FrameRecord[], now: SteadyMs): void {
    for (const record of records) {
      if (record.kind === RecordKind.hello) continue;
      try {
        this.#exchange.receive(access, record, now);
      } catch (error) {
        this.#ports.log.threw(error);
      }
    }
  }

  /** An access that cannot be reached from here: its phones may be well. Within an event. */
  notTaken(access: string, records: readonly FrameRecord[], now: SteadyMs): void {
    if (!isLine(access) && !this.#backhauls.has(access)) this.#exchange.disconnectAccess(access, now);
    this.guard(() => this.#exchange.unreachable(access, records, now));
    const questions = records.filter(({ kind }) => kind === RecordKind.resolve);
    const answers = questions.map(({ key }) => ({ kind: RecordKind.resolved, key, octets: jsonOctets([]) }));
    this.receive(access, answers, now);
  }

  /** Sends records to an access again, or for the first time: as an event of its own when they are not taken. */
  send(access: string, records: readonly FrameRecord[], now: SteadyMs): void {
    if (records.length === 0 || this.#isTaken(access, records, now)) return;
    this.event((at) => this.notTaken(access, records, at), now);
  }

  /** The object was woken for what has expired. */
  wake(now: SteadyMs, over: () => void): void {
    this.event(
      (at) => {
        this.#nextSweep = at;
        this.#exchange.tick(at);
      },
      now,
      { over },
    );
  }

  /** Everything up to this sequence number survives the end of this process: true, or `done` is called. See {@link Replication.commit}. */
  commit(sequence: number, now: SteadyMs, done: (now: SteadyMs) => void): boolean {
    return this.#replication === undefined ? this.#writer.flushTogether(now, done) : this.#replication.commit(sequence, now, done);
  }

  /**
   * What came of an event is on its way to the peer; `committed` is called when it is there. What other exchanges are asked about is nowhere before they have
   * answered: an access that has brought it keeps it for so long.
   */
  follow(now: SteadyMs, committed: ((now: SteadyMs) => void) | undefined): void {
    if (committed === undefined || !this.#offers.areUnderWay) return this.#follow(now, committed);
    this.#follow(now, undefined);
    this.#offers.whenOver(() => this.release.committed((at) => this.#follow(at, committed)));
  }

  #followEvent(now: SteadyMs, { committed, isOffered }: Aftermath): void {
    if (isOffered === true) this.#follow(now, committed);
    else this.follow(now, committed);
  }

  #follow(now: SteadyMs, committed: ((now: SteadyMs) => void) | undefined): void {
    this.#newcomer?.look(now);
    this.#handOver?.look();
    if (this.#replication === undefined) committed?.(now);
    else if (committed === undefined) this.#replication.look(now);
    else this.#replication.follow(now, committed);
  }

  /** Transactions in progress keep the object awake; records that will expire one day only have it wake for a moment. */
  arm(now: SteadyMs): void {
    if (this.#isRetired) return;
    const { rest, alarm } = this.#ports;
    const deadline = this.#exchange.nextDeadline();
    if (deadline !== undefined) {
      rest.end();
      const at = Math.max(deadline, now + timerSpacingMs);
      // One that rings too early finds nothing due, and the next is set.
      if (this.#timerAt <= at) return;
      this.#timerAt = at;
      this.#timer.set(at - now);
      return;
    }
    rest.begin(this.#exchange.orphansUntil);
    if (this.#timerAt !== Number.POSITIVE_INFINITY) this.#timer.clear();
    this.#timerAt = Number.POSITIVE_INFINITY;
    if (this.#exchange.store.size > this.#exchange.store.count("subscriber")) alarm.arm(this.#ports.wallAt(now) + sweepAlarmMs);
  }

  /**
   * Carries out what the core wants. Called at the end of every event, and after what changes the core otherwise. `keptFrom`: what was changed behind this
   * sequence number of the store would be said again.
   */
  carryOut(now: SteadyMs, aftermath: Aftermath = nothingMore, keptFrom: number = Number.POSITIVE_INFINITY): void {
    if (this.#isRetired) {
      this.#exchange.takeEffects();
      this.#follow(now, aftermath.committed);
      this.#writer.flushLater();
      return;
    }
    this.#sweep(now);
    this.#courier?.look();
    const early = new Outbox();
    const late = new Outbox();
    let sequence = 0;
    for (let effects = this.#exchange.takeEffects(); effects.length > 0; effects = this.#exchange.takeEffects()) {
      for (const effect of effects) sequence = Math.max(sequence, this.#sort(effect, early, late, keptFrom, now));
    }
    if (!late.isEmpty) return this.#leaveLate(early, late, sequence, now, aftermath);
    const answer = early.take(aftermath.answering);
    this.#followEvent(now, aftermath);
    this.#send(early, now);
    this.arm(now);
    this.#writer.flushDue(now);
    aftermath.over?.(answer, now);
  }

  #rang(now: SteadyMs): void {
    this.#timerAt = Number.POSITIVE_INFINITY;
    this.event((at) => this.#exchange.tick(at), now);
  }

  #happen(run: (now: SteadyMs) => void, now: SteadyMs, aftermath: Aftermath): void {
    if (this.#isRetired) return dismiss(aftermath, now);
    // Where the peer is not waited for the frame is acknowledged at once.
    const isKept = aftermath.isKept === true && this.#replication?.state === "together";
    const keptFrom = isKept ? this.#exchange.store.sequence : undefined;
    try {
      run(now);
    } catch (error) {
      this.#ports.log.threw(error);
    }
    this.carryOut(now, aftermath, keptFrom);
  }

  /** Some of what an event sends waits for a commit. */
  #leaveLate(early: Outbox, late: Outbox, sequence: number, now: SteadyMs, aftermath: Aftermath): void {
    const { answering, over } = aftermath;
    const answer = early.take(answering);
    // Before anything is written: the output gate holds back what is sent after a write, until it is on disk.
    this.#send(early, now);
    this.arm(now);
    const wait = new Wait(() => {
      answer.push(...late.take(answering));
      this.release.add(late, over === undefined ? undefined : (at) => over(answer, at));
    });
    wait.for(this.commit(sequence, now, wait.done));
    wait.for(this.#writer.flushShortened(now, wait.done));
    this.#followEvent(now, aftermath);
    this.#writer.flushDue(now);
    if (!wait.isOver) return;
    answer.push(...late.take(answering));
    this.#send(late, now);
    over?.(answer, now);
  }

  /** Returns the sequence number that must be committed first; 0: none. */
  #sort(effect: Effect, early: Outbox, late: Outbox, keptFrom: number, now: SteadyMs): number {
    const { log, others, now: present } = this.#ports;
    switch (effect.type) {
      case "send": {
        const { access, record, commit, isAnswer } = effect;
        const isLate = commit !== undefined && !(isAnswer && commit > keptFrom);
        if (isLine(access) || this.#backhauls.has(access)) (isLate ? late : early).add(access, record);
        else this.notTaken(access, [record], now);
        return isLate ? commit : 0;
      }
      case "offer":
        this.#offers.offer(effect, now);
        return 0;
      case "pass":
        this.#offers.pass(effect, now);
        return 0;
      case "log":
        log.warn(effect.text);
        return 0;
      case "credentials": {
        const { addressOfRecord, exchange } = effect;
        others.credentials(addressOfRecord, exchange, (answer) =>
          this.event((at) => this.#exchange.credentials(addressOfRecord, answer, at), present()),
        );
        return 0;
      }
      case "flows": {
        const { addressOfRecord, exchange, reference } = effect;
        others.flows(addressOfRecord, exchange, (answer) => this.event((at) => this.#exchange.flows(reference, answer, at), present()));
        return 0;
      }
    }
    return effect satisfies never;
  }

  #send(outbox: Outbox, now: SteadyMs): void {
    for (const [access, records] of outbox.entries()) this.send(access, records, now);
  }

  #isTaken(access: string, records: readonly FrameRecord[], now: SteadyMs): boolean {
    try {
      return isLine(access) ? this.lines.send(access, records, now) : this.#backhauls.send(access, records, now);
    } catch (error) {
      this.#ports.log.threw(error);
      return false;
    }
  }

  #sweep(now: SteadyMs): void {
    if (now < this.#nextSweep) return;
    this.#nextSweep = this.#exchange.sweep(now) ?? now + sweepMs;
  }
}

/** An event that does not happen, for this replica is none any more. Who can be told is. */
function dismiss({ refused, over }: Aftermath, now: SteadyMs): void {
  if (refused === undefined) over?.([], now);
  else refused();
}
