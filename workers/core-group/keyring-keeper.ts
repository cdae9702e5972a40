import { isNewerKeyring, type Keyring } from "../../cluster/authority/keyring.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import type { SteadyMs } from "../../sip/time.ts";
import { askCell } from "../cells.ts";
import type { DiskRoom } from "../disk-room.ts";
import type { Environment } from "../environment.ts";
import { keyringIn, keyringOf } from "../keyring.ts";
import { keyringAskedMs, keyringOctets } from "../limits.ts";

const kept = "keyring";

/** The keyring of a cell: what it was deployed with, what is on its disk, what other cells say. The newest counts. */
export class KeyringKeeper {
  readonly #env: Environment;
  readonly #storage: DurableObjectStorage;
  readonly #room: DiskRoom;
  #known: Keyring | undefined;
  #askedAt: SteadyMs = -Infinity;
  /** Whom to ask next. */
  #next = 0;

  constructor(env: Environment, storage: DurableObjectStorage, room: DiskRoom) {
    this.#env = env;
    this.#storage = storage;
    this.#room = room;
    if (env.TANDEM_KEYRING === undefined) return;
    this.#known = keyringIn(storage.kv.get<string>(kept));
    this.take(keyringIn(env.TANDEM_KEYRING));
  }

  /** Undefined: this system has no authority. */
  get known(): Keyring | undefined {
    return this.#known;
  }

  /** Takes one if it is newer than what is known. */
  take(keyring: Keyring | undefined): void {
    if (keyring === undefined || (this.#known !== undefined && !isNewerKeyring(keyring, this.#known))) return;
    this.#known = keyring;
    this.#room.write(keyringOctets, () => this.#storage.kv.put(kept, JSON.stringify(keyring)));
  }

  /** Asks another cell from time to time, each in its turn: one that was away has missed a change. */
  look(map: ClusterMap, now: SteadyMs): void {
    const others = map.cells.filter(({ id }) => id !== this.#env.CELL);
    const other = others[this.#next % Math.max(1, others.length)]?.id;
    if (map.authority === undefined || other === undefined || now - this.#askedAt < keyringAskedMs) return;
    this.#askedAt = now;
    this.#next += 1;
    void this.#ask(map, other);
  }

  /** One that does not answer is asked in its next turn. */
  async #ask(map: ClusterMap, cell: string): Promise<void> {
    const { version = -1, writer = "" } = this.#known ?? {};
    const query = new URLSearchParams({ version: String(version), writer });
    const answer = await askCell<unknown>(this.#env, map, cell, `/cell/keyring?${query.toString()}`).catch(() => null);
    this.take(keyringOf(answer));
  }
}
