import { jsonOctets, parseJsonOctets } from "../cluster/backhaul/frame.ts";
import { decodeMessage, encodeMessage, QuestionKind, type Message } from "../cluster/backhaul/question.ts";
import { frameAnswerMsMax } from "./limits.ts";
import type { TimelyOutcome } from "./timely-calls.ts";
import type { MakeTimer, Timer } from "./timer.ts";
import { later, type Clocks, type SteadyMs, type WallMs } from "../sip/time.ts";

/** A WebSocket that is open, as its process knows it. */
export type OpenSocket = {
  /** What cannot be sent is lost: the end of the socket is told. */
  send(octets: Uint8Array): void;
  close(): void;
};

/** How a frame is answered: with a frame, as late, or with why it was not taken. */
export type FrameAnswer = Uint8Array | "late" | Error;

export type FrameSocketOptions = Clocks & {
  readonly socket: OpenSocket;
  readonly timer: MakeTimer;
  /** Takes a frame of the other side's, which is wanted until then by the clock of this one. */
  readonly take: (frame: Uint8Array, until: WallMs, answer: (answer: FrameAnswer) => void) => void;
  /** Called once: nothing can be asked here any more. */
  readonly ended: () => void;
  /** It ends when neither side has asked for so long. */
  readonly idleMs: number;
};

/** What became of a question; `untaken`: the other side has surely not taken it, and it may be asked another way. */
export type Asked = TimelyOutcome | "untaken";

type Question = { readonly askedAt: SteadyMs; readonly over: (asked: Asked) => void };

/**
 * One end of a WebSocket between a line and an exchange of another cell. It carries what else would be a signed request: a question that is wanted for
 * a while, and its answer. So the same holds of it: each question has one outcome, and nobody knows what became of one without an answer.
 *
 * An end that is not wanted any more, or where an answer has not come in time, takes leave. It asks nothing more there, and answers what it has taken. Then it
 * says so: what the other side has asked meanwhile was not taken.
 */
export class FrameSocket {
  readonly #options: FrameSocketOptions;
  readonly #timer: Timer;
  /** By their numbers, the oldest first. */
  readonly #questions = new Map<number, Question>();
  #number = 0;
  /** Questions of the other side's that are not answered. */
  #owed = 0;
  #usedAt: SteadyMs;
  #state: "open" | "leaving" | "closed" = "open";
  /** It is closed then, whatever is owed. */
  #leftAt: SteadyMs = Number.POSITIVE_INFINITY;
  #ringsAt: SteadyMs = Number.POSITIVE_INFINITY;

  constructor(options: FrameSocketOptions) {
    this.#options = options;
    this.#usedAt = options.now();
    this.#timer = options.timer(() => this.#rang());
    this.#watch();
  }

  /**
   * Brings a frame to the other side, wanted until then by its clock; undefined: nobody here knows that clock. False: nothing can be asked here any more,
   * and nothing is told.
   */
  ask(frame: Uint8Array, until: WallMs | undefined, over: (asked: Asked) => void): boolean {
    if (this.#state !== "open") return false;
    this.#number = (this.#number + 1) >>> 0;
    this.#usedAt = this.#options.now();
    this.#questions.set(this.#number, { askedAt: this.#usedAt, over });
    this.#options.socket.send(encodeMessage(QuestionKind.question, this.#number, until ?? Number.NaN, frame));
    this.#watch();
    return true;
  }

  /** A message has come. */
  received(octets: Uint8Array): void {
    if (this.#state === "closed") return;
    const message = decodeMessage(octets);
    if (message === undefined) this.#end(brokenError, true);
    else if (message.kind === QuestionKind.question) this.#take(message);
    else if (message.kind === QuestionKind.end) this.#end("untaken", true);
    else this.#answered(message);
  }

  /** The WebSocket has ended. */
  closed(): void {
    this.#end(endedError, false);
  }

  /** It is not to be used any more. */
  leave(): void {
    if (this.#state !== "open") return;
    this.#state = "leaving";
    this.#leftAt = later(this.#options.now(), frameAnswerMsMax);
    this.#options.ended();
    if (!this.#left()) this.#watch();
  }

  #take({ number, time, octets }: Message): void {
    this.#usedAt = this.#options.now();
    // It asks for our time, for it cannot say until when this is wanted.
    if (Number.isNaN(time)) return this.#answer(number, "late");
    this.#owed += 1;
    this.#options.take(octets, time, (answer) => {
      if (this.#state === "closed") return;
      this.#owed -= 1;
      this.#answer(number, answer);
      this.#left();
    });
  }

  #answer(number: number, answer: FrameAnswer): void {
    const { socket, now, wallAt } = this.#options;
    const clock = wallAt(now());
    if (answer === "late") socket.send(encodeMessage(QuestionKind.late, number, clock));
    else if (answer instanceof Error) socket.send(encodeMessage(QuestionKind.failure, number, clock, jsonOctets(answer.message)));
    else socket.send(encodeMessage(QuestionKind.answer, number, clock, answer));
  }

  #answered({ kind, number, time, octets }: Message): void {
    const question = this.#questions.get(number);
    // It was not waited for any longer.
    if (question === undefined) return;
    this.#questions.delete(number);
    const isRefused = kind === QuestionKind.late;
    const result = kind === QuestionKind.answer ? octets : isRefused ? lateError : new Error(String(parseJsonOctets(octets)));
    question.over({ result, isRefused, clock: time, heardAt: this.#options.now() });
    this.#left();
  }

  /** Taking leave is over when nothing is waited for at either side. */
  #left(): boolean {
    if (this.#state !== "leaving" || this.#owed > 0 || this.#questions.size > 0) return this.#state === "closed";
    this.#options.socket.send(encodeMessage(QuestionKind.end, 0, 0));
    this.#end(endedError, true);
    return true;
  }

  /** Whoever waits is told `why`. */
  #end(why: Error | "untaken", closes: boolean): void {
    if (this.#state === "closed") return;
    const wasOpen = this.#state === "open";
    this.#state = "closed";
    this.#timer.clear();
    if (closes) this.#options.socket.close();
    if (wasOpen) this.#options.ended();
    const questions = [...this.#questions.values()];
    this.#questions.clear();
    const heardAt = this.#options.now();
    for (const { over } of questions) over(why === "untaken" ? why : { result: why, isRefused: false, clock: Number.NaN, heardAt });
  }

  #rang(): void {
    this.#ringsAt = Number.POSITIVE_INFINITY;
    const now = this.#options.now();
    const overdue = [...this.#questions].filter(([, { askedAt }]) => now - askedAt >= frameAnswerMsMax);
    for (const [number] of overdue) this.#questions.delete(number);
    // Other questions are not asked here. A way that only this WebSocket has lost would not be missed by a request.
    if (overdue.length > 0 || now >= this.#spareAt) this.leave();
    for (const [, { over }] of overdue) over({ result: unansweredError, isRefused: false, clock: Number.NaN, heardAt: now });
    this.#left();
    if (now >= this.#leftAt) this.#end(endedError, true);
    this.#watch();
  }

  get #spareAt(): SteadyMs {
    const { now, idleMs } = this.#options;
    return later(this.#questions.size > 0 || this.#owed > 0 ? now() : this.#usedAt, idleMs);
  }

  /** The timer rings when something may be due. It is not set anew for each question. */
  #watch(): void {
    if (this.#state === "closed") return;
    const [oldest] = this.#questions.values();
    const answeredBy = oldest === undefined ? Number.POSITIVE_INFINITY : later(oldest.askedAt, frameAnswerMsMax);
    const at = Math.min(answeredBy, this.#leftAt, this.#state === "open" ? this.#spareAt : Number.POSITIVE_INFINITY);
    if (at >= this.#ringsAt) return;
    this.#ringsAt = at;
    this.#timer.set(Math.max(1, at - this.#options.now()));
  }
}

/** The process at the other end has ended perhaps, or was reset. */
export const socketEndedText = "the WebSocket between line and exchange has ended";

const endedError = new Error(socketEndedText);
const brokenError = new Error("the other side of a WebSocket between line and exchange broke the protocol");
const unansweredError = new Error(`no answer within ${frameAnswerMsMax} ms`);
const lateError = new Error("it came too late");
