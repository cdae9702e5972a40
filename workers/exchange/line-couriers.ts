import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { stillWanted } from "../../cluster/backhaul/backlog.ts";
import { cellOfLine } from "../../sip/flow/flow.ts";
import { decodeFrame, encodeFrame, isFrameError, type FrameRecord } from "../../cluster/backhaul/frame.ts";
import { within } from "../cells.ts";
import { lineName, type Environment } from "../environment.ts";
import { frameAnswerMsMax, frameValidMs, lineQueueRecordsMax } from "../limits.ts";
import type { TimelyCalls } from "../timely-calls.ts";
import { framesOf } from "./frames-of.ts";
import { warnOf } from "../way-lost.ts";

/** `since`: when the oldest of what waits came, ms. */
type Queue = { waiting: FrameRecord[]; since: number; isBusy: boolean };

/**
 * Carries an exchange's records to lines: a call within the cell, a signed request to another one. One frame at a time is under way to
 * each line, so that order is kept; what comes meanwhile leaves together in the next. A line does not deliver what comes too late: the
 * exchange has been told by then that it could not be brought there.
 */
export class LineCouriers {
  readonly #env: Environment;
  readonly #map: ClusterMap;
  readonly #exchange: number;
  readonly #calls: TimelyCalls;
  /** Takes what a line says in answer: records that could not be delivered there. */
  readonly #returned: (access: string, records: readonly FrameRecord[]) => void;
  /** Takes what could not even be brought to its line. */
  readonly #unreachable: (access: string, records: readonly FrameRecord[]) => void;
  readonly #queues = new Map<string, Queue>();

  constructor(
    env: Environment,
    map: ClusterMap,
    exchange: number,
    calls: TimelyCalls,
    returned: (access: string, records: readonly FrameRecord[]) => void,
    unreachable: (access: string, records: readonly FrameRecord[]) => void,
  ) {
    this.#env = env;
    this.#map = map;
    this.#exchange = exchange;
    this.#calls = calls;
    this.#returned = returned;
    this.#unreachable = unreachable;
  }

  /** Nothing is under way or waiting: a message in an answer to this line would overtake nothing. */
  isIdle(access: string): boolean {
    return !this.#queues.has(access);
  }

  /** False: too much waits for this line already. */
  send(access: string, records: readonly FrameRecord[]): boolean {
    const queue = this.#queues.get(access) ?? { waiting: [], since: 0, isBusy: false };
    if (queue.waiting.length + records.length > lineQueueRecordsMax) return false;
    if (queue.waiting.length === 0) queue.since = Date.now();
    queue.waiting.push(...records);
    this.#queues.set(access, queue);
    if (!queue.isBusy) void this.#empty(access, queue);
    return true;
  }

  async #empty(access: string, queue: Queue): Promise<void> {
    queue.isBusy = true;
    while (queue.waiting.length > 0) {
      const records = queue.waiting;
      queue.waiting = [];
      // Behind a frame that was waited for in vain, or while this process stood still: what waited so long is as late as that one.
      const wanted = Date.now() - queue.since >= frameAnswerMsMax ? stillWanted(records) : records;
      if (wanted.length < records.length) {
        const others = records.filter((record) => !wanted.includes(record));
        this.#unreachable(access, others);
      }
      for (const some of framesOf(wanted)) {
        const returned = await this.#carry(access, some);
        if (returned === undefined) this.#unreachable(access, some);
        else if (returned.length > 0) this.#returned(access, returned);
      }
    }
    this.#queues.delete(access);
  }

  /** What the line gives back; undefined: it cannot be reached. */
  async #carry(access: string, records: readonly FrameRecord[]): Promise<readonly FrameRecord[] | undefined> {
    try {
      const answer = decodeFrame(await this.#call(access, encodeFrame(0, 0, records)));
      return isFrameError(answer) ? undefined : answer.records;
    } catch (error) {
      warnOf(`exchange ${this.#exchange}: line ${access} is unreachable`, error);
      return undefined;
    }
  }

  #call(access: string, frame: Uint8Array): Promise<Uint8Array> {
    const cell = cellOfLine(access);
    const line = Number(access.slice(cell.length + 1));
    if (!Number.isInteger(line) || line < 0 || line >= this.#map.lineCount) throw new Error("no such line");
    if (cell !== this.#env.CELL) return this.#calls.bring(cell, `/cell/line/${line}?exchange=${this.#exchange}`, frame);
    return within(this.#deliverHere(line, frame), frameAnswerMsMax);
  }

  async #deliverHere(line: number, frame: Uint8Array): Promise<Uint8Array> {
    const answer = await this.#env.LINE.getByName(lineName(line)).deliver(frame, Date.now() + frameValidMs);
    if (answer === undefined) throw new Error("it came too late");
    return answer;
  }
}
