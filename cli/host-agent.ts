import { ordersSchema, type HostReport, type ReportedProcess } from "../schemas/hosts.ts";
import { lastWordsMax } from "../schemas/limits.ts";
import { read } from "../schemas/reading.ts";
import type { ApiClient } from "./api-client.ts";
import { Failure, printable, reasonOf } from "./errors.ts";
import { type Usage, usageOf } from "./process-table.ts";
import type { Reporter } from "./reporter.ts";
import type { StateDirectory } from "./state-directory.ts";
import type { ProcessState } from "./process-state.ts";
import { OrderBook } from "./order-book.ts";
import { type HostPowers, idOf, OrderRunner } from "./order-runner.ts";

export type HostAgentOptions = Omit<HostPowers, "api"> & {
  readonly api: () => ApiClient;
  /** Cells of other machines, each for itself; empty: there are none. */
  readonly elsewhere: () => readonly ApiClient[];
  /** The name of the host; `local` in a system without an authority. */
  readonly host: string;
  readonly version: string;
  readonly state: StateDirectory;
  readonly reporter: Reporter;
};

/** What the only host of a system without an authority is called. */
export const localHost = "local";
/** People look at it, and wait for what they order. It costs a cell a request. */
const reportMs = 2_000;
/** So often a cell of another machine is told as well: what ran here is known there when this machine is gone with its own cell. */
const copyMs = 10_000;
/** Cells that start again, or die, are back by then: this is said of what lasts. */
const silentMs = 30_000;
/** An outcome that no cell has taken is told again after this. */
const retoldMs = 500;

/** Tells the cells what runs on this host, and takes orders with their answers. It dials out: nobody has to reach this machine. */
export class HostAgent {
  readonly #options: HostAgentOptions;
  readonly #startedAt = Date.now();
  readonly #book: OrderBook;
  readonly #runner: OrderRunner;
  /** Orders that are over, and of which no cell has taken the outcome. */
  readonly #toTell: Set<string>;
  /** CPU of each process when it was last looked at. */
  #used = new Map<number, { readonly seconds: number; readonly at: number }>();
  #timer: NodeJS.Timeout | undefined;
  #isReporting = false;
  #copiedAt = Number.NEGATIVE_INFINITY;
  #copies = 0;
  /** Since when no cell takes a report; undefined: one has taken the last. */
  #silentSince: number | undefined;
  #isSilentSaid = false;
  /** Nothing of this keeps the process from ending. */
  readonly #end = new AbortController();

  constructor(options: HostAgentOptions) {
    this.#options = options;
    this.#book = new OrderBook(options.state, Date.now());
    this.#toTell = new Set(this.#book.cutShort);
    this.#runner = new OrderRunner({ ...options, api: () => this.#api }, this.#book, (id) => {
      this.#toTell.add(id);
      this.#soon(0);
    });
  }

  start(): void {
    this.#soon(0);
  }

  stop(): void {
    this.#end.abort();
    clearTimeout(this.#timer);
  }

  get #isOver(): boolean {
    return this.#end.signal.aborted;
  }

  /** Any cell, for as long as this host is. */
  get #api(): ApiClient {
    return this.#options.api().until(this.#end.signal);
  }

  #soon(ms: number): void {
    if (this.#isOver || (this.#isReporting && ms === 0)) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#report(), ms).unref();
  }

  async #report(): Promise<void> {
    const { reporter } = this.#options;
    this.#isReporting = true;
    const told = this.#outcomes();
    try {
      const state = this.#state();
      this.#copy(state);
      const { value } = read(ordersSchema, await this.#api.put("/host/report", { ...state, outcomes: told }));
      if (this.#isOver) return;
      this.#silentSince = undefined;
      this.#isSilentSaid = false;
      for (const { id } of told) this.#toTell.delete(id);
      const { orders, asked } = value ?? { orders: [], asked: [] };
      // A cell that has not heard that it is over: it was told on another side of a cut, or to one that has died over it.
      for (const id of [...orders.map((order) => order.id), ...asked]) if (this.#book.outcomeOf(id) !== undefined) this.#toTell.add(id);
      for (const order of orders) this.#runner.take(order);
    } catch (error) {
      // A cell of an earlier release knows no reports. Cells that are down are said by who watches them.
      if (!(error instanceof Failure)) throw error;
      this.#silentSince ??= performance.now();
      if (this.#isSilentSaid || this.#isOver || performance.now() - this.#silentSince < silentMs) return;
      this.#isSilentSaid = true;
      reporter.event("tandem", "warns", `no cell takes what this host reports, nor has orders for it: ${reasonOf(error)}`);
    } finally {
      this.#isReporting = false;
      this.#soon(this.#toTell.size > 0 ? retoldMs : reportMs);
    }
  }

  /** Nobody waits for it: another cell is told the next time. Orders come with the answers to the others. */
  #copy(state: Omit<HostReport, "outcomes">): void {
    const cells = this.#options.elsewhere();
    const now = performance.now();
    if (cells.length === 0 || now - this.#copiedAt < copyMs) return;
    this.#copiedAt = now;
    this.#copies += 1;
    const copied = cells[this.#copies % cells.length]?.until(this.#end.signal).put("/host/report", { ...state, outcomes: [] });
    copied?.catch(() => undefined);
  }

  #outcomes(): HostReport["outcomes"] {
    return [...this.#toTell].flatMap((id) => {
      const outcome = this.#book.outcomeOf(id);
      return outcome === undefined ? [] : [{ id, ...outcome }];
    });
  }

  #state(): Omit<HostReport, "outcomes"> {
    const { host, version, supervisor } = this.#options;
    const used = new Map<number, { readonly seconds: number; readonly at: number }>();
    const usage = (pid: number): object => {
      const { cpuSeconds, ...rest } = usageOf(pid);
      const now = performance.now();
      const before = this.#used.get(pid);
      if (cpuSeconds === undefined) return rest;
      used.set(pid, { seconds: cpuSeconds, at: now });
      const share = before === undefined ? undefined : Math.round((100_000 * (cpuSeconds - before.seconds)) / Math.max(1, now - before.at));
      return {
        ...rest,
        cpuSeconds: Math.round(cpuSeconds),
        ...(share === undefined ? {} : { cpuPercent: Math.max(0, share) }),
      } satisfies Usage & object;
    };
    const processes = supervisor.processes.flatMap((process) => reported(process, usage));
    const report = { host, version, since: this.#startedAt, ...usage(process.pid), processes };
    this.#used = used;
    return report;
  }
}

function reported({ name, state, pid, since, starts, said, saidAt }: ProcessState, usage: (pid: number) => object): ReportedProcess[] {
  const kind = name.slice(0, name.indexOf(" "));
  if (kind !== "cell" && kind !== "gateway") return [];
  const words = said === "" ? {} : { lastWords: printable(said).slice(0, lastWordsMax), saidAt };
  return [{ id: idOf(name), kind, state, ...(pid === undefined ? {} : { pid, ...usage(pid) }), since, starts, ...words }];
}
