import { unreachableMs } from "../limits.ts";
import type { SteadyMs } from "../../sip/time.ts";

type Stray = { readonly cell: string; readonly mark: number };

/**
 * Which replica of an exchange a line gives a record to, and whether that is to take over what another one had in progress. The replicas of
 * each exchange are named by their cells.
 */
export class ReplicaChoice {
  /** Replicas that could not be reached, and when they may be tried again, ms. */
  readonly #unreachable = new Map<string, number>();
  /** Replicas that were lost, and whose calls nobody has been told to take over. */
  readonly #orphaned = new Set<string>();
  /** By exchange and phone: the replica that has the phone's last record for want of the one it should go to. */
  readonly #strays = new Map<string, Stray>();

  /**
   * The first of these that can be reached; undefined: none. But a phone's messages stay with the replica that has had to take one of them until that
   * has answered for it. It answers when the other one knows as well, for a CANCEL must not be there before its INVITE.
   */
  choose(exchange: number, cells: readonly string[], phone: string, now: SteadyMs): string | undefined {
    const stray = this.#strays.get(nameOf(exchange, phone));
    if (stray !== undefined && this.#isReachable(exchange, stray.cell, now)) return stray.cell;
    return cells.find((cell) => this.#isReachable(exchange, cell, now));
  }

  /**
   * A replica is about to be given something. True: a `takeover` must come before it. The one that was lost may be none any more, by the map, and have
   * left something in progress all the same.
   */
  owesTakeover(exchange: number, cell: string): boolean {
    let owes = false;
    for (const name of this.#orphaned) {
      if (name === nameOf(exchange, cell) || !name.startsWith(`${exchange} `)) continue;
      this.#orphaned.delete(name);
      owes = true;
    }
    return owes;
  }

  /** A replica was given a phone's record. `mark`: how many it had been given by then; `first`: which it should have been. */
  given(exchange: number, cell: string, first: string | undefined, phone: string, mark: number): void {
    const name = nameOf(exchange, phone);
    if (cell !== first || this.#strays.get(name)?.cell === cell) this.#strays.set(name, { cell, mark });
  }

  /** A replica has answered for so many of the records that it was given. */
  answered(exchange: number, cell: string, settled: number): void {
    this.#unreachable.delete(nameOf(exchange, cell));
    this.#orphaned.delete(nameOf(exchange, cell));
    for (const [name, stray] of this.#strays) {
      if (stray.cell === cell && stray.mark <= settled && name.startsWith(`${exchange} `)) this.#strays.delete(name);
    }
  }

  /** Whether one of them counts as unreachable now. */
  hasLost(now: SteadyMs): boolean {
    for (const [name, until] of this.#unreachable) {
      if (until > now) return true;
      this.#unreachable.delete(name);
    }
    return false;
  }

  /**
   * A replica has sent something: it can be reached again before its time is over. The answers to what it sends belong to it. Another one would pass them
   * on, and it would wait in vain. Its calls of before are another matter: it may have started anew.
   */
  heard(exchange: number, cell: string): void {
    this.#unreachable.delete(nameOf(exchange, cell));
  }

  /** A replica cannot be reached. `untold`: those whose calls it was to take over, and has not said that it did. */
  failed(exchange: number, cell: string, untold: readonly string[], now: SteadyMs): void {
    this.#unreachable.set(nameOf(exchange, cell), now + unreachableMs);
    for (const each of [cell, ...untold]) this.#orphaned.add(nameOf(exchange, each));
    for (const [name, stray] of this.#strays) if (stray.cell === cell && name.startsWith(`${exchange} `)) this.#strays.delete(name);
  }

  #isReachable(exchange: number, cell: string, now: SteadyMs): boolean {
    return (this.#unreachable.get(nameOf(exchange, cell)) ?? 0) <= now;
  }
}

function nameOf(exchange: number, what: string): string {
  return `${exchange} ${what}`;
}
