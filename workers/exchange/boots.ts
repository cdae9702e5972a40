import type { BootsPort } from "../../actors/exchange/ports.ts";
import type { DiskRoom } from "../disk-room.ts";

/** One row. */
const bootOctets = 4_096;

/** Which start of each access was met last. */
export class Boots implements BootsPort {
  readonly #storage: DurableObjectStorage;
  readonly #room: DiskRoom;
  /** Those that were met since this object woke: the disk may not know them yet. */
  readonly #known = new Map<string, string>();

  constructor(storage: DurableObjectStorage, room: DiskRoom) {
    this.#storage = storage;
    this.#room = room;
  }

  of(access: string): string | undefined {
    return this.#known.get(access) ?? this.#storage.kv.get<string>(`boot ${access}`);
  }

  keep(access: string, boot: string): void {
    this.#known.set(access, boot);
    this.#room.write(bootOctets, () => this.#storage.kv.put(`boot ${access}`, boot));
  }
}
