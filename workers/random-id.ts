import { base36Of32 } from "../sip/base-36.ts";

const poolLength = 256;

/** Random ids of 14 characters `[0-9a-z]`, 64 bits. Randomness is drawn for 128 of them at once: a draw costs more than an id. */
export function randomIds(): () => string {
  const pool = new Uint32Array(poolLength);
  let used = poolLength;
  const next = (): string => {
    if (used === poolLength) {
      crypto.getRandomValues(pool);
      used = 0;
    }
    used += 1;
    return base36Of32(pool[used - 1] ?? 0);
  };
  return () => next() + next();
}
