import { Backlog, isNewRequest, type ReadMessage } from "../../cluster/backhaul/backlog.ts";
import { lineStandstillWaitMs, standstillMessagesMax, standstillMsMin } from "../limits.ts";
import type { MakeTimer, Timer } from "../timer.ts";
import { later, type SteadyMs } from "../../sip/time.ts";

export type StandstillGateOptions<Message> = {
  /** Asks how long ago this process went on after it last stood still, ms; Infinity: never. Who has timers knows: an idle line sleeps. */
  readonly wentOnAgo: (told: (ms: number) => void) => void;
  readonly pass: (message: Message) => void;
  readonly timer: MakeTimer;
  readonly now: () => SteadyMs;
};

/**
 * What comes from softphones goes through here. A line cannot tell whether nobody said anything or its process stood still. When a new request comes
 * after a silence it asks. After a standstill it keeps what {@link Backlog} says.
 */
export class StandstillGate<Message extends ReadMessage> {
  readonly #options: StandstillGateOptions<Message>;
  readonly #backlog = new Backlog<Message>(standstillMessagesMax);
  /** When this process was last known to be going on, ms. */
  #surelyAt = Number.NEGATIVE_INFINITY;
  #isAsking = false;
  /** Rings when what is kept has waited, */
  readonly #timer: Timer;
  /** which is then, ms. */
  #waitsUntil = 0;

  constructor(options: StandstillGateOptions<Message>) {
    this.#options = options;
    this.#timer = options.timer(() => this.#waited());
  }

  /** A message has been read from a socket. It passes, now or later. */
  take(message: Message, now: SteadyMs): void {
    if (now - this.#surelyAt < standstillMsMin) this.#surelyAt = now;
    else if (!this.#isAsking && isNewRequest(message.octets)) this.#ask(now);
    if (this.#backlog.offer(message, now)) this.#options.pass(message);
  }

  /** A socket has closed: what it said before passes first, but for what its phone will have asked elsewhere. */
  closed(key: string): void {
    for (const message of this.#backlog.closed(key)) this.#options.pass(message);
  }

  #ask(now: SteadyMs): void {
    this.#surelyAt = now;
    this.#isAsking = true;
    this.#timer.clear();
    this.#backlog.expect(Number.POSITIVE_INFINITY);
    this.#options.wentOnAgo((ms) => {
      this.#isAsking = false;
      const toldAt = this.#options.now();
      this.#conclude(later(toldAt, lineStandstillWaitMs - ms), toldAt);
    });
  }

  #conclude(until: SteadyMs, now: SteadyMs): void {
    this.#backlog.expect(until);
    if (now >= until) return this.#release(now);
    this.#waitsUntil = until;
    this.#timer.set(until - now);
  }

  #waited(): void {
    const now = this.#options.now();
    // This has come late itself: the process stood still once more.
    if (now - this.#waitsUntil >= standstillMsMin) this.#ask(now);
    else this.#release(now);
  }

  #release(now: SteadyMs): void {
    this.#surelyAt = now;
    for (const message of this.#backlog.release(now)) this.#options.pass(message);
  }
}
