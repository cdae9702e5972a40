import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import type { MemberState } from "../../cluster/group/view.ts";
import { isParseError } from "../../sip/errors.ts";
import type { Memory } from "../../sip/record/memory.ts";
import { parseAnyRecord, serializeRecord } from "../../sip/record/record-text.ts";
import type { Rows } from "../../sip/record/record-store.ts";
import type { StateRecord } from "../../sip/record/state-record.ts";
import { MemoryLedger } from "./memory-ledger.ts";
import type { Moments } from "./moments.ts";
import type { World } from "./world.ts";

/** A machine that loses power has not written what was written in its last seconds: journals of file systems are written every 5 s. */
export const unwrittenMsMax = 5_000;

/** What of a cell outlives its process: the databases of its objects, on one disk. */
export class CellDisk {
  readonly #world: World;
  readonly #moments: Moments;
  readonly #exchanges = new Map<number, ExchangeDisk>();
  /** The next write fails. */
  isRefusing = false;
  /** No write finds room. */
  isFull = false;
  /** Whoever writes asks for room before, and has the answer later. False: nobody doubts that there is room. */
  isAskedForRoom = false;
  epoch = 0;
  /** The newest map that its core group has kept; undefined: none but the one that it was deployed with. */
  map: ClusterMap | undefined;
  /** Exchanges that have something left here of a replica that the map has no more. */
  left: readonly number[] = [];
  /** As the core group has seen them last. */
  readonly gateways = new Map<string, MemberState>();
  readonly ledger: MemoryLedger;

  constructor(world: World, moments: Moments, name: string) {
    this.#world = world;
    this.#moments = moments;
    this.ledger = new MemoryLedger(name);
  }

  /** Somebody looks whether there is room. */
  look(): boolean {
    if (this.isFull) this.#moments.reached("an exchange finds its disk full");
    return !this.isFull;
  }

  ofExchange(exchange: number): ExchangeDisk {
    let disk = this.#exchanges.get(exchange);
    if (disk === undefined) this.#exchanges.set(exchange, (disk = new ExchangeDisk(this.#world, this)));
    return disk;
  }

  /** The machine has lost power: each database is what it was, at a moment of its own. */
  loseLastWrites(): void {
    const { now, random } = this.#world;
    for (const disk of this.#exchanges.values())
      if (disk.loseSince(now - random.whole(0, unwrittenMsMax))) this.#moments.reached("a cell starts without its last writes");
  }
}

/** How a write is taken back, and when it was made, true time. */
type Written = { readonly at: number; readonly undo: () => void };

/** The database of one exchange's replica: rows by kind and key, and what else it has to know when it starts. */
export class ExchangeDisk {
  readonly #world: World;
  readonly #cell: CellDisk;
  readonly #rows = new Map<string, string>();
  readonly #boots = new Map<string, string>();
  /** How far the memory of the replica goes back. */
  #memory: Memory | undefined;
  /** The latest writes. */
  #written: Written[] = [];

  constructor(world: World, cell: CellDisk) {
    this.#world = world;
    this.#cell = cell;
  }

  get memory(): Memory | undefined {
    return this.#memory;
  }

  /** Whether a write would fail now: nothing is written where there is no room. */
  get isRefusing(): boolean {
    return this.#cell.isRefusing || this.#cell.isFull;
  }

  /** What was there long before the run. */
  put(record: StateRecord): void {
    this.#rows.set(`${record.kind} ${record.key}`, serializeRecord(record));
  }

  read(): StateRecord[] {
    return Array.from(this.#rows.values(), recordOf);
  }

  write({ put, remove }: Rows, memory: Memory | undefined): void {
    const before = this.#memory;
    this.#memory = memory ?? before;
    const undone = [
      ...put.map((record) => set(this.#rows, `${record.kind} ${record.key}`, serializeRecord(record))),
      ...remove.map(({ kind, key }) => set(this.#rows, `${kind} ${key}`, undefined)),
    ];
    this.#remember(() => {
      this.#memory = before;
      for (const undo of undone.toReversed()) undo();
    });
  }

  /** All of it is deleted. */
  clear(): void {
    this.#rows.clear();
    this.#boots.clear();
    this.#memory = undefined;
    this.#written = [];
  }

  bootOf(access: string): string | undefined {
    return this.#boots.get(access);
  }

  keepBoot(access: string, boot: string): void {
    this.#remember(set(this.#boots, access, boot));
  }

  /** What was written after this moment was not. False: nothing was. */
  loseSince(moment: number): boolean {
    const lost = this.#written.filter(({ at }) => at >= moment);
    for (const { undo } of lost.toReversed()) undo();
    this.#written = [];
    return lost.length > 0;
  }

  #remember(undo: () => void): void {
    const { now } = this.#world;
    while ((this.#written[0]?.at ?? now) < now - unwrittenMsMax) this.#written.shift();
    this.#written.push({ at: now, undo });
  }
}

/** Sets a key, or removes it. Returns how that is undone. */
function set(map: Map<string, string>, key: string, value: string | undefined): () => void {
  const put = (text: string | undefined): void => {
    if (text === undefined) map.delete(key);
    else map.set(key, text);
  };
  const before = map.get(key);
  put(value);
  return () => put(before);
}

function recordOf(text: string): StateRecord {
  const record = parseAnyRecord(text);
  if (isParseError(record)) throw new Error(`unreadable row: ${record.reason}`);
  return record;
}
