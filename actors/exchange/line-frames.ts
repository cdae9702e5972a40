import { stillWanted } from "../../cluster/backhaul/backlog.ts";
import { decodeFrame, encodeFrame, isFrameError, RecordKind, type Frame, type FrameRecord } from "../../cluster/backhaul/frame.ts";
import { isLate } from "../../cluster/time/far-clock.ts";
import { cellOfLine } from "../../sip/flow/flow.ts";
import type { SteadyMs } from "../../sip/time.ts";
import type { LineAnswer, LineFrame } from "./actor-inputs.ts";
import type { EventRunner } from "./event-runner.ts";
import { framesOf } from "./frames-of.ts";
import { KeptCounts } from "./kept-counts.ts";
import type { ExchangePorts } from "./ports.ts";

export type LineFramesOptions = {
  readonly cell: string;
  /** Names this start of this replica. */
  readonly boot: string;
  readonly events: EventRunner;
  readonly ports: Pick<ExchangePorts, "now" | "wallAt">;
};

/** Frames from lines: each is one event, and what that has for the line goes into the answer. */
export class LineFrames {
  readonly #options: LineFramesOptions;
  readonly #kept: KeptCounts;

  constructor(options: LineFramesOptions) {
    this.#options = options;
    this.#kept = new KeptCounts(options.boot);
  }

  /** `refusal`: why one is refused for which there is no room, or that is dismissed. */
  take({ access, octets, until }: LineFrame, { answered, refused }: LineAnswer, refusal: () => string): void {
    const { events, ports } = this.#options;
    const frame = decodeFrame(octets);
    if (isFrameError(frame)) return refused(`frame from line ${access}: ${frame.frameError}`);
    // What goes into the answer could overtake what is under way to this line already, a CANCEL its INVITE.
    const answering = events.lines.isIdle(access) ? access : undefined;
    let isTaken = false;
    const take = (at: SteadyMs): void => {
      isTaken = !isLate(until, ports.wallAt(at));
      events.receive(access, isTaken ? frame.records : stillWanted(frame.records), at);
    };
    const over = (records: FrameRecord[], at: SteadyMs): void => {
      if (isTaken) return this.#answer(access, frame, records, at, answered);
      events.send(access, records, at);
      answered(undefined);
    };
    events.event(take, ports.now(), { answering, over, refused: () => refused(refusal()) });
  }

  #answer(access: string, frame: Frame, records: FrameRecord[], now: SteadyMs, answered: LineAnswer["answered"]): void {
    const { cell, events } = this.#options;
    const isOwn = cellOfLine(access) === cell;
    const answer = (at: SteadyMs): void => {
      const [first = [], ...rest] = framesOf(isOwn ? [this.#kept.recordFor(access), ...records] : records);
      for (const some of rest) events.send(access, some, at);
      answered(encodeFrame(0, frame.seq, first));
    };
    if (isOwn) events.follow(now, this.#kept.take(access, frame.records));
    // A line of this cell keeps what it has said until it is told. One of another cell would say again to the other what is not acknowledged.
    if (isOwn && !frame.records.every(({ kind }) => kind === RecordKind.kept)) answer(now);
    else events.follow(now, answer);
  }
}
