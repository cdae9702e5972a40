import { signatureAgeSecondsMax } from "../cluster/limits.ts";
import { signaturesRememberedMax } from "./limits.ts";

const ageMsMax = signatureAgeSecondsMax * 1000;
/** Signatures of so long are forgotten together. */
const spanMs = 10_000;

/**
 * The nonces of signatures that were good: none is good twice. Each is remembered for as long as its signature would be young enough. Only holders of
 * the secret get here, and they may fill it. What is over the limit is refused, for who forgets can be made to accept again.
 */
export class UsedSignatures {
  readonly #max: number;
  /** By when they were made, in spans. */
  readonly #spans = new Map<number, Set<string>>();
  #count = 0;
  #forgottenAt = 0;

  constructor(max: number = signaturesRememberedMax) {
    this.#max = max;
  }

  get size(): number {
    return this.#count;
  }

  /** Uses a signature that was made at `madeAt`. False: it has been used, or there is no room to remember it. Times in ms. */
  use(nonce: string, madeAt: number, now: number): boolean {
    if (now - this.#forgottenAt >= spanMs || now < this.#forgottenAt) this.#forget(now);
    if (this.#count >= this.#max) return false;
    const span = Math.floor(madeAt / spanMs);
    let nonces = this.#spans.get(span);
    if (nonces === undefined) this.#spans.set(span, (nonces = new Set()));
    if (nonces.has(nonce)) return false;
    nonces.add(nonce);
    this.#count += 1;
    return true;
  }

  #forget(now: number): void {
    this.#forgottenAt = now;
    for (const [span, nonces] of this.#spans) {
      if ((span + 1) * spanMs + ageMsMax >= now) continue;
      this.#spans.delete(span);
      this.#count -= nonces.size;
    }
  }
}
