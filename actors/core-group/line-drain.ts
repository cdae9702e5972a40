import type { SteadyMs } from "../../sip/time.ts";
import { drainMsMax, drainPatienceMs, drainPortionMax, drainQuietMs, drainStepMs, drainStrangersPortion } from "../limits.ts";
import { DrainPace } from "../drain-pace.ts";
import type { MakeTimer, Timer } from "../timer.ts";

/**
 * What the lines of a cell do with softphones:
 * - `take`: the cell is in service.
 * - `keep`: new ones are to connect elsewhere, and those that are here stay for now.
 * - `send`: those that are here are sent elsewhere as well.
 */
export type LinesMode = "take" | "keep" | "send";

/**
 * So many are sent elsewhere, and no new ones are taken for a while:
 * - of the registered ones `most`. Those come first that have had no message for `quietMs`, and the others wait while `isPatient`;
 * - of those on which nobody has registered `strangersMost`, whatever they send.
 */
export type SendOrder = { readonly most: number; readonly strangersMost: number; readonly quietMs: number; readonly isPatient: boolean };

/** What a line says to that: how many softphones are left, and how late exchanges were for it lately, ms. Undefined: it has asked for nothing. */
export type SendAnswer = { readonly left: number; readonly lateMs: number | undefined };

export type LineDrainPorts = {
  readonly now: () => SteadyMs;
  readonly timer: MakeTimer;
  /** Undefined: the line has not taken the order. */
  readonly send: (line: number, order: SendOrder, answered: (answer: SendAnswer | undefined) => void) => void;
  readonly take: (line: number) => void;
};

/**
 * While this cell is out of service and another one is up, it has its lines send their softphones elsewhere, at the pace that all can bear. Those in the
 * middle of something come last. Softphones may be in the middle of something for ever, and keep all late: it is over after {@link drainMsMax} all the same.
 * A line takes no new ones as long as it is told so again and again: if this process ends, nobody is kept out for long.
 */
export class LineDrain {
  readonly #lineCount: number;
  readonly #ports: LineDrainPorts;
  readonly #timer: Timer;
  #mode: LinesMode = "take";
  /** Counts changes of the mode: what an earlier one's lines answer late counts no more. */
  #changes = 0;
  #pace = new DrainPace();
  #steps = 0;
  #begunAt: SteadyMs = 0;
  /** Those wait that are in the middle of something. Once it is over it stays so: it would be paid again for each that goes. */
  #isPatient = true;
  /** When one last went, or they began to be sent. */
  #wentAt: SteadyMs = 0;
  /** When the present step was to be, ms. */
  #dueAt: SteadyMs = 0;
  /** By line: how many softphones it had left when it last said so. */
  readonly #left = new Map<number, number>();

  constructor(lineCount: number, ports: LineDrainPorts) {
    this.#lineCount = lineCount;
    this.#ports = ports;
    this.#timer = ports.timer(() => this.#step());
  }

  /** Softphones that are still connected; undefined: not known yet, or none is to go. */
  get left(): number | undefined {
    return this.#mode === "take" || this.#left.size < this.#lineCount ? undefined : this.#sum();
  }

  set(mode: LinesMode): void {
    if (mode === this.#mode) return;
    if (this.#mode === "take") this.#left.clear();
    this.#mode = mode;
    this.#changes += 1;
    this.#pace = new DrainPace();
    const now = this.#ports.now();
    [this.#begunAt, this.#wentAt, this.#dueAt, this.#isPatient] = [now, now, now, true];
    this.#timer.clear();
    if (mode !== "take") return this.#step();
    for (let line = 0; line < this.#lineCount; line += 1) this.#ports.take(line);
  }

  #step(): void {
    const { now, send } = this.#ports;
    const [before, changes, startedAt] = [this.#sum(), this.#changes, now()];
    // The second half of the time is for those that were waited for.
    if (startedAt - this.#wentAt >= drainPatienceMs || startedAt - this.#begunAt >= drainMsMax / 2) this.#isPatient = false;
    const answers: (SendAnswer | undefined)[] = [];
    this.#steps += 1;
    for (let line = 0; line < this.#lineCount; line += 1) {
      send(line, this.#orderFor(line, startedAt), (answer) => {
        if (this.#changes !== changes) return;
        if (answer !== undefined) this.#left.set(line, answer.left);
        answers.push(answer);
        if (answers.length === this.#lineCount) this.#over(answers, before);
      });
    }
  }

  #orderFor(line: number, now: SteadyMs): SendOrder {
    const quiet = { quietMs: drainQuietMs, isPatient: this.#isPatient };
    if (this.#mode !== "send") return { ...quiet, most: 0, strangersMost: 0 };
    const share = this.#pace.shareOf(line, this.#lineCount, this.#steps);
    // What it has left, spread over what is left of the time. All may be at one line.
    const inTime = DrainPace.least(this.#left.get(line) ?? 0, this.#begunAt + drainMsMax - now);
    const least = Math.min(Math.ceil(drainPortionMax / this.#lineCount), inTime);
    return { ...quiet, most: Math.max(share, least), strangersMost: Math.ceil(drainStrangersPortion / this.#lineCount) };
  }

  #over(answers: readonly (SendAnswer | undefined)[], before: number): void {
    const now = this.#ports.now();
    // Steps that come late, and lines that answer late, say that this process has more to do than it can.
    this.#pace.measured(Math.max(now - this.#dueAt, ...answers.map((answer) => answer?.lateMs ?? 0)));
    if (this.#sum() < before) this.#wentAt = now;
    this.#dueAt = now + drainStepMs;
    this.#timer.set(drainStepMs);
  }

  #sum(): number {
    return [...this.#left.values()].reduce((sum, left) => sum + left, 0);
  }
}
