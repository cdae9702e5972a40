/** Where a call stands in a list: by its beginning, and behind which one of those that began in the same millisecond. */
export type PlaceInList = { readonly start: number; readonly id: string };

/** What is asked of a ledger's table. Times are ms since the epoch. */
export type CallQuery = {
  /** Only this one. */
  readonly id?: string;
  /** Of this address-of-record, as caller or callee. */
  readonly addressOfRecord?: string | undefined;
  /** That began then or later. */
  readonly since?: number | undefined;
  /** That come before this one in a list; absent: the latest of all. */
  readonly before?: PlaceInList | undefined;
  /** That nobody answered. */
  readonly isFailed?: boolean | undefined;
  /** The latest of them. */
  readonly most: number;
};

/** What is asked of a ledger. `isAnyGood`: it answers also when another one collects. */
export type AskedOfLedger = { readonly query: CallQuery; readonly isAnyGood: boolean };

export function isAskedOfLedger(value: unknown): value is AskedOfLedger {
  if (typeof value !== "object" || value === null || !("query" in value) || !("isAnyGood" in value)) return false;
  const { query, isAnyGood } = value;
  return typeof isAnyGood === "boolean" && typeof query === "object" && query !== null && "most" in query && typeof query.most === "number";
}

/** Call records as their texts, the earliest first; or another cell's ledger is to be asked. Undefined: it is not known whose. */
export type Listing = { readonly records: readonly string[] } | { readonly collector: string | undefined };
