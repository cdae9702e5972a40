import { stillWanted } from "../../cluster/backhaul/backlog.ts";
import { decodeFrame, encodeFrame, isFrameError, type FrameRecord } from "../../cluster/backhaul/frame.ts";
import { frameAnswerMsMax, lineQueueRecordsMax } from "../limits.ts";
import { framesOf } from "./frames-of.ts";
import type { LinePort } from "./ports.ts";
import type { Clocks, SteadyMs } from "../../sip/time.ts";

/** `since`: when the oldest of what waits came, ms. `frames`: those of which the last has not left. */
type Queue = { waiting: FrameRecord[]; since: SteadyMs; frames: Iterator<readonly FrameRecord[]> | undefined };

type Taker = (access: string, records: readonly FrameRecord[], now: SteadyMs) => void;

export type LineCouriersOptions = {
  readonly lines: LinePort;
  readonly now: Clocks["now"];
  /** Takes what a line says in answer: records that could not be delivered there. */
  readonly returned: Taker;
  /** Takes what could not even be brought to its line. */
  readonly unreachable: Taker;
  /** An invariant is broken. */
  readonly threw: (error: unknown) => void;
};

/**
 * Carries an exchange's records to lines. One frame at a time is under way to each line, so that order is kept; what comes meanwhile leaves
 * together in the next. A line does not deliver what comes too late: the exchange has been told by then that it could not be brought there.
 */
export class LineCouriers {
  readonly #options: LineCouriersOptions;
  readonly #queues = new Map<string, Queue>();

  constructor(options: LineCouriersOptions) {
    this.#options = options;
  }

  /** Nothing is under way or waiting: a message in an answer to this line would overtake nothing. */
  isIdle(access: string): boolean {
    return !this.#queues.has(access);
  }

  /** False: too much waits for this line already. */
  send(access: string, records: readonly FrameRecord[], now: SteadyMs): boolean {
    let queue = this.#queues.get(access);
    if ((queue?.waiting.length ?? 0) + records.length > lineQueueRecordsMax) return false;
    const isIdle = queue === undefined;
    if (queue === undefined) this.#queues.set(access, (queue = { waiting: [], since: now, frames: undefined }));
    if (queue.waiting.length === 0) queue.since = now;
    queue.waiting.push(...records);
    if (isIdle) this.#next(access, queue, now);
    return true;
  }

  #next(access: string, queue: Queue, now: SteadyMs): void {
    for (let records = this.#nextRecords(access, queue, now); records !== undefined; records = this.#nextRecords(access, queue, now)) {
      if (this.#bring(access, queue, records)) return;
      this.#options.unreachable(access, records, now);
    }
    this.#queues.delete(access);
  }

  /** Those of the next frame; undefined: nothing waits any more. */
  #nextRecords(access: string, queue: Queue, now: SteadyMs): readonly FrameRecord[] | undefined {
    let next = queue.frames?.next();
    while (next === undefined || next.done === true) {
      if (queue.waiting.length === 0) return undefined;
      queue.frames = framesOf(this.#take(access, queue, now));
      next = queue.frames.next();
    }
    return next.value;
  }

  /** False: no frame can be made of these records. */
  #bring(access: string, queue: Queue, records: readonly FrameRecord[]): boolean {
    let frame: Uint8Array;
    try {
      frame = encodeFrame(0, 0, records);
    } catch (error) {
      this.#options.threw(error);
      return false;
    }
    this.#options.lines.bring(access, frame, (answer) => {
      const now = this.#options.now();
      this.#answered(access, records, answer, now);
      this.#next(access, queue, now);
    });
    return true;
  }

  /** What waits and is wanted. Behind a frame that was waited for in vain, or while this process stood still, it may have waited as long as that one. */
  #take(access: string, queue: Queue, now: SteadyMs): readonly FrameRecord[] {
    const records = queue.waiting;
    queue.waiting = [];
    if (now - queue.since < frameAnswerMsMax) return records;
    const wanted = stillWanted(records);
    if (wanted.length < records.length) {
      const others = records.filter((record) => !wanted.includes(record));
      this.#options.unreachable(access, others, now);
    }
    return wanted;
  }

  #answered(access: string, records: readonly FrameRecord[], answer: Uint8Array | undefined, now: SteadyMs): void {
    const frame = answer === undefined ? undefined : decodeFrame(answer);
    if (frame === undefined || isFrameError(frame)) this.#options.unreachable(access, records, now);
    else if (frame.records.length > 0) this.#options.returned(access, frame.records, now);
  }
}
