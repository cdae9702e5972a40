import { Backlog } from "../../cluster/backhaul/backlog.ts";
import { standstillMessagesMax, standstillMsMin } from "../limits.ts";
import type { Timer } from "../timer.ts";
import type { PhoneConnection } from "./dispatcher.ts";
import type { Heart } from "./heart.ts";
import { standstillWaitMs } from "./limits.ts";
import type { ProcessPorts } from "./ports.ts";
import type { SteadyMs } from "../../sip/time.ts";

export type Message = { readonly key: string; readonly octets: Uint8Array; readonly connection: PhoneConnection | undefined };

/**
 * Notices that this process stood still (it was stopped, or its machine was), and then keeps what {@link Backlog} says of what comes on connections.
 * Nobody can tell whether the sender of a datagram is still there. A new request among those that waited is forgotten, and a phone that still wants
 * it says it again (RFC 3261 17.1.1.2, 17.1.2.2).
 */
export class Standstill {
  readonly #backlog = new Backlog<Message>(standstillMessagesMax);
  readonly #pass: (message: Message) => void;
  readonly #forgotten: () => void;
  readonly #now: () => SteadyMs;
  readonly #release: Timer;
  #aliveAt: SteadyMs;

  /** The heart's looks tell by how much this process stood still when no message does. */
  constructor(heart: Heart, { now, timer }: ProcessPorts, pass: (message: Message) => void, forgotten: () => void) {
    this.#pass = pass;
    this.#forgotten = forgotten;
    this.#now = now;
    this.#aliveAt = now();
    this.#release = timer(() => {
      for (const message of this.#backlog.release(this.#look())) this.#pass(message);
    });
    heart.onLook(() => void this.#look());
  }

  /** A message has been read. It passes, now or later, or is forgotten. */
  take(message: Message): void {
    const now = this.#look();
    if (message.connection === undefined) {
      if (this.#backlog.mayBeOld(message.octets, now)) this.#forgotten();
      else this.#pass(message);
    } else if (this.#backlog.offer(message, now)) this.#pass(message);
  }

  /** A connection has ended. What it said before passes first, but for what its phone will have asked elsewhere. */
  closed(key: string): void {
    for (const message of this.#backlog.closed(key)) this.#pass(message);
  }

  stop(): void {
    this.#release.clear();
  }

  #look(): number {
    const now = this.#now();
    if (now - this.#aliveAt >= standstillMsMin) this.#wentOn(now);
    this.#aliveAt = now;
    return now;
  }

  #wentOn(now: SteadyMs): void {
    this.#backlog.expect(now + standstillWaitMs);
    this.#release.set(standstillWaitMs + 1);
  }
}
