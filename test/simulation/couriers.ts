import { cellOfLine } from "../../sip/flow/flow.ts";
import { stillWanted } from "../../cluster/backhaul/backlog.ts";
import { decodeFrame, encodeFrame, isFrameError, type FrameRecord } from "../../cluster/backhaul/frame.ts";
import { frameAnswerMsMax, frameValidMs } from "../../workers/limits.ts";
import type { Cell } from "./cell.ts";
import { TimelyCalls } from "./timely.ts";

type Returned = (access: string, records: readonly FrameRecord[]) => void;

/** Carries an exchange's records to lines, one frame at a time to each: workers/exchange/line-couriers.ts. */
export class Couriers {
  readonly #cell: Cell;
  readonly #returned: Returned;
  readonly #unreachable: Returned;
  readonly #queues = new Map<string, { waiting: FrameRecord[]; since: number; isBusy: boolean }>();
  readonly #calls: TimelyCalls;

  constructor(cell: Cell, returned: Returned, unreachable: Returned) {
    this.#cell = cell;
    this.#calls = new TimelyCalls(cell);
    this.#returned = returned;
    this.#unreachable = unreachable;
  }

  /** Undefined: with every line. */
  isIdleWith(access: string | undefined): boolean {
    return access === undefined ? this.#queues.size === 0 : !this.#queues.has(access);
  }

  send(access: string, records: readonly FrameRecord[]): void {
    const queue = this.#queues.get(access) ?? { waiting: [], since: 0, isBusy: false };
    if (queue.waiting.length === 0) queue.since = this.#cell.host.now;
    queue.waiting.push(...records);
    this.#queues.set(access, queue);
    if (!queue.isBusy) this.#next(access);
  }

  #next(access: string): void {
    const queue = this.#queues.get(access);
    if (queue === undefined) return;
    if (queue.waiting.length === 0) {
      this.#queues.delete(access);
      return;
    }
    queue.isBusy = true;
    const records = queue.waiting;
    queue.waiting = [];
    const over = (returned: readonly FrameRecord[] | undefined): void => {
      if (returned === undefined) this.#unreachable(access, wanted);
      else if (returned.length > 0) this.#returned(access, returned);
      this.#next(access);
    };
    const wanted = this.#cell.host.now - queue.since >= frameAnswerMsMax ? stillWanted(records) : records;
    const others = records.filter((record) => !wanted.includes(record));
    if (others.length > 0) this.#unreachable(access, others);
    this.#carry(access, wanted, over);
  }

  #carry(access: string, records: readonly FrameRecord[], done: (returned: readonly FrameRecord[] | undefined) => void): void {
    const { cluster, host } = this.#cell;
    const target = cluster.cell(cellOfLine(access));
    const frame = encodeFrame(0, 0, records);
    const read = (octets: Uint8Array | undefined): void => {
      const answer = octets === undefined ? undefined : decodeFrame(octets);
      done(answer === undefined || isFrameError(answer) ? undefined : answer.records);
    };
    if (target === this.#cell) host.soon(() => read(target.line(access).deliver(frame, host.now + frameValidMs)));
    else this.#calls.bring(target, (until, answer) => answer(target.line(access).deliver(frame, until)), read);
  }
}
