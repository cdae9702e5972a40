const digits = "0123456789abcdefghijklmnopqrstuvwxyz";
const pairs: readonly string[] = Array.from(digits, (high) => Array.from(digits, (low) => high + low)).flat();

/**
 * A whole number from 0 on as `width` characters `[0-9a-z]`, zeros in front; what is above that many digits is cut off. In a fifth of the time
 * of `toString(36)`, which divides as for a fraction.
 */
export function base36(value: number, width: number): string {
  let text = "";
  let rest = value;
  for (let left = width; left > 0; left -= 2) {
    const above = Math.floor(rest / 1296);
    const pair = pairs[rest - above * 1296] ?? "";
    text = (left === 1 ? pair.slice(1) : pair) + text;
    rest = above;
  }
  return text;
}

/** A number of 32 bits, 0 and above, as seven characters: the same as `base36(value, 7)`, in less time. Tokens are made of them. */
export function base36Of32(value: number): string {
  const high = Math.floor(value / 1_679_616);
  const low = value - high * 1_679_616;
  const highest = (high / 1296) | 0;
  const third = (low / 1296) | 0;
  return `${digits[highest] ?? ""}${pairs[high - highest * 1296] ?? ""}${pairs[third] ?? ""}${pairs[low - third * 1296] ?? ""}`;
}
