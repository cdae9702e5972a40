import { describe, describeRecord } from "./sip-text.ts";
import { isParseError } from "../../sip/errors.ts";
import type { View } from "../../cluster/group/view.ts";
import { isReachable } from "../../cluster/group/view.ts";
import type { PhoneFlow } from "../../sip/dialog/present-flow.ts";
import type { Effect } from "../../actors/exchange/effects.ts";
import { Exchange } from "../../actors/exchange/exchange.ts";
import { sweepMs } from "../../sip/limits.ts";
import { parseAnswer, parseBatch, serializeAnswer } from "../../cluster/replication/pair-batch.ts";
import { PairLink, refusedCause, type PairState } from "../../cluster/replication/pair-link.ts";
import { pairOf } from "../../cluster/map/cluster-map.ts";
import { msOfVersion } from "../../sip/record/version.ts";
import { joinMemories, memoryOnStart, type Memory } from "../../sip/record/memory.ts";
import { parseRecord, serializeRecord } from "../../sip/record/record-text.ts";
import { stillWanted } from "../../cluster/backhaul/backlog.ts";
import { isLate } from "../../cluster/time/far-clock.ts";
import { cellOfLine, isLine, lineOf } from "../../sip/flow/flow.ts";
import { decodeFrame, encodeFrame, isFrameError, jsonOctets, RecordKind, type FrameRecord } from "../../cluster/backhaul/frame.ts";
import type { Cell } from "./cell.ts";
import { Couriers } from "./couriers.ts";
import { leaseMsOf, lineListeners, simulatedHash, simulatedSign } from "./cluster.ts";
import type { End, EndHandlers } from "./network.ts";
import { Backhauls } from "./replica-backhauls.ts";
import type { Planned } from "./world.ts";

/** Timers may be this late: workers/limits.ts. */
const timerSpacingMs = 10;
const inputsWaitingMax = 2_000;
const cellAnswerMsMax = 2_000;

type Aftermath = {
  /** Called when what the event has changed is committed. */
  readonly committed?: () => void;
  /** An access that waits for an answer, and gets what is for it with that. */
  readonly answering?: { readonly access: string | undefined; readonly answer: (records: FrameRecord[]) => void };
};

/**
 * One replica of one exchange as workers/exchange runs it: the gate, the commits, the frames, the disk, the timers. The core, the link and the
 * store are the real ones.
 */
export class Replica {
  readonly exchange: Exchange;
  readonly number: number;
  readonly peer: string;
  readonly backhauls: Backhauls;
  readonly #cell: Cell;
  readonly #link: PairLink;
  readonly #couriers: Couriers;
  readonly #requests = new Map<number, () => void>();
  #waiting: (() => void)[] = [];
  #commits: { readonly sequence: number; readonly run: () => void }[] = [];
  #seen: number;
  #timer: Planned | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  #linkTimer: Planned | undefined;
  #linkTimerAt = Number.POSITIVE_INFINITY;
  #flushTimer: Planned | undefined;
  #nextSweep = 0;
  readonly #gone = new Set<string>();

  constructor(cell: Cell, number: number) {
    this.#cell = cell;
    this.number = number;
    const { map, random } = cell.cluster;
    const nextId = (): string => random.id();
    const { host } = cell;
    const { now } = host;
    this.exchange = new Exchange({ exchange: number, cell: cell.id, map }, { sign: simulatedSign, hash: simulatedHash, nextId }, now);
    let latest = 0;
    for (const text of cell.disk.rowsOf(number).values()) {
      const record = parseRecord(text);
      if (isParseError(record)) cell.host.threw(new Error(`unreadable row: ${record.reason}`));
      else {
        this.exchange.restore(record);
        latest = Math.max(latest, msOfVersion(record.version));
      }
    }
    const known = cell.disk.memories.get(number);
    this.#remember(known === undefined ? this.exchange.memory : memoryOnStart(known, latest, now));
    this.backhauls = new Backhauls(
      cell.disk,
      number,
      () => host.now,
      (access, records) => {
        this.#event((at) => {
          if (this.backhauls.has(access)) return this.#sendAgain(access, records);
          this.exchange.disconnectAccess(access, at);
          this.#notTaken(access, records, at);
        });
      },
    );
    this.#couriers = new Couriers(
      cell,
      (access, records) => this.#event((at) => this.#receive(access, records, at)),
      (access, records) => this.#event((at) => this.#notTaken(access, records, at)),
    );
    for (const { id } of map.cells) {
      for (let line = 0; line < map.lineCount; line += 1) this.exchange.connectAccess(lineOf(id, line), lineListeners(map));
    }
    const { primary, secondary } = pairOf(map, number);
    this.peer = primary === cell.id ? secondary : primary;
    const { store } = this.exchange;
    const options = {
      cell: cell.id,
      boot: nextId(),
      ackTimeoutMs: map.replication.ackTimeoutMs,
      leaseMs: leaseMsOf(map),
      memory: () => this.exchange.memory,
    };
    this.#link = new PairLink(options, store, now);
    this.#seen = store.sequence;
    this.#sweep(now);
    this.#arm(now);
    this.#settle();
    cell.host.soon(() => this.setView(cell.view));
  }

  get state(): PairState {
    return this.#link.state;
  }

  /** Nothing waits: no input, no commit, no batch, no timer. */
  get isIdle(): boolean {
    return (
      this.#waiting.length === 0 &&
      this.#commits.length === 0 &&
      this.#requests.size === 0 &&
      this.#couriers.isIdleWith(undefined) &&
      this.exchange.nextDeadline() === undefined
    );
  }

  /** A gateway's backhaul. */
  accept(access: string, end: End): EndHandlers {
    this.backhauls.accept(access, end);
    return {
      message: (data) => this.#backhaulFrame(end, data as Uint8Array),
      closed: () => this.backhauls.closed(end),
    };
  }

  /** A frame from a line; `answer` gets the frame that answers it, undefined: it is refused, or comes too late. */
  takeLineFrame(access: string, octets: Uint8Array, until: number | undefined, answer: (frame: Uint8Array | undefined) => void): void {
    const frame = decodeFrame(octets);
    if (isFrameError(frame)) throw new Error(frame.frameError);
    let isTaken = false;
    const answering = {
      access: this.#couriers.isIdleWith(access) ? access : undefined,
      answer: (records: FrameRecord[]) => {
        if (!isTaken && records.length > 0) this.#couriers.send(access, records);
        const reply = (): void => answer(isTaken ? encodeFrame(0, frame.seq, records) : undefined);
        // A line of another cell would say again to the other replica what is not acknowledged.
        if (cellOfLine(access) === this.#cell.id) reply();
        else this.#follow(reply);
      },
    };
    this.#event(
      (now) => {
        isTaken = !isLate(until, now);
        this.#receive(access, isTaken ? frame.records : stillWanted(frame.records), now);
      },
      { answering },
      () => answer(undefined),
    );
  }

  takeBatch(text: string): string {
    const { now } = this.#cell.host;
    const batch = parseBatch(text);
    if (isParseError(batch)) throw new Error(`no batch: ${batch.reason}`);
    if (batch.cell !== this.peer || batch.unreadable > 0) throw new Error(`a batch of ${batch.cell}, ${batch.unreadable} unreadable`);
    const { answer, records } = this.#link.receive(batch, now);
    if (records.length > 0) this.#cell.host.trace(() => `exchange ${this.number} < pair: ${records.map(describeRecord).join(", ")}`);
    for (const record of records) this.#run(() => this.exchange.applyFromPair(record, now));
    this.#seen = this.exchange.store.sequence;
    this.#link.applied(now);
    this.#settle();
    this.#carryOut(now, {});
    return serializeAnswer(answer);
  }

  setView(view: View): void {
    const reachable = view.cells.filter(({ id }) => id === this.#cell.id || isReachable(view, id)).map(({ id }) => id);
    this.exchange.setCells(new Set(reachable), this.#cell.host.now);
    this.exchange.setFenced(view.isFenced);
    this.#link.configure(this.#cell.cluster.map.replication.ackTimeoutMs, view.heartbeat.periodMs * view.heartbeat.missed);
    this.#link.see(reachable.includes(this.peer), this.#cell.host.now);
    this.#settle();
    this.#carryOut(this.#cell.host.now, {});
    for (const { id, isGone } of view.gateways) {
      if (isGone && !this.#gone.has(id)) this.#event((now) => this.exchange.accessGone(id, now));
      if (isGone) this.#gone.add(id);
      else this.#gone.delete(id);
    }
  }

  /** For an exchange of this cell that has a call with one of these phones. */
  flowsOf(addressOfRecord: string, answer: (flows: PhoneFlow[] | "unavailable") => void): void {
    this.#enter(() => answer(this.exchange.flowsOf(addressOfRecord, this.#cell.host.now)), undefined);
  }

  credentialsOf(addressOfRecord: string, answer: (credentials: ReturnType<Exchange["credentialsOf"]>) => void): void {
    this.#enter(() => answer(this.exchange.credentialsOf(addressOfRecord)), undefined);
  }

  #backhaulFrame(end: End, octets: Uint8Array): void {
    const input = this.backhauls.receive(end, octets);
    if (typeof input === "string") {
      // Only our own gateways speak here.
      this.#cell.host.threw(new Error(`exchange ${this.number}: the backhaul of a confused gateway: ${input}`));
      return this.backhauls.refuse(end);
    }
    const { access, seq, records, opened, roundTripMs } = input;
    if (roundTripMs !== undefined) this.exchange.answeredAfter(roundTripMs, this.#cell.host.now);
    const committed = (): void => this.backhauls.finish(end, seq);
    if (opened !== undefined) {
      this.exchange.connectAccess(access, opened.listeners);
      this.#arm(this.#cell.host.now);
      if (records.length === 0 && !opened.isNewBoot) committed();
      this.backhauls.tellServing(this.#link.isServing, access);
      if (!opened.isNewBoot) this.#sendAgain(access, opened.again);
    }
    if (records.length === 0 && opened?.isNewBoot !== true) {
      committed();
      this.backhauls.send(access, []);
      return;
    }
    const run = (now: number): void => {
      if (opened?.isNewBoot === true) {
        this.exchange.forgetConnections(access, now, opened.boot);
        this.#notTaken(access, opened.again, now);
      }
      this.#receive(access, records, now);
    };
    const done = (): void => {
      committed();
      this.backhauls.send(access, []);
    };
    this.#event(run, { committed: done }, () => this.backhauls.refuse(end));
  }

  /** Runs when this replica may serve, in order. `refused`: too much waits. */
  #enter(run: () => void, refused: (() => void) | undefined): void {
    if (this.#waiting.length === 0 && this.#link.admit(this.#cell.host.now)) return run();
    this.#settle();
    if (refused !== undefined && this.#waiting.length >= inputsWaitingMax) refused();
    else this.#waiting.push(run);
  }

  #event(run: (now: number) => void, aftermath: Aftermath = {}, refused?: () => void): void {
    this.#enter(() => {
      const { now } = this.#cell.host;
      this.#run(() => run(now));
      this.#carryOut(now, aftermath);
    }, refused);
  }

  #receive(access: string, records: readonly FrameRecord[], now: number): void {
    for (const record of records) {
      this.#cell.host.trace(() => `exchange ${this.number} < ${access}: ${describe(record)}`);
      if (record.kind !== RecordKind.hello) this.#run(() => this.exchange.receive(access, record, now));
    }
  }

  #run(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#cell.host.threw(error);
    }
  }

  #carryOut(now: number, { committed, answering }: Aftermath): void {
    this.#sweep(now);
    const early = new Map<string, FrameRecord[]>();
    const late = new Map<string, FrameRecord[]>();
    let sequence = 0;
    for (let effects = this.exchange.takeEffects(); effects.length > 0; effects = this.exchange.takeEffects()) {
      for (const effect of effects) sequence = Math.max(sequence, this.#sort(effect, early, late, now));
    }
    const answer = take(early, answering?.access);
    if (late.size === 0) {
      this.#follow(committed);
      this.#send(early);
      this.#arm(now);
      this.#flushLater();
      answering?.answer(answer);
      return;
    }
    this.#send(early);
    this.#arm(now);
    const wait = this.#commit(sequence, () => {
      answer.push(...take(late, answering?.access));
      this.#send(late);
      answering?.answer(answer);
    });
    this.#follow(committed);
    this.#flushLater();
    wait?.();
  }

  #sort(effect: Effect, early: Map<string, FrameRecord[]>, late: Map<string, FrameRecord[]>, now: number): number {
    switch (effect.type) {
      case "send": {
        const { access, record, commit } = effect;
        this.#cell.host.trace(
          () => `exchange ${this.number} > ${access}: ${describe(record)}${commit === undefined ? "" : `, when ${commit} is committed`}`,
        );
        if (isLine(access) || this.backhauls.has(access)) add(commit === undefined ? early : late, access, record);
        else this.#notTaken(access, [record], now);
        return commit ?? 0;
      }
      case "log":
        this.#cell.host.trace(() => effect.text);
        return 0;
      case "credentials":
        this.#ask<ReturnType<Exchange["credentialsOf"]>>(
          effect.exchange,
          (other, answer) => other.credentialsOf(effect.addressOfRecord, (found) => answer(found)),
          (found, at) => this.exchange.credentials(effect.addressOfRecord, found ?? "unknown", at),
        );
        return 0;
      case "flows":
        this.#cell.host.trace(() => `exchange ${this.number} asks exchange ${effect.exchange} where ${effect.addressOfRecord} is`);
        this.#ask<readonly PhoneFlow[] | "unavailable">(
          effect.exchange,
          (other, answer) => other.flowsOf(effect.addressOfRecord, answer),
          (found, at) => this.exchange.flows(effect.reference, found, at),
        );
        return 0;
    }
    return effect satisfies never;
  }

  /** Asks the replica of another exchange in this cell: with two cells there always is one. */
  #ask<Answer>(
    exchange: number,
    ask: (other: Replica, answer: (found: Answer) => void) => void,
    tell: (found: Answer | "unavailable", now: number) => void,
  ): void {
    const { host } = this.#cell;
    let isOver = false;
    const over = (found: Answer | "unavailable"): void => {
      if (isOver) return;
      isOver = true;
      timer.isOff = true;
      this.#event((now) => tell(found, now));
    };
    const timer = host.after(cellAnswerMsMax, () => over("unavailable"));
    host.soon(() => ask(this.#cell.replica(exchange), over));
  }

  #send(outbox: ReadonlyMap<string, FrameRecord[]>): void {
    for (const [access, records] of outbox) {
      if (isLine(access)) this.#couriers.send(access, records);
      else if (!this.backhauls.send(access, records)) this.#event((now) => this.#notTaken(access, records, now));
    }
  }

  #sendAgain(access: string, records: readonly FrameRecord[]): void {
    if (records.length > 0 && !this.backhauls.send(access, records)) this.#event((now) => this.#notTaken(access, records, now));
  }

  #notTaken(access: string, records: readonly FrameRecord[], now: number): void {
    if (!isLine(access) && !this.backhauls.has(access)) this.exchange.disconnectAccess(access, now);
    this.#run(() => this.exchange.unreachable(access, records, now));
    const questions = records.filter(({ kind }) => kind === RecordKind.resolve);
    this.#receive(
      access,
      questions.map(({ key }) => ({ kind: RecordKind.resolved, key, octets: jsonOctets([]) })),
      now,
    );
  }

  /** `run` is called when it is committed; returned, when it is so now. */
  #commit(sequence: number, run: () => void): (() => void) | undefined {
    const verdict = this.#link.commit(sequence, this.#cell.host.now);
    this.#seen = this.exchange.store.sequence;
    if (verdict === "disk") this.#flush();
    if (verdict === "wait") this.#commits.push({ sequence, run });
    this.#settle();
    return verdict === "wait" ? undefined : run;
  }

  /** An event is over: what it changed leaves soon; `done` is called when the pair has it, or there is none to wait for. */
  #follow(done: (() => void) | undefined): void {
    const { now } = this.#cell.host;
    this.#look(now);
    if (done === undefined) return;
    if (this.#link.follow(this.#seen, now) === "done") done();
    else this.#commits.push({ sequence: this.#seen, run: done });
    this.#settle();
  }

  #look(now: number): void {
    const { sequence } = this.exchange.store;
    if (sequence === this.#seen) return;
    this.#seen = sequence;
    this.#link.changed(now);
    this.#settle();
  }

  #settle(): void {
    for (let effects = this.#link.takeEffects(); effects.length > 0; effects = this.#link.takeEffects()) {
      for (const effect of effects) {
        switch (effect.type) {
          case "send":
            this.#sendBatch(effect.id, effect.text);
            break;
          case "abandon":
            this.#requests.get(effect.id)?.();
            this.#requests.delete(effect.id);
            break;
          case "state":
            this.#changed(effect.state, effect.cause);
            break;
          case "known":
            this.exchange.setPairKnown(effect.until);
            break;
          case "memory":
            this.#remember(joinMemories(this.exchange.memory, effect.memory));
            break;
          case "committed":
            this.#committed(effect.sequence, effect.needsDisk);
            break;
          case "open":
            for (const run of this.#waiting.splice(0)) this.#cell.host.soon(run);
            break;
        }
      }
    }
    this.#armLink();
  }

  #sendBatch(id: number, text: string): void {
    const { cluster, host } = this.#cell;
    const peer = cluster.cell(this.peer);
    host.trace(() => `exchange ${this.number} > pair: batch ${id}, ${text.length} octets`);
    const abort = cluster.network.request<string>(
      host,
      peer.host,
      (reply) => reply(peer.replica(this.number).takeBatch(text)),
      (answer) => {
        if (!this.#requests.delete(id)) return;
        const read = answer === undefined ? undefined : parseAnswer(answer);
        if (read === undefined) this.#link.failed(id, true, host.now);
        else if (isParseError(read)) throw new Error(read.reason);
        else this.#link.answered(id, read, host.now);
        this.#settle();
      },
    );
    this.#requests.set(id, abort);
  }

  #remember(memory: Memory): void {
    this.exchange.setMemory(memory);
    this.#cell.disk.memories.set(this.number, memory);
  }

  #changed(state: PairState, cause: string): void {
    this.#cell.host.trace(() => `exchange ${this.number}: ${state} with its pair: ${cause}`);
    this.#cell.cluster.pairStates.changed(this.#cell.id, this.number, state);
    this.exchange.store.setPairAway(state !== "together");
    this.#flushLater();
    if (state !== "syncing") this.backhauls.tellServing(true);
    if (state === "away" && cause === refusedCause) this.#cell.host.soon(() => this.#cell.suspect(this.peer, refusedCause));
  }

  #committed(sequence: number, needsDisk: boolean): void {
    if (needsDisk) this.#flush();
    let done = 0;
    while (done < this.#commits.length && (this.#commits[done]?.sequence ?? 0) <= sequence) done += 1;
    for (const { run } of this.#commits.splice(0, done)) this.#cell.host.soon(run);
    if (done > 0) this.#cell.host.soon(() => this.backhauls.acknowledge());
  }

  #armLink(): void {
    const deadline = this.#link.nextDeadline();
    if (deadline === undefined || this.#linkTimerAt <= deadline) return;
    const { host } = this.#cell;
    if (this.#linkTimer !== undefined) this.#linkTimer.isOff = true;
    this.#linkTimerAt = deadline;
    this.#linkTimer = host.at(Math.max(deadline, host.now + 1), () => {
      this.#linkTimerAt = Number.POSITIVE_INFINITY;
      this.#link.tick(host.now);
      this.#settle();
    });
  }

  #arm(now: number): void {
    const deadline = this.exchange.nextDeadline();
    if (deadline === undefined) return;
    const at = Math.max(deadline, now + timerSpacingMs);
    if (this.#timerAt <= at) return;
    if (this.#timer !== undefined) this.#timer.isOff = true;
    this.#timerAt = at;
    this.#timer = this.#cell.host.at(at, () => {
      this.#timerAt = Number.POSITIVE_INFINITY;
      this.#event((time) => this.exchange.tick(time));
    });
  }

  #flush(): void {
    if (this.#flushTimer !== undefined) this.#flushTimer.isOff = true;
    this.#flushTimer = undefined;
    const { put, remove } = this.exchange.store.takeDirty();
    const rows = this.#cell.disk.rowsOf(this.number);
    for (const record of put) rows.set(`${record.kind} ${record.key}`, serializeRecord(record));
    for (const { kind, key } of remove) rows.delete(`${kind} ${key}`);
  }

  #flushLater(): void {
    if (this.#flushTimer !== undefined || !this.exchange.store.hasDirty) return;
    this.#flushTimer = this.#cell.host.after(this.#cell.cluster.map.flushMs, () => this.#flush());
  }

  #sweep(now: number): void {
    if (now < this.#nextSweep) return;
    this.#nextSweep = this.exchange.sweep(now) ?? now + sweepMs;
  }
}

function add(outbox: Map<string, FrameRecord[]>, access: string, record: FrameRecord): void {
  const records = outbox.get(access);
  if (records === undefined) outbox.set(access, [record]);
  else records.push(record);
}

function take(outbox: Map<string, FrameRecord[]>, access: string | undefined): FrameRecord[] {
  if (access === undefined) return [];
  const records = outbox.get(access) ?? [];
  outbox.delete(access);
  return records;
}
