import { isCount, isTable } from "../json.ts";
import type { Owner } from "./collector.ts";

/** What exchanges and ledgers say to each other, as JSON. Of a later release it may say more. */

/** Records of calls that are over, each as its text is (sip/record/record-text.ts), from an exchange to the collector. */
export type Delivery = {
  readonly records: readonly (readonly unknown[])[];
  /** The ledger of another cell passes it on: it goes no further. */
  readonly isPassedOn?: boolean;
};

/**
 * How a ledger answers an exchange.
 * - taken: the records are in two ledgers, or in the only one that lives: they may be forgotten
 * - refused: this ledger does not collect, or another one has begun to
 * - failed: the collector does not answer, or its copy does not, or there is no room
 */
export type Taking = { readonly outcome: "taken" | "refused" | "failed"; readonly owner: Owner };

/** The collector tells the copy what is new. */
export type Copying = {
  readonly owner: Owner;
  /** The ledger whose numbers these are: it was made once, and a new one has another name. */
  readonly ledger: string;
  /** Its records with numbers above this, up to `upTo`, are `records`, but for those that it has forgotten. */
  readonly after: number;
  readonly upTo: number;
  readonly records: readonly (readonly unknown[])[];
};

/** What the copy answers. */
export type Copied = {
  /** The latest owner that it knows: when it is a later one, nothing was taken. */
  readonly owner: Owner;
  /** It has everything up to this number. Lower than `after`: there is a gap, and nothing was taken. */
  readonly upTo: number;
  /** Its own ledger, and its last numbers before and behind what it took: its new records are those that the asker has. */
  readonly ledger: string;
  readonly before: number;
  readonly behind: number;
};

/** The collector asks another ledger for what it does not have. */
export type Reading = {
  readonly owner: Owner;
  /** How far it has read ledgers, by their names. */
  readonly read: Readonly<Record<string, number>>;
};

export type Read = {
  readonly owner: Owner;
  readonly ledger: string;
  readonly records: readonly (readonly unknown[])[];
  readonly upTo: number;
  readonly more: boolean;
};

function isOwner(value: unknown): value is Owner {
  if (!isTable(value) || typeof value["cell"] !== "string" || !isTable(value["since"])) return false;
  const { epoch, writer } = value["since"];
  return Number.isSafeInteger(epoch) && typeof writer === "string";
}

/** Each a list: what stands in it is read when somebody asks for it. */
function areRecords(value: unknown): value is readonly (readonly unknown[])[] {
  return Array.isArray(value) && value.every((each) => Array.isArray(each) && each[0] === "call" && typeof each[1] === "string");
}

export function isDelivery(value: unknown): value is Delivery {
  return isTable(value) && areRecords(value["records"]);
}

export function isTaking(value: unknown): value is Taking {
  return isTable(value) && isOwner(value["owner"]) && ["taken", "refused", "failed"].includes(String(value["outcome"]));
}

export function isCopying(value: unknown): value is Copying {
  if (!isTable(value) || !isOwner(value["owner"]) || typeof value["ledger"] !== "string") return false;
  return isCount(value["after"]) && isCount(value["upTo"]) && areRecords(value["records"]);
}

export function isCopied(value: unknown): value is Copied {
  if (!isTable(value) || !isOwner(value["owner"]) || typeof value["ledger"] !== "string") return false;
  return isCount(value["upTo"]) && isCount(value["before"]) && isCount(value["behind"]);
}

export function isReading(value: unknown): value is Reading {
  return isTable(value) && isOwner(value["owner"]) && isTable(value["read"]);
}

export function isRead(value: unknown): value is Read {
  if (!isTable(value) || !isOwner(value["owner"]) || typeof value["ledger"] !== "string") return false;
  return isCount(value["upTo"]) && areRecords(value["records"]) && typeof value["more"] === "boolean";
}
