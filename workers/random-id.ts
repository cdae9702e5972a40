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
    return (pool[used - 1] ?? 0).toString(36).padStart(7, "0");
  };
  return () => next() + next();
}
