import { RecordKind, type FrameRecord } from "./frame.ts";

/**
 * What an exchange says to a line of its cell: so many of the line's records would survive the end of the exchange's process. They count from the hello on, or
 * from the start of the exchange, whichever came last. `boot` names that start.
 */
export type Kept = { readonly boot: string; readonly count: number };

const noOctets = new Uint8Array(0);

export const keptQuestion: FrameRecord = { kind: RecordKind.kept, key: "", octets: noOctets };

export function keptRecord({ boot, count }: Kept): FrameRecord {
  return { kind: RecordKind.kept, key: `${count} ${boot}`, octets: noOctets };
}

/** Undefined: it says something else, or in another way. */
export function parseKept({ kind, key }: FrameRecord): Kept | undefined {
  const space = key.indexOf(" ");
  const count = Number(key.slice(0, Math.max(0, space)));
  return kind !== RecordKind.kept || space < 1 || !Number.isSafeInteger(count) ? undefined : { count, boot: key.slice(space + 1) };
}
