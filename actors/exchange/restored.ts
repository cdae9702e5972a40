import type { Memory } from "../../sip/record/memory.ts";
import { msOfVersion } from "../../sip/record/version.ts";
import type { Exchange } from "./exchange.ts";
import type { DiskPort } from "./ports.ts";

/** What a replica has found on its disk. */
export type Restored = {
  /** There is nothing, and has not been anything. */
  readonly isBlank: boolean;
  /** How far its memory went back. */
  readonly known: Memory | undefined;
  /** When the latest record was made, ms; 0: there is none. */
  readonly latest: number;
};

/** Reads everything back. */
export function restored(disk: DiskPort, exchange: Exchange): Restored {
  const known = disk.readMemory();
  let latest = 0;
  for (const record of disk.read()) {
    exchange.restore(record);
    latest = Math.max(latest, msOfVersion(record.version));
  }
  return { isBlank: known === undefined && latest === 0, known, latest };
}
