import { counterMax, isVersion, msTextOf, noVersion, parseVersion, versionIn, type Version } from "../../sip/record/version.ts";
import type { WallMs } from "../../sip/time.ts";

/**
 * Makes versions: a hybrid logical clock. A version is later than every one this clock made or observed before, and as close to the time as that
 * allows. Two cells whose clocks differ still order a change behind the one it was based on.
 *
 * A peer's clock that is far ahead is believed: its records are there already, and a change made after seeing them must win over them.
 */
export class HybridClock {
  readonly cell: string;
  #ms = 0;
  /** The beginning of this millisecond's versions: many changes are made in one. Empty: not made yet. */
  #msText = "";
  #counter = 0;
  /** The latest version observed that the next one has not been put behind yet: of many that come together only the last is read. */
  #observed: Version = noVersion;

  constructor(cell: string) {
    this.cell = cell;
  }

  /** The version of a change made at `now` (milliseconds since the epoch). */
  tick(now: WallMs): Version {
    if (this.#observed !== noVersion) this.#follow(this.#observed);
    if (now > this.#ms) {
      this.#setMs(Math.floor(now));
      this.#counter = 0;
    } else if (this.#counter === counterMax) {
      this.#setMs(this.#ms + 1);
      this.#counter = 0;
    } else {
      this.#counter += 1;
    }
    if (this.#msText === "") this.#msText = msTextOf(this.#ms);
    return versionIn(this.#msText, this.#counter, this.cell);
  }

  #setMs(ms: number): void {
    this.#ms = ms;
    this.#msText = "";
  }

  /** Takes note of a version made elsewhere, or read back from the disk. What is no version is ignored. */
  observe(version: Version): void {
    if (version > this.#observed && isVersion(version)) this.#observed = version;
  }

  #follow(version: Version): void {
    this.#observed = noVersion;
    const parts = parseVersion(version);
    if (parts === undefined || parts.ms < this.#ms) return;
    if (parts.ms > this.#ms) {
      this.#setMs(parts.ms);
      this.#counter = parts.counter;
    } else if (parts.counter > this.#counter) {
      this.#counter = parts.counter;
    }
  }
}
