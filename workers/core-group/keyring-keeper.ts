import { type Keyring, markOf } from "../../cluster/authority/keyring.ts";
import { KnownKeyring, type OtherCell } from "../../cluster/authority/known-keyring.ts";
import type { Change, View } from "../../cluster/group/view.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import type { SteadyMs } from "../../sip/time.ts";
import { askCell, within } from "../cells.ts";
import type { DiskRoom } from "../disk-room.ts";
import { type Environment, learnSecrets } from "../environment.ts";
import { keyringIn, keyringOf } from "../keyring.ts";
import { keyringAskedAtFirstMs, keyringAskedMs, keyringOctets } from "../limits.ts";

const kept = "keyring";

/** What a cell says of its secrets: never one of them. */
export type SecretState = {
  readonly keyring: Keyring;
  /** Cells that have not got the next one. */
  readonly waitsFor: readonly string[];
};

/** The keyring of a cell: what it was deployed with, what is on its disk, and what other cells say, together. */
export class KeyringKeeper {
  readonly #env: Environment;
  readonly #storage: DurableObjectStorage;
  readonly #room: DiskRoom;
  readonly #ring: KnownKeyring | undefined;
  #askedAt: SteadyMs = -Infinity;
  /** Whom to ask next. */
  #turn = 0;
  #others: readonly OtherCell[] = [];
  /** Resolves when the other cells have been asked for the first time: who was away has missed a change perhaps. */
  readonly asked: Promise<void>;

  constructor(env: Environment, storage: DurableObjectStorage, room: DiskRoom, map: ClusterMap) {
    this.#env = env;
    this.#storage = storage;
    this.#room = room;
    const deployed = keyringIn(env.TANDEM_KEYRING);
    const before = deployed === undefined ? undefined : keyringIn(storage.kv.get<string>(kept));
    const first = before ?? deployed;
    this.#ring = first === undefined ? undefined : new KnownKeyring(first, Date.now());
    if (deployed !== undefined) this.#ring?.take(deployed, Date.now());
    if (this.#ring !== undefined) learnSecrets(env, this.#ring.secrets, false);
    this.asked = this.#askAllAtFirst(map);
  }

  /** Undefined: this system has no authority. */
  get known(): Keyring | undefined {
    return this.#ring?.keyring;
  }

  /** Undefined: this system has no authority. */
  get state(): SecretState | undefined {
    return this.#ring === undefined ? undefined : { keyring: this.#ring.keyring, waitsFor: this.#ring.waitsFor(this.#others) };
  }

  /** Another cell's. */
  take(map: ClusterMap, from: string, keyring: Keyring): void {
    const hasNews = this.#ring?.take(keyring, Date.now()) ?? false;
    this.#ring?.saw(from, markOf(keyring));
    if (hasNews) this.#changed(map);
  }

  /** The operator wants another secret. Returns why there is none. */
  change(map: ClusterMap, secret: string): { readonly refused?: string } {
    if (this.#ring === undefined) return { refused: noKeyringText };
    const outcome = this.#ring.change(secret, this.#env.CELL, Date.now());
    if (outcome.refused === undefined) this.#changed(map);
    return outcome;
  }

  /** Asks another cell from time to time, each in its turn, and all of them while they are waited for. */
  look(map: ClusterMap, { cells, coordinator }: View, now: SteadyMs): void {
    if (this.#ring === undefined) return;
    this.#others = cells.filter(({ id }) => id !== this.#env.CELL).map(({ id, state }) => ({ id, isDown: state === "down" }));
    const waitsFor = this.#ring.waitsFor(this.#others);
    if (this.#ring.look(this.#others, coordinator === this.#env.CELL, now, Date.now())) return this.#changed(map);
    for (const cell of waitsFor) void this.#ask(map, cell);
    if (now - this.#askedAt < keyringAskedMs) return;
    this.#askedAt = now;
    this.#turn += 1;
    const other = this.#others[this.#turn % Math.max(1, this.#others.length)]?.id;
    if (other !== undefined) void this.#ask(map, other);
  }

  /** Cells that are back may have another one, and may lack this. */
  meet(map: ClusterMap, changes: readonly Change[]): void {
    for (const { kind, id, to } of changes) if (kind === "cell" && to !== "down" && id !== this.#env.CELL) void this.#ask(map, id);
  }

  async #askAllAtFirst(map: ClusterMap): Promise<void> {
    if (this.#ring === undefined) return;
    const others = map.cells.filter(({ id }) => id !== this.#env.CELL);
    await within(Promise.all(others.map(({ id }) => this.#ask(map, id))), keyringAskedAtFirstMs).catch(() => undefined);
    this.#keep();
  }

  /** One that does not answer is asked in its next turn. */
  async #ask(map: ClusterMap, cell: string, told?: Keyring): Promise<void> {
    const ring = this.#ring;
    if (ring === undefined) return;
    const { mark } = ring;
    const path = `/cell/keyring?${new URLSearchParams({ mark }).toString()}`;
    try {
      const answer = await askCell<unknown>(this.#env, map, cell, path, told);
      const theirs = keyringOf(answer);
      if (theirs !== undefined) this.take(map, cell, theirs);
      else if (answer === null) ring.saw(cell, mark);
    } catch {
      // It is down, or about to be.
    }
  }

  /** Brings what is new to all at once. */
  #changed(map: ClusterMap): void {
    this.#keep();
    for (const { id } of map.cells) if (id !== this.#env.CELL) void this.#ask(map, id, this.known);
  }

  #keep(): void {
    if (this.#ring === undefined) return;
    const text = JSON.stringify(this.#ring.keyring);
    this.#room.write(keyringOctets, () => this.#storage.kv.put(kept, text));
    learnSecrets(this.#env, this.#ring.secrets, true);
  }
}

/** What to do where gateways and commands have the secret too. */
export const noKeyringText =
  "this system has no authority, and one secret for all: stop it, remove the file secret of its state directory, and start it again";
