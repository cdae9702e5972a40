import type { SteadyMs, WallMs } from "../../sip/time.ts";
import { type Keyring, markOf, merged, type Secrets, secretsOf, withNext, withNextSigning, withoutEnded } from "./keyring.ts";
import { secretWaitMs } from "./limits.ts";

/** The other cells of the map, as the group sees them. */
export type OtherCell = { readonly id: string; readonly isDown: boolean };

/** The keyring of a cell, and which other cells have the same. Nobody signs with a secret that another cell has not got. */
export class KnownKeyring {
  #keyring: Keyring;
  #mark: string;
  #secrets: Secrets;
  /** Cells that are known to have this very keyring. */
  readonly #alike = new Set<string>();
  /** Since when this cell has a next secret. */
  #nextSince: SteadyMs | undefined;

  constructor(keyring: Keyring, now: WallMs) {
    this.#keyring = withoutEnded(keyring, now);
    this.#mark = markOf(this.#keyring);
    this.#secrets = secretsOf(this.#keyring, now);
  }

  get keyring(): Keyring {
    return this.#keyring;
  }

  get mark(): string {
    return this.#mark;
  }

  get secrets(): Secrets {
    return this.#secrets;
  }

  /** Another cell's. True: there is something in it that was not known here. */
  take(keyring: Keyring, now: WallMs): boolean {
    return this.#become(merged(this.#keyring, keyring, now), now);
  }

  /** The operator wants another secret. Returns why there is none. */
  change(secret: string, cell: string, now: WallMs): { readonly refused?: string } {
    const keyring = withNext(this.#keyring, { secret, writer: cell });
    if ("refused" in keyring) return keyring;
    this.#become(keyring, now);
    return {};
  }

  /** Another cell has a keyring of this mark. */
  saw(cell: string, mark: string): void {
    if (mark === this.#mark) this.#alike.add(cell);
    else this.#alike.delete(cell);
  }

  /** Who is not known to have the next secret. Nobody, where there is none. */
  waitsFor(others: readonly OtherCell[]): readonly string[] {
    if (this.#keyring.next === undefined) return [];
    return others.filter(({ id }) => !this.#alike.has(id)).map(({ id }) => id);
  }

  /**
   * Secrets end, and the next one signs when all have it. A cell that is down is waited for: it may only be cut off, and serve phones. `decides`: this cell is
   * the coordinator. True: the keyring is another one now.
   */
  look(others: readonly OtherCell[], decides: boolean, now: SteadyMs, wall: WallMs): boolean {
    const hasEnded = this.#become(withoutEnded(this.#keyring, wall), wall);
    if (this.#keyring.next === undefined) {
      this.#nextSince = undefined;
      return hasEnded;
    }
    this.#nextSince ??= now;
    const missing = this.waitsFor(others);
    const mayGoOn = now - this.#nextSince >= secretWaitMs && others.every(({ id, isDown }) => isDown || !missing.includes(id));
    if (!decides || (missing.length > 0 && !mayGoOn)) return hasEnded;
    return this.#become(withNextSigning(this.#keyring, wall), wall);
  }

  #become(keyring: Keyring, now: WallMs): boolean {
    const mark = markOf(keyring);
    if (mark === this.#mark) return false;
    this.#keyring = keyring;
    this.#mark = mark;
    this.#secrets = secretsOf(keyring, now);
    this.#alike.clear();
    return true;
  }
}
