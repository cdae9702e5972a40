import type { Log } from "../../actors/gateway/ports.ts";
import type { SteadyMs } from "../../sip/time.ts";
import type { Counters } from "../counters.ts";
import type { DroppingPlaces } from "../connections/dropping-places.ts";
import { lossesSaidMs } from "../limits.ts";
import type { UdpBound } from "./udp-listener.ts";
import { udpPlace } from "./udp-place.ts";

/** What has been lost of one kind, and what of it has been said. */
type Loss = { total: number; said: number; saidAt: SteadyMs };

/**
 * Counts datagrams that were lost on this machine, and says so. The kernel drops those for which a listener's socket has no room when they come. The
 * gateway drops those that it has no room to keep until they may leave. There is one line when it begins, and one a minute while it goes on.
 */
export class UdpLosses {
  readonly #listeners: readonly UdpBound[];
  readonly #counters: Counters;
  readonly #log: Log;
  readonly #read: (file: string) => Promise<string>;
  readonly #places: DroppingPlaces;
  readonly #lost = new Map<number, Loss>();
  readonly #dropped: Loss = { total: 0, said: 0, saidAt: Number.NEGATIVE_INFINITY };

  /** `read` gives a file's text; one that cannot be read, as on other systems than Linux, tells nothing. */
  constructor(
    listeners: readonly UdpBound[],
    counters: Counters,
    log: Log,
    read: (file: string) => Promise<string>,
    places: DroppingPlaces,
  ) {
    this.#listeners = listeners;
    this.#counters = counters;
    this.#log = log;
    this.#read = read;
    this.#places = places;
  }

  /** To be called every few seconds. */
  async look(now: SteadyMs): Promise<void> {
    for (const file of new Set(this.#listeners.map(tableOf))) {
      const table = await this.#read(file).catch(() => "");
      for (const bound of this.#listeners) if (tableOf(bound) === file) this.#compare(bound, dropsIn(table, bound), now);
    }
    this.#dropped.total = this.#counters.datagramsDropped;
    this.#say(this.#dropped, now, (dropped) => this.#log("datagrams-dropped", { dropped, mostTo: this.#places.takeWorst() ?? "?" }));
  }

  #compare({ listener, receiveBufferOctets }: UdpBound, drops: number, now: SteadyMs): void {
    const loss = this.#lost.get(listener) ?? { total: 0, said: 0, saidAt: Number.NEGATIVE_INFINITY };
    this.#lost.set(listener, loss);
    if (drops <= loss.total) return;
    this.#counters.datagramsLost += drops - loss.total;
    loss.total = drops;
    this.#say(loss, now, (lost) => this.#log("datagrams-lost", { listener, lost, receiveBufferOctets }));
  }

  #say(loss: Loss, now: SteadyMs, line: (count: number) => void): void {
    if (loss.total === loss.said || now - loss.saidAt < lossesSaidMs) return;
    line(loss.total - loss.said);
    loss.said = loss.total;
    loss.saidAt = now;
  }
}

function tableOf({ host }: UdpBound): string {
  return host.includes(":") ? "/proc/net/udp6" : "/proc/net/udp";
}

/** The last column of the row of a socket: datagrams for which it had no room. 0 when it is not there. */
export function dropsIn(table: string, { host, port }: { readonly host: string; readonly port: number }): number {
  const address = Array.from(udpPlace(host, port).words, (word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  const local = ` ${address}:${port.toString(16).padStart(4, "0")} `.toUpperCase();
  const at = table.indexOf(local);
  if (at < 0) return 0;
  const row = table.slice(at, table.indexOf("\n", at)).trim();
  return Number(row.slice(row.lastIndexOf(" ") + 1)) || 0;
}
