import { isIPv6 } from "node:net";
import { joinTriesInAllMax, joinTriesMs, joinTriesPerSourceMax } from "./limits.ts";

/** How often strangers have tried a join door: tokens are not guessed, and to look at one costs a cell a signature. */
export class JoinTries {
  readonly #bySource = new Map<string, number>();
  #all = 0;
  #since = Number.NEGATIVE_INFINITY;

  /** Counts a try of an address. False: it has had enough of them, or all together have. `now`: ms, steady. */
  take(address: string, now: number): boolean {
    if (now - this.#since >= joinTriesMs) {
      this.#since = now;
      this.#all = 0;
      this.#bySource.clear();
    }
    const source = sourceOf(address);
    const tries = this.#bySource.get(source) ?? 0;
    if (tries >= joinTriesPerSourceMax || this.#all >= joinTriesInAllMax) return false;
    this.#bySource.set(source, tries + 1);
    this.#all += 1;
    return true;
  }
}

/** An IPv4 address, or the /64 of an IPv6 one: whoever has one address there has all of them. */
export function sourceOf(address: string): string {
  if (!isIPv6(address)) return address;
  const [front = "", back] = address.split("%", 1).join("").split("::");
  const groups = front === "" ? [] : front.split(":");
  const zeros = back === undefined ? 0 : Math.max(0, 8 - groups.length - back.split(":").filter((group) => group !== "").length);
  const all = [...groups, ...Array.from({ length: zeros }, () => "0"), ...(back ?? "").split(":")];
  return all
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(":");
}
