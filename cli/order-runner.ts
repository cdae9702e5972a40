import { setTimeout as delay } from "node:timers/promises";
import { orderTextMax } from "../cluster/limits.ts";
import { leftSchema, type OrdersForHost } from "../schemas/hosts.ts";
import { read } from "../schemas/reading.ts";
import type { ApiClient } from "./api-client.ts";
import { Failure, printable, reasonOf } from "./errors.ts";
import { isTable } from "./json.ts";
import type { Supervisor } from "./supervisor.ts";
import type { OrderBook } from "./order-book.ts";

/** What a host does with a process, and with itself. */
export type HostPowers = {
  readonly supervisor: Pick<Supervisor, "processes" | "stopOne" | "startOne">;
  /** Any cell, asked as a host. */
  readonly api: () => Pick<ApiClient, "get" | "put">;
  /** Reads configuration and certificates again, and says what came of it. */
  readonly reload: () => Promise<string>;
};

type Order = OrdersForHost["orders"][number];

/** How often it is asked who is left: all registrations may be megabytes. */
const leftAskedMs = 2_000;
/** A gateway that has started connects to its cells within seconds, and a cell is heard again. */
const serviceMsMax = 15_000;
const serviceAskedMs = 500;

/** Carries out the orders of a host, each once, those for one process one after the other. */
export class OrderRunner {
  readonly #powers: HostPowers;
  readonly #book: OrderBook;
  readonly #finished: (id: string) => void;
  /** By process: resolves when what was begun there is over. */
  readonly #busy = new Map<string, Promise<void>>();
  /** By process: ends the wait for its phones, of the last order that was taken. */
  readonly #waiting = new Map<string, AbortController>();

  /** `finished`: the outcome of this order is in the book. */
  constructor(powers: HostPowers, book: OrderBook, finished: (id: string) => void) {
    this.#powers = powers;
    this.#book = book;
    this.#finished = finished;
  }

  /** Begins it, unless it was begun before. */
  take(order: Order): void {
    if (this.#book.has(order.id)) return;
    try {
      this.#book.begin(order.id);
    } catch (error) {
      return this.#finish(order, false, `not begun, for it cannot be noted: ${reasonOf(error)}`);
    }
    const { member = "" } = order;
    // Who says something else of a process does not want what it waits for.
    this.#waiting.get(member)?.abort();
    const stop = new AbortController();
    this.#waiting.set(member, stop);
    const before = this.#busy.get(member) ?? Promise.resolve();
    this.#busy.set(
      member,
      before.then(() => this.#carryOut(order, stop.signal)),
    );
  }

  async #carryOut(order: Order, stop: AbortSignal): Promise<void> {
    try {
      this.#finish(order, true, await this.#act(order, stop));
    } catch (error) {
      this.#finish(order, false, reasonOf(error));
    }
  }

  async #act({ what, member, drainMs }: Order, stop: AbortSignal): Promise<string> {
    if (what === "reload") return await this.#powers.reload();
    const { supervisor } = this.#powers;
    const name = this.#nameOf(member ?? "");
    if (what === "start") {
      await supervisor.startOne(name);
      return `${name} is started${await this.#takenBack(member ?? "")}`;
    }
    const left = drainMs === undefined ? "" : await this.#drained(member ?? "", drainMs, stop);
    await supervisor.stopOne(name);
    if (what === "stop") return `${name} is stopped${left}`;
    await supervisor.startOne(name);
    return `${name} is started again${left}${drainMs === undefined ? "" : await this.#takenBack(member ?? "")}`;
  }

  #nameOf(member: string): string {
    const process = this.#powers.supervisor.processes.find(({ name }) => idOf(name) === member);
    if (process === undefined) throw new Failure(`there is no process ${member} here`);
    return process.name;
  }

  /** Waits until no phone is left there, or its time is over. Returns what is to be said of that. */
  async #drained(member: string, drainMs: number, stop: AbortSignal): Promise<string> {
    let left: number | undefined;
    for (const until = performance.now() + drainMs; performance.now() < until;) {
      left = await this.#left(member);
      if (left === 0) return "";
      await delay(Math.min(leftAskedMs, Math.max(0, until - performance.now())), undefined, { signal: stop, ref: false }).catch(
        () => undefined,
      );
      if (stop.aborted) throw new Failure("given up for a later order");
    }
    return `; ${left ?? "an unknown number of"} phones had not gone elsewhere`;
  }

  async #left(member: string): Promise<number | undefined> {
    try {
      const query = new URLSearchParams({ member });
      return read(leftSchema, await this.#powers.api().get(`/host/left?${query.toString()}`)).value?.left;
    } catch (error) {
      if (error instanceof Failure) return undefined;
      throw error;
    }
  }

  /** Phones may come again. Cells that live are to know it before the order is done: the next one may take out one of them. */
  async #takenBack(member: string): Promise<string> {
    let reason = "";
    for (
      const until = performance.now() + serviceMsMax;
      performance.now() < until;
      await delay(serviceAskedMs, undefined, { ref: false })
    ) {
      try {
        const answer = await this.#powers.api().put("/host/service", { member });
        if (!isTable(answer) || answer["isHeard"] !== false) return "";
        reason = "";
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        reason = error.message;
      }
    }
    if (reason === "") return "";
    return `, and stays out of service until tandem undrain ${member}: ${reason}`;
  }

  #finish({ id }: Order, isDone: boolean, text: string): void {
    this.#book.finish(id, { isDone, text: printable(text).slice(0, orderTextMax), at: Date.now() });
    this.#finished(id);
  }
}

/** `a` of `cell a`. */
export function idOf(process: string): string {
  return process.slice(process.indexOf(" ") + 1);
}
