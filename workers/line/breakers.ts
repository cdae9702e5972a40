import type { SteadyMs } from "../../sip/time.ts";
import { breakersSourcesMax, brokenHeldMs, brokenPerSourceMax } from "../limits.ts";

type Broken = { count: number; since: SteadyMs };

/**
 * Sources whose WebSockets have broken the protocol (RFC 6455 5.2: an opcode that nobody knows, say). The runtime keeps such a connection's descriptors
 * until it collects garbage, whoever closes it. So a source may have few of them in a while.
 */
export class Breakers {
  readonly #bySource = new Map<string, Broken>();

  /** A WebSocket of this source has broken the protocol. */
  add(source: string, now: SteadyMs): void {
    const known = this.#known(source, now);
    if (known !== undefined) {
      known.count += 1;
      return;
    }
    this.#bySource.set(source, { count: 1, since: now });
    // The one that came first is forgotten, as it would be soon.
    const [first] = this.#bySource.keys();
    if (this.#bySource.size > breakersSourcesMax && first !== undefined) this.#bySource.delete(first);
  }

  /** False: too many of this source's have broken it lately. */
  mayCome(source: string, now: SteadyMs): boolean {
    return (this.#known(source, now)?.count ?? 0) < brokenPerSourceMax;
  }

  #known(source: string, now: SteadyMs): Broken | undefined {
    const known = this.#bySource.get(source);
    if (known === undefined || now - known.since < brokenHeldMs) return known;
    this.#bySource.delete(source);
    return undefined;
  }
}
