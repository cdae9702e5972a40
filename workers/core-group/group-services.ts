import { mapVersionText, type MapVersion } from "../../cluster/map/map-version.ts";
import { within } from "../cells.ts";
import { type Environment, ledgerObject } from "../environment.ts";
import { ledgerAliveMsMax } from "../limits.ts";

/** What this cell does of the services of the group, for those of its objects that they are about. */
export class GroupServices {
  readonly #cell: string;
  readonly #done = new Map<string, boolean>();

  constructor(cell: string) {
    this.#cell = cell;
  }

  /** Returns what is to be said, if anything: what it finds at its start is no news. */
  set(name: string, isOwner: boolean, since: MapVersion): string | undefined {
    const wasOwner = this.#done.get(name);
    this.#done.set(name, isOwner);
    if (wasOwner === undefined || wasOwner === isOwner) return undefined;
    return `cell ${this.#cell}: ${isOwner ? "does" : "leaves"} ${name} since map ${mapVersionText(since)}`;
  }
}

/**
 * Whether the ledger of this cell can do its work. One that hangs, fails or cannot write is not, and another cell does it then. Where the disk is not one's own
 * nothing is asked: each question keeps an object awake, and a platform that has lost a disk starts its objects elsewhere by itself.
 */
export async function isLedgerAlive(env: Pick<Environment, "DISK" | "LEDGER">): Promise<boolean> {
  if (env.DISK === undefined) return true;
  try {
    return await within(ledgerObject(env).isAlive(), ledgerAliveMsMax);
  } catch {
    return false;
  }
}
