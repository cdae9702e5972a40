import {
  frameAckDelayMs,
  frameDistanceMsMax,
  frameDistanceMsMin,
  frameFlushOctets,
  patientFrameDelayMs,
  backhaulQueueOctetsMax,
  shedDelayMs,
} from "../limits.ts";
import { messageOctetsMax } from "../../sip/limits.ts";
import { decodeFrame, encodeFrame, isFrameError, recordOctets, type FrameError, type FrameRecord } from "./frame.ts";
import { patienceOf, type Patience } from "./patience.ts";
import { Waiting } from "../overload/waiting.ts";
import type { SteadyMs } from "../../sip/time.ts";

/**
 * The access side of one backhaul, for gateways and lines: what waits, what is sent and not yet acknowledged, and when the next frame
 * leaves. No clock and no socket: `now` is an argument, frames are returned.
 *
 * A frame leaves with the event that brings its first record, unless another one has just left. From that one it keeps a distance: as many milliseconds
 * as the square root of what that one held, `frameDistanceMsMin` at least and `frameDistanceMsMax` at most. It keeps none when nothing of this backhaul
 * is unanswered, nor when `frameFlushOctets` are waiting. One with only REGISTERs and their like keeps a
 * millisecond for each record of the last one, `patientFrameDelayMs` at most. One that nobody waits for leaves when its oldest record is as old as that. So
 * an idle system adds no latency, and a busy one makes the larger frames the busier it is: the cost is per frame.
 *
 * Records of a frame that was not acknowledged are sent again, in order, on the next connection, where sequence numbers begin at 1 again. So a record
 * is delivered at least once: repeats are absorbed by the transaction layer.
 */
export class Backhaul<Offered extends FrameRecord = FrameRecord> {
  readonly #limits: BackhaulLimits;
  #connected = false;
  #pending: Offered[] = [];
  /** When each pending record was offered. */
  #pendingSince: SteadyMs[] = [];
  #pendingOctets = 0;
  /** When the first of them must leave. */
  #pendingUntil = Number.POSITIVE_INFINITY;
  /** The next frame keeps its distance until then, and one that nobody hears until then. */
  #nextFrameAt = Number.NEGATIVE_INFINITY;
  #nextQuietFrameAt = Number.NEGATIVE_INFINITY;
  /** Sent and not acknowledged, oldest first. */
  #sent: SentFrame<Offered>[] = [];
  #sentOctets = 0;
  #lastSeq = 0;
  #lastReceived = 0;
  /** Since when a received frame is not acknowledged, ms; undefined: all are. */
  #owesAckSince: SteadyMs | undefined;
  #offered = 0;
  #settled = 0;
  /** When it was last acknowledged something, ms. */
  #answeredAt = Number.NEGATIVE_INFINITY;
  readonly #waiting = new Waiting();

  constructor(limits: BackhaulLimits = defaultBackhaulLimits) {
    this.#limits = limits;
  }

  get isConnected(): boolean {
    return this.#connected;
  }

  /** Octets of records that wait or are unacknowledged. */
  get octetsHeld(): number {
    return this.#pendingOctets + this.#sentOctets;
  }

  /** When the oldest unacknowledged frame was sent, ms; undefined when everything is answered. */
  get unansweredSince(): number | undefined {
    return this.#sent[0]?.sentAt;
  }

  /** When the oldest unacknowledged frame that carries records was sent, ms: as {@link unansweredSince}, but for the hello. */
  get unansweredRecordsSince(): number | undefined {
    return (this.isHelloUnanswered ? this.#sent[1] : this.#sent[0])?.sentAt;
  }

  /**
   * When the other side last acknowledged something, ms. Whoever answers one frame after the other is late and not silent, however many are before
   * the latest.
   */
  get answeredAt(): number {
    return this.#answeredAt;
  }

  /**
   * How long frames wait to be read by the other side, the least since it was asked last, ms. Where nothing was acknowledged since, it is what is known for sure:
   * the other side lived at `heardAt`, and had not answered what was sent before. Undefined: it is silent in all, and nobody knows.
   */
  takeWaitingMs(heardAt: SteadyMs): number | undefined {
    const waiting = this.#waiting.take();
    const since = this.unansweredRecordsSince;
    if (waiting !== undefined || since === undefined) return waiting ?? 0;
    return heardAt - since > shedDelayMs ? heardAt - since : undefined;
  }

  get isHelloUnanswered(): boolean {
    return this.#sent[0]?.isHello === true;
  }

  /** How many records were offered so far. */
  get offered(): number {
    return this.#offered;
  }

  /** How many of the records offered are off its hands, oldest first: acknowledged, or taken back. */
  get settled(): number {
    return this.#settled;
  }

  /** True when sequence numbers, which have 32 bits, are nearly used up (after weeks): connect again. */
  get isSpent(): boolean {
    return this.#lastSeq > seqMax || this.#lastReceived > seqMax;
  }

  /**
   * Takes a record to send. False: the backhaul holds all it may, or the record can never travel; the caller answers a request with 503
   * and drops a response. The octets must not change until the record is acknowledged.
   */
  offer(record: Offered, now: SteadyMs): boolean {
    if (!isCarriable(record)) return false;
    const octets = recordOctets(record.key, record.octets);
    if (this.octetsHeld + octets > this.#limits.queueOctetsMax) return false;
    this.#pending.push(record);
    this.#pendingSince.push(now);
    this.#pendingOctets += octets;
    this.#pendingUntil = Math.min(this.#pendingUntil, this.#dueAt(patienceOf(record), now));
    this.#offered += 1;
    return true;
  }

  /** A connection was made: the frames to send on it, first one with the hello, then all that no earlier connection acknowledged. */
  connect(hello: FrameRecord, now: SteadyMs): Uint8Array[] {
    const unacknowledged = this.#sent;
    this.#connected = true;
    this.#lastSeq = 1;
    this.#lastReceived = 0;
    this.#owesAckSince = undefined;
    this.#sent = [{ seq: 1, records: [], since: now, sentAt: now, octets: 0, isHello: true }];
    this.#sentOctets = 0;
    const frames = [encodeFrame(1, 0, [hello])];
    for (const frame of unacknowledged) if (!frame.isHello) frames.push(this.#send(frame.records, frame.since, now));
    return frames;
  }

  /** The connection is gone. Everything unacknowledged is kept for the next one, or for {@link takeUnacknowledged}. */
  disconnect(): void {
    this.#connected = false;
  }

  /**
   * A frame arrived: its records, in order. An error means that the other side is confused: close the connection and connect again. Afterwards
   * {@link tick}: an acknowledgement may set waiting records free. It is itself acknowledged by the next frame that leaves, or by one without records
   * when none does for a while. The exchange gives what is not acknowledged another way when this connection is lost.
   */
  receive(octets: Uint8Array, now: SteadyMs): readonly FrameRecord[] | FrameError {
    const frame = decodeFrame(octets);
    if (isFrameError(frame)) return frame;
    if (frame.seq !== 0) {
      if (frame.seq !== this.#lastReceived + 1) return { frameError: `frame ${frame.seq} after ${this.#lastReceived}` };
      this.#lastReceived = frame.seq;
      this.#owesAckSince ??= now;
    }
    if (frame.ack > this.#lastSeq) return { frameError: `acknowledges ${frame.ack} of ${this.#lastSeq}` };
    let acknowledged = 0;
    for (const sent of this.#sent) {
      if (sent.seq > frame.ack) break;
      this.#sentOctets -= sent.octets;
      this.#settled += sent.records.length;
      acknowledged += 1;
    }
    if (acknowledged > 0) {
      const latest = this.#sent[acknowledged - 1];
      if (latest?.isHello === false) this.#waiting.acknowledged(now - latest.sentAt, now);
      this.#sent.splice(0, acknowledged);
      this.#answeredAt = now;
    }
    return frame.records;
  }

  /** The frames that are due now, in order; none while there is no connection. */
  tick(now: SteadyMs): Uint8Array[] {
    const deadline = this.#recordsDeadline();
    if (deadline === undefined || now < deadline) return this.#acknowledgement(now);
    const frames: Uint8Array[] = [];
    this.#keepDistance(now);
    let start = 0;
    while (start < this.#pending.length) {
      let end = start;
      for (let octets = 0; end < this.#pending.length && octets < this.#limits.flushOctets; end += 1) {
        const record = this.#pending[end];
        if (record !== undefined) octets += recordOctets(record.key, record.octets);
      }
      const whole = start === 0 && end === this.#pending.length;
      const records = whole ? this.#pending : this.#pending.slice(start, end);
      frames.push(this.#send(records, this.#pendingSince[start] ?? now, now));
      start = end;
    }
    this.#pending = [];
    this.#pendingSince = [];
    this.#pendingOctets = 0;
    this.#pendingUntil = Number.POSITIVE_INFINITY;
    return frames;
  }

  /** When {@link tick} must be called next, ms; undefined: after the next offer, frame or connection. */
  nextDeadline(): number | undefined {
    const records = this.#recordsDeadline();
    if (!this.#connected || this.#owesAckSince === undefined) return records;
    return Math.min(records ?? Number.POSITIVE_INFINITY, this.#owesAckSince + frameAckDelayMs);
  }

  #recordsDeadline(): number | undefined {
    const since = this.#pendingSince[0];
    if (!this.#connected || since === undefined) return undefined;
    return this.#sent.length === 0 || this.#pendingOctets >= this.#limits.flushOctets ? since : this.#pendingUntil;
  }

  /** All records that nobody acknowledged, in order, to be offered to another replica. This backhaul forgets them. */
  takeUnacknowledged(): Offered[] {
    return this.takeOfferedBefore(Number.POSITIVE_INFINITY);
  }

  /**
   * Gives up on records that were offered before `time`: they are returned, in order, and forgotten. Frames go as a whole, by their
   * oldest record. Only while there is no connection: what is on its way cannot be taken back.
   */
  takeOfferedBefore(time: SteadyMs): Offered[] {
    const taken: Offered[] = [];
    if (this.#connected && time !== Number.POSITIVE_INFINITY) return taken;
    const kept: SentFrame<Offered>[] = [];
    for (const frame of this.#sent) {
      if (frame.since >= time) kept.push(frame);
      else {
        this.#sentOctets -= frame.octets;
        for (const record of frame.records) taken.push(record);
      }
    }
    this.#sent = kept;
    let count = 0;
    while (count < this.#pending.length && (this.#pendingSince[count] ?? 0) < time) count += 1;
    for (const record of this.#pending.splice(0, count)) {
      this.#pendingOctets -= recordOctets(record.key, record.octets);
      taken.push(record);
    }
    this.#pendingSince.splice(0, count);
    if (this.#pending.length === 0) this.#pendingUntil = Number.POSITIVE_INFINITY;
    this.#settled += taken.length;
    return taken;
  }

  /** When a record that is offered now leaves at the latest, ms. */
  #dueAt(patience: Patience, now: SteadyMs): number {
    if (patience === "much") return now + this.#limits.patientDelayMs;
    return Math.max(now, patience === "some" ? this.#nextQuietFrameAt : this.#nextFrameAt);
  }

  /** All that is pending leaves now: how far behind it the next frame stays. */
  #keepDistance(now: SteadyMs): void {
    const { distanceMsMin, distanceMsMax, patientDelayMs } = this.#limits;
    const count = this.#pending.length;
    this.#nextFrameAt = now + Math.min(Math.max(distanceMsMin, Math.round(Math.sqrt(count))), distanceMsMax);
    this.#nextQuietFrameAt = now + Math.min(Math.max(distanceMsMin, count), patientDelayMs);
  }

  #acknowledgement(now: SteadyMs): Uint8Array[] {
    if (!this.#connected || this.#owesAckSince === undefined || now < this.#owesAckSince + frameAckDelayMs) return [];
    this.#owesAckSince = undefined;
    return [encodeFrame(0, this.#lastReceived, [])];
  }

  #send(records: readonly Offered[], since: SteadyMs, now: SteadyMs): Uint8Array {
    this.#lastSeq += 1;
    let octets = 0;
    for (const record of records) octets += recordOctets(record.key, record.octets);
    this.#sent.push({ seq: this.#lastSeq, records, since, sentAt: now, octets, isHello: false });
    this.#sentOctets += octets;
    this.#owesAckSince = undefined;
    return encodeFrame(this.#lastSeq, this.#lastReceived, records);
  }
}

/** False for a record that no frame can carry. */
export function isCarriable(record: FrameRecord): boolean {
  return record.octets.length <= messageOctetsMax && record.key.length <= 255;
}

export type BackhaulLimits = {
  /** Octets of records held, waiting and unacknowledged together. */
  readonly queueOctetsMax: number;
  /** The smallest and the largest distance of frames. */
  readonly distanceMsMin: number;
  readonly distanceMsMax: number;
  /** How long a record waits that can, and the largest distance of those that nobody hears. */
  readonly patientDelayMs: number;
  readonly flushOctets: number;
};

export const defaultBackhaulLimits: BackhaulLimits = {
  queueOctetsMax: backhaulQueueOctetsMax,
  distanceMsMin: frameDistanceMsMin,
  distanceMsMax: frameDistanceMsMax,
  patientDelayMs: patientFrameDelayMs,
  flushOctets: frameFlushOctets,
};

/** A margin below 2^32: frames go on while the connection is replaced. */
const seqMax = 2 ** 32 - 2 ** 20;

type SentFrame<Offered extends FrameRecord> = {
  readonly seq: number;
  /** Empty for a hello. */
  readonly records: readonly Offered[];
  /** When its oldest record was offered. */
  readonly since: SteadyMs;
  readonly sentAt: SteadyMs;
  readonly octets: number;
  /** A hello belongs to its connection: it is never sent again. */
  readonly isHello: boolean;
};
