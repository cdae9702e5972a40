import type { BootsPort, RoomPort } from "../../actors/exchange/ports.ts";
import type { CellDisk, ExchangeDisk } from "./cell-disk.ts";
import type { ObjectLife } from "./object-life.ts";

/** How long the answer to a question about room takes, ms. */
const askMs = 1;

/** The room on its cell's disk, as an object finds it (workers/disk-room.ts). */
export class Room implements RoomPort {
  readonly #life: ObjectLife;
  readonly #disk: CellDisk;
  isFull = false;

  constructor(life: ObjectLife, disk: CellDisk) {
    this.#life = life;
    this.#disk = disk;
  }

  ask(_octets: number, told: (isRoom: boolean) => void): boolean {
    if (!this.#disk.isAskedForRoom) return true;
    const { host } = this.#life;
    const isUnderWay = this.#life.begin(() => {});
    host.after(askMs, () => {
      if (isUnderWay()) this.#life.event(() => told(this.#look()));
    });
    return false;
  }

  /** The object is blocked until it is told: this is no event of its own. */
  askInside(_octets: number, told: (isRoom: boolean) => void): boolean {
    if (!this.#disk.isAskedForRoom) return true;
    const { host } = this.#life;
    const isUnderWay = this.#life.begin(() => {});
    host.after(askMs, () => {
      if (isUnderWay()) told(this.#look());
    });
    return false;
  }

  #look(): boolean {
    this.isFull = !this.#disk.look();
    return !this.isFull;
  }
}

/** Which start of each access an exchange has met last: what finds no room waits for the next one that does (workers/exchange/boots.ts). */
export class Boots implements BootsPort {
  readonly #disk: ExchangeDisk;
  readonly #known = new Map<string, string>();
  readonly #unwritten = new Set<string>();

  constructor(disk: ExchangeDisk) {
    this.#disk = disk;
  }

  of(access: string): string | undefined {
    return this.#known.get(access) ?? this.#disk.bootOf(access);
  }

  keep(access: string, boot: string): void {
    this.#known.set(access, boot);
    this.#unwritten.add(access);
    if (this.#disk.isRefusing) return;
    for (const each of this.#unwritten) this.#disk.keepBoot(each, this.#known.get(each) ?? boot);
    this.#unwritten.clear();
  }
}
