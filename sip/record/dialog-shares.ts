import {
  dialogOctets,
  dialogOctetsFactor,
  dialogOctetsMax,
  dialogOctetsOfStrangersMax,
  dialogOctetsPerCalleeMax,
  dialogOctetsPerSourceMax,
  strangersSilentMs,
} from "../limits.ts";
import { isTombstone, type StateRecord } from "./state-record.ts";
import type { Dialog } from "./values.ts";
import { msOfVersion } from "./version.ts";
import type { WallMs } from "../time.ts";

export type DialogLimits = { readonly all: number; readonly ofStrangers: number; readonly perSource: number; readonly perCallee: number };

const limits: DialogLimits = {
  all: dialogOctetsMax,
  ofStrangers: dialogOctetsOfStrangersMax,
  perSource: dialogOctetsPerSourceMax,
  perCallee: dialogOctetsPerCalleeMax,
};

/**
 * The octets of the dialogs that stand, subscriptions included: in all, of strangers, of each source of theirs, and of theirs with each callee. They are a
 * function of the records alone, so whoever holds the same records counts the same, wherever these came from.
 */
export class DialogShares {
  readonly #limits: DialogLimits;
  readonly #sources = new Map<string, number>();
  readonly #callees = new Map<string, number>();
  #octets = 0;
  #ofStrangers = 0;

  constructor(given: DialogLimits = limits) {
    this.#limits = given;
  }

  get octets(): number {
    return this.#octets;
  }

  /** All counts as one value, to be compared. */
  get counts(): { readonly octets: number; readonly ofStrangers: number; readonly sources: object; readonly callees: object } {
    const sources = Object.fromEntries(this.#sources);
    return { octets: this.#octets, ofStrangers: this.#ofStrangers, sources, callees: Object.fromEntries(this.#callees) };
  }

  /** A record has come, or is forgotten. */
  count(record: StateRecord<"dialog">, by: 1 | -1): void {
    if (isTombstone(record)) return;
    const { key, value } = record;
    const octets = by * octetsOf(key, value);
    this.#octets += octets;
    if (!isOfStranger(value)) return;
    this.#ofStrangers += octets;
    if (value.source !== undefined) add(this.#sources, value.source, octets);
    if (value.callee.addressOfRecord !== "") add(this.#callees, value.callee.addressOfRecord, octets);
  }

  /** It has become another one. Most have not grown: their ACK has come, or a later CSeq. */
  replaced(before: StateRecord<"dialog">, after: StateRecord<"dialog">): void {
    if (before.value !== undefined && after.value !== undefined && isAlike(before.value, after.value)) return;
    this.count(before, -1);
    this.count(after, 1);
  }

  /** Whether another one may begin. `source`: of a stranger, asked for only when it matters; undefined: who calls has shown a password. */
  mayBegin(callee: string, source: (() => string) | undefined): boolean {
    return this.#hasRoom(callee, source, 1);
  }

  /** Whether one that has begun is kept: what rang when a share was full is, within bounds. */
  mayKeep(value: Dialog): boolean {
    const source = isOfStranger(value) ? (): string => value.source ?? "" : undefined;
    return this.#hasRoom(value.callee.addressOfRecord, source, dialogOctetsFactor);
  }

  #hasRoom(callee: string, source: (() => string) | undefined, factor: number): boolean {
    const { all, ofStrangers, perSource, perCallee } = this.#limits;
    if (this.#octets >= all * factor) return false;
    // So few that no share can be full.
    if (source === undefined || this.#ofStrangers < Math.min(perSource, perCallee)) return true;
    if (this.#ofStrangers >= ofStrangers * factor || (this.#callees.get(callee) ?? 0) >= perCallee * factor) return false;
    return (this.#sources.get(source()) ?? 0) < perSource * factor;
  }

  /** A stranger's of which nothing has been heard for long, where a share that it counts in is taken by half. */
  isToGo(value: Dialog, now: WallMs): boolean {
    if (!isOfStranger(value) || heardAt(value) + strangersSilentMs > now) return false;
    const { all, ofStrangers, perSource, perCallee } = this.#limits;
    return (
      this.#octets > all / 2 ||
      this.#ofStrangers > ofStrangers / 2 ||
      (this.#sources.get(value.source ?? "") ?? 0) > perSource / 2 ||
      (this.#callees.get(value.callee.addressOfRecord) ?? 0) > perCallee / 2
    );
  }
}

/** Who began it has shown no password: he is none of ours. */
function isOfStranger({ caller }: Dialog): boolean {
  return caller.addressOfRecord === "";
}

/** What a dialog takes in memory: its key holds its Call-ID and tags, which its value holds once more. */
function octetsOf(key: string, { caller, callee }: Dialog): number {
  let octets = dialogOctets + 2 * key.length + caller.contact.length + callee.contact.length;
  for (const route of caller.routes ?? []) octets += route.length;
  for (const route of callee.routes ?? []) octets += route.length;
  return octets;
}

/** Whether all that counts is the same, for certain. */
function isAlike(one: Dialog, other: Dialog): boolean {
  return (
    one.caller.contact === other.caller.contact &&
    one.callee.contact === other.callee.contact &&
    one.caller.routes === other.caller.routes &&
    one.callee.routes === other.callee.routes &&
    one.caller.addressOfRecord === other.caller.addressOfRecord &&
    one.callee.addressOfRecord === other.callee.addressOfRecord &&
    one.source === other.source
  );
}

/** The latest request of either side, or what made it. */
function heardAt({ caller, callee, createdAt }: Dialog): number {
  return Math.max(createdAt, msOfVersion(caller.version), msOfVersion(callee.version));
}

/** What counts nothing is forgotten. */
function add(counts: Map<string, number>, name: string, octets: number): void {
  const count = (counts.get(name) ?? 0) + octets;
  if (count > 0) counts.set(name, count);
  else counts.delete(name);
}
