import { droppingPlacesMax } from "../limits.ts";
import type { UdpPlace } from "../listen/udp-listener.ts";

/** Counts datagrams that were dropped on their way out, by where they were to go, so that a line can name the worst. */
export class DroppingPlaces {
  readonly #counts = new Map<string, number>();

  /** A place beyond the limit is not told apart. */
  dropped({ address, port }: UdpPlace): void {
    const place = address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
    const count = this.#counts.get(place);
    if (count !== undefined || this.#counts.size < droppingPlacesMax) this.#counts.set(place, (count ?? 0) + 1);
  }

  /** The place that most were for, since it was last asked; undefined: none was dropped. */
  takeWorst(): string | undefined {
    let worst: string | undefined;
    let most = 0;
    for (const [place, count] of this.#counts) {
      if (count <= most) continue;
      worst = place;
      most = count;
    }
    this.#counts.clear();
    return worst;
  }
}
