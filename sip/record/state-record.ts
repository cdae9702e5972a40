import type { RecordKind, RecordValues } from "./values.ts";
import type { Version } from "./version.ts";
import type { WallMs } from "../time.ts";

/**
 * A record: the unit of change. All state of an exchange is a set of records. Whoever makes a change makes a record. The same function applies it
 * here, at the peer and after a restart.
 */

/** A record that holds something. */
export type LiveRecord<Kind extends RecordKind = RecordKind> = {
  [Each in Kind]: { readonly kind: Each; readonly key: string; readonly version: Version; readonly value: RecordValues[Each] };
}[Kind];

/** A record that says something is gone, kept so that what was on its way when it went cannot bring it back. */
export type Tombstone<Kind extends RecordKind = RecordKind> = {
  [Each in Kind]: {
    readonly kind: Each;
    readonly key: string;
    readonly version: Version;
    readonly value: undefined;
    /** Milliseconds since the epoch: it may be forgotten then, if the peer has it. */
    readonly until: WallMs;
    /** Bindings: Call-ID and CSeq of the REGISTER that removed it, or of the binding where something else did (RFC 3261 10.3). Else "" and 0. */
    readonly callId: string;
    readonly cSeq: number;
    /** Bindings: its connection was lost; the phone has not taken itself off. */
    readonly isLost?: true;
    /** With it: the flows that it had, the latest first. */
    readonly formerFlows?: readonly string[];
  };
}[Kind];

export type StateRecord<Kind extends RecordKind = RecordKind> = LiveRecord<Kind> | Tombstone<Kind>;

export type BindingRecord = StateRecord<"binding">;

export function isTombstone(record: StateRecord): record is Tombstone {
  return record.value === undefined;
}

/** Names a row among those of all kinds. */
export function rowId(record: StateRecord): string {
  return `${record.kind} ${record.key}`;
}
