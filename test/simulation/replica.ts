import { ExchangeActor } from "../../actors/exchange/exchange-actor.ts";
import type { Exchange } from "../../actors/exchange/exchange.ts";
import type { BackhaulSocket, ExchangePorts, LinePort, OtherExchangesPort, PeerPort } from "../../actors/exchange/ports.ts";
import { frameValidMs } from "../../actors/limits.ts";
import { decodeFrame, isFrameError } from "../../cluster/backhaul/frame.ts";
import type { View } from "../../cluster/group/view.ts";
import { pairOf } from "../../cluster/map/cluster-map.ts";
import { parseBatch } from "../../cluster/replication/peer-batch.ts";
import { refusedCause, type PairState } from "../../cluster/replication/peer-link.ts";
import { isParseError } from "../../sip/errors.ts";
import type { PhoneFlow } from "../../sip/dialog/present-flow.ts";
import { cellOfLine } from "../../sip/flow/flow.ts";
import { cellAnswerMsMax } from "../../workers/limits.ts";
import type { Cell } from "./cell.ts";
import { lineListeners, simulatedHash, simulatedSign } from "./cluster.ts";
import { timersOf } from "./host-timer.ts";
import type { End, EndHandlers } from "./network.ts";
import { describe, describeRecord } from "./sip-text.ts";
import { TimelyCalls } from "./timely.ts";
import type { Planned } from "./world.ts";

type CredentialsAnswer = ReturnType<Exchange["credentialsOf"]>;
type FlowsAnswer = readonly PhoneFlow[] | "unavailable";

/** One replica of one exchange: the real actor, in a simulated process. */
export class Replica {
  readonly number: number;
  readonly #cell: Cell;
  readonly #peer: string;
  readonly #actor: ExchangeActor;
  readonly #calls: TimelyCalls;
  /** Batches under way to the peer: how to give them up. */
  readonly #batches = new Map<number, () => void>();
  #framesToLines = 0;
  #alarm: Planned | undefined;
  #alarmAt = Number.POSITIVE_INFINITY;

  constructor(cell: Cell, number: number) {
    this.#cell = cell;
    this.number = number;
    const { map, random } = cell.cluster;
    const { host } = cell;
    const { primary, secondary } = pairOf(map, number);
    this.#peer = primary === cell.id ? secondary : primary;
    this.#calls = new TimelyCalls(cell);
    const nextId = (): string => random.id();
    this.#actor = new ExchangeActor(
      {
        exchange: number,
        cell: cell.id,
        peer: this.#peer,
        boot: nextId(),
        map,
        orphansUntil: cell.resting.get(number),
        lineListeners: () => lineListeners(map),
      },
      { sign: simulatedSign, hash: simulatedHash, nextId },
      this.#ports(),
      host.now,
    );
    this.#actor.start(host.now);
  }

  get exchange(): Exchange {
    return this.#actor.exchange;
  }

  get isServing(): boolean {
    return this.#actor.isServing;
  }

  get state(): PairState | "alone" {
    return this.#actor.pairState;
  }

  /** Nothing is under way, and no transaction waits. */
  get isIdle(): boolean {
    return this.#batches.size === 0 && this.#framesToLines === 0 && this.exchange.nextDeadline() === undefined;
  }

  /** A gateway's backhaul. */
  accept(access: string, end: End): EndHandlers {
    const { host } = this.#cell;
    const backhaul = this.#actor.acceptBackhaul(access, new BackhaulOverEnd(end, (frame) => this.#traceOut(access, frame)));
    return {
      message: (data) => {
        this.#traceIn(access, data as Uint8Array);
        this.#actor.takeBackhaulFrame(backhaul, data as Uint8Array, host.now, () => {});
      },
      closed: () => this.#actor.backhaulClosed(backhaul, host.now),
    };
  }

  /** A frame from a line; `answer` gets the frame that answers it, undefined: it is refused, or comes too late. */
  takeLineFrame(access: string, octets: Uint8Array, until: number | undefined, answer: (frame: Uint8Array | undefined) => void): void {
    this.#traceIn(access, octets);
    const answered = (frame: Uint8Array | undefined): void => {
      if (frame !== undefined) this.#traceOut(access, frame);
      answer(frame);
    };
    this.#actor.takeLineFrame({ access, octets, until }, this.#cell.host.now, { answered, refused: () => answer(undefined) });
  }

  takeBatch(text: string): string {
    this.#cell.host.trace(() => `exchange ${this.number} < peer: ${describedBatch(text)}`);
    const answer = this.#actor.takePeerBatch(text, this.#cell.host.now);
    if (answer === undefined) throw new Error("no batch of the peer's");
    return answer;
  }

  setView(view: View): void {
    this.#actor.setView(view, this.#cell.host.now);
  }

  /** For an exchange of this cell that has a call with one of these phones. */
  flowsOf(addressOfRecord: string, answer: (flows: FlowsAnswer) => void): void {
    this.#actor.whenServing(
      (now) => answer(this.exchange.flowsOf(addressOfRecord, now)),
      this.#cell.host.now,
      () => answer("unavailable"),
    );
  }

  credentialsOf(addressOfRecord: string, answer: (credentials: CredentialsAnswer | "unavailable") => void): void {
    this.#actor.whenServing(
      () => answer(this.exchange.credentialsOf(addressOfRecord)),
      this.#cell.host.now,
      () => answer("unavailable"),
    );
  }

  #ports(): ExchangePorts {
    const { host, disk, resting } = this.#cell;
    const { number } = this;
    return {
      timer: (run) => timersOf(host)(() => run(host.now)),
      soon: (run) => host.soon(() => run(host.now)),
      alarm: { arm: (at) => this.#armAlarm(at) },
      rest: { begin: (orphansUntil) => resting.set(number, orphansUntil), end: () => resting.delete(number) },
      disk: disk.ofExchange(number),
      boots: { of: (access) => disk.bootOf(number, access), keep: (access, boot) => disk.keepBoot(number, access, boot) },
      room: { isFull: false, ask: () => true, askInside: () => true },
      peer: this.#peerPort(),
      lines: this.#linePort(),
      others: this.#othersPort(),
      coreGroup: {
        askForView: (isSyncing) => host.soon(() => this.#actor.setFirstView(this.#cell.viewFor(number, isSyncing), host.now)),
        caughtUp: () => host.soon(() => this.#cell.caughtUp(number)),
        suspect: (cell, cause) => host.soon(() => this.#cell.suspect(cell, cause)),
        pairChanged: (state, cause) => {
          host.trace(() => `exchange ${number}: ${state} with its peer: ${cause}`);
          this.#cell.cluster.pairStates.changed(this.#cell.id, number, state);
        },
      },
      log: {
        warn: (text) => host.trace(() => text),
        // Only our own parts speak here.
        error: (text) => host.threw(new Error(text)),
        threw: (error) => host.threw(error),
      },
    };
  }

  #peerPort(): PeerPort {
    const { cluster, host } = this.#cell;
    return {
      send: (id, batch) => {
        const peer = cluster.cell(this.#peer);
        host.trace(() => `exchange ${this.number} > peer: batch ${id}, ${batch.length} octets`);
        const giveUp = cluster.network.request<string>(
          host,
          peer.host,
          (reply) => reply(peer.replica(this.number).takeBatch(batch)),
          (answer) => {
            if (!this.#batches.delete(id)) return;
            if (answer === undefined) this.#actor.peerFailed(id, true, refusedCause, host.now);
            else this.#actor.peerAnswered(id, answer, host.now);
          },
        );
        this.#batches.set(id, giveUp);
      },
      abandon: (id) => {
        this.#batches.get(id)?.();
        this.#batches.delete(id);
      },
    };
  }

  #linePort(): LinePort {
    const { cluster, host } = this.#cell;
    return {
      bring: (access, frame, done) => {
        this.#traceOut(access, frame);
        this.#framesToLines += 1;
        const over = (answer: Uint8Array | undefined): void => {
          this.#framesToLines -= 1;
          done(answer, host.now);
        };
        const target = cluster.cell(cellOfLine(access));
        if (target === this.#cell) host.soon(() => over(target.line(access).deliver(frame, host.now + frameValidMs)));
        else this.#calls.bring(target, (until, answer) => answer(target.line(access).deliver(frame, until)), over);
      },
    };
  }

  #othersPort(): OtherExchangesPort {
    return {
      credentials: (addressOfRecord, exchange, answered) =>
        this.#ask<CredentialsAnswer | "unavailable">(
          exchange,
          (other, answer) => other.credentialsOf(addressOfRecord, answer),
          (found) => answered(found ?? "unknown", this.#cell.host.now),
        ),
      flows: (addressOfRecord, exchange, answered) => {
        this.#cell.host.trace(() => `exchange ${this.number} asks exchange ${exchange} where ${addressOfRecord} is`);
        this.#ask<FlowsAnswer>(
          exchange,
          (other, answer) => other.flowsOf(addressOfRecord, answer),
          (found) => answered(found, this.#cell.host.now),
        );
      },
    };
  }

  /** Asks the replica of another exchange in this cell: with two cells there always is one. */
  #ask<Answer>(
    exchange: number,
    ask: (other: Replica, answer: (found: Answer) => void) => void,
    tell: (found: Answer | "unavailable") => void,
  ): void {
    const { host } = this.#cell;
    let isOver = false;
    const over = (found: Answer | "unavailable"): void => {
      if (isOver) return;
      isOver = true;
      timer.isOff = true;
      tell(found);
    };
    const timer = host.after(cellAnswerMsMax, () => over("unavailable"));
    host.soon(() => ask(this.#cell.replica(exchange), over));
  }

  #armAlarm(at: number): void {
    if (this.#alarmAt <= at) return;
    if (this.#alarm !== undefined) this.#alarm.isOff = true;
    this.#alarmAt = at;
    this.#alarm = this.#cell.host.at(at, () => {
      this.#alarmAt = Number.POSITIVE_INFINITY;
      this.#actor.alarmRang(this.#cell.host.now, () => {});
    });
  }

  #traceIn(access: string, frame: Uint8Array): void {
    this.#cell.host.trace(() => `exchange ${this.number} < ${access}: ${described(frame)}`);
  }

  #traceOut(access: string, frame: Uint8Array): void {
    this.#cell.host.trace(() => `exchange ${this.number} > ${access}: ${described(frame)}`);
  }
}

/** The socket of a backhaul: one end of a simulated connection. */
class BackhaulOverEnd implements BackhaulSocket {
  readonly #end: End;
  readonly #trace: (frame: Uint8Array) => void;

  constructor(end: End, trace: (frame: Uint8Array) => void) {
    this.#end = end;
    this.#trace = trace;
  }

  send(frame: Uint8Array): boolean {
    if (!this.#end.isOpen) return false;
    this.#trace(frame);
    this.#end.send(frame);
    return true;
  }

  close(): void {
    this.#end.close();
  }

  /** Connections end with the process: nobody wakes with one. */
  keep(): void {}
}

function described(octets: Uint8Array): string {
  const frame = decodeFrame(octets);
  if (isFrameError(frame)) return frame.frameError;
  return frame.records.length === 0 ? `acknowledges ${frame.ack}` : frame.records.map(describe).join(", ");
}

function describedBatch(text: string): string {
  const batch = parseBatch(text);
  return isParseError(batch) ? batch.reason : batch.records.map(describeRecord).join(", ");
}
