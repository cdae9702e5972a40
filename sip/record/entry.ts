import type { BindingRecord, StateRecord } from "./state-record.ts";
import type { WallMs } from "../time.ts";

/** One key's place in the table. Linked in the order of the last change. */
export type Entry = {
  record: StateRecord;
  others: readonly BindingRecord[];
  /** Whoever has everything up to this sequence number has the others too; Infinity: nobody can be sure. */
  othersKnownAt: WallMs;
  /** Sequence number of the last change, of the first one; 0: the peer had it before we did, or may have. */
  sequence: number;
  first: number;
  isEcho: boolean;
  onDisk: StateRecord | undefined;
  /** The record as text, while the disk has not been told of it; empty: nobody has asked for it. */
  text: string;
  /** The disk has not been told of the last change. */
  isDirty: boolean;
  previous: Entry | undefined;
  next: Entry | undefined;
};
