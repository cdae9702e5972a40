import { sourceBanMs, sourceWindowMs, sourcesMax } from "../limits.ts";
import type { SteadyMs } from "../../sip/time.ts";

type Source = { windowStart: number; count: number; bannedUntil: SteadyMs };

/** Counts messages per source address and ignores those over the limit for a while. Off (everything may pass) with 0. */
export class SourceLimit {
  #messagesMax: number;
  #sources = new Map<string, Source>();

  constructor(messagesMax: number) {
    this.#messagesMax = messagesMax;
  }

  /** Another limit from now on; who is ignored stays so for his time, unless there is none. */
  become(messagesMax: number): void {
    this.#messagesMax = messagesMax;
  }

  /** True when a message from this address may pass. `now` in ms. */
  allows(address: string, now: SteadyMs): boolean {
    if (this.#messagesMax === 0) return true;
    let source = this.#sources.get(address);
    if (source === undefined) {
      // A flood from invented addresses must not fill the memory; forgetting counts is harmless against it.
      if (this.#sources.size >= sourcesMax) this.#sources = new Map();
      source = { windowStart: now, count: 0, bannedUntil: 0 };
      this.#sources.set(address, source);
    }
    if (now < source.bannedUntil) return false;
    if (now - source.windowStart >= sourceWindowMs) {
      source.windowStart = now;
      source.count = 0;
    }
    source.count += 1;
    if (source.count <= this.#messagesMax) return true;
    source.bannedUntil = now + sourceBanMs;
    return false;
  }
}
