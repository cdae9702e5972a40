import { readFileSync } from "node:fs";
import type { OrderOutcome } from "../cluster/map/orders.ts";
import { isTable, isText } from "./json.ts";
import type { StateDirectory } from "./state-directory.ts";

const bookFile = "orders.json";
/** As many as a map has room for: what is older nobody hands out any more. */
const bookedMax = 64;

type Booked = { readonly id: string; readonly outcome?: OrderOutcome };

/** What a host has begun, on its disk: so it does nothing twice, whichever of its cells hands it out again, and whenever it was started anew. */
export class OrderBook {
  readonly #state: StateDirectory;
  #booked: readonly Booked[];
  /** What was begun by the start before this one, and has no outcome of its own. */
  readonly cutShort: readonly string[];

  /** What was begun and has no outcome was cut short by the end of this process: it is not begun again. */
  constructor(state: StateDirectory, now: number) {
    this.#state = state;
    const booked = bookedIn(state);
    const cutShort = { isDone: false, text: "the host ended while it was carried out", at: now };
    this.cutShort = booked.filter(({ outcome }) => outcome === undefined).map(({ id }) => id);
    this.#booked = booked.map(({ id, outcome = cutShort }) => ({ id, outcome }));
  }

  has(id: string): boolean {
    return this.#booked.some((each) => each.id === id);
  }

  outcomeOf(id: string): OrderOutcome | undefined {
    return this.#booked.find((each) => each.id === id)?.outcome;
  }

  /** Throws when it cannot be noted: then it is not to be carried out. */
  begin(id: string): void {
    this.#write([...this.#booked.filter((each) => each.id !== id), { id }]);
  }

  /** Known from now on, and on the disk if that takes it: without it the outcome after a restart is that it was cut short. */
  finish(id: string, outcome: OrderOutcome): void {
    const booked = this.#booked.map((each) => (each.id === id ? { id, outcome } : each));
    this.#booked = booked.some((each) => each.id === id) ? booked : [...booked, { id, outcome }];
    try {
      this.#write(this.#booked);
    } catch {
      // The disk is full: it is told to the cells all the same.
    }
  }

  #write(booked: readonly Booked[]): void {
    const kept = booked.slice(-bookedMax);
    this.#state.write(bookFile, `${JSON.stringify(kept)}\n`, 0o600);
    this.#booked = kept;
  }
}

/** A book that is not there, or damaged, has nothing: orders are good for half a minute. */
function bookedIn(state: StateDirectory): readonly Booked[] {
  try {
    const value: unknown = JSON.parse(readFileSync(state.file(bookFile), "utf8"));
    return Array.isArray(value) ? value.filter(isBooked) : [];
  } catch {
    return [];
  }
}

function isBooked(value: unknown): value is Booked {
  if (!isTable(value) || !isText(value["id"])) return false;
  const { outcome } = value;
  if (outcome === undefined) return true;
  return isTable(outcome) && typeof outcome["isDone"] === "boolean" && isText(outcome["text"]) && typeof outcome["at"] === "number";
}
