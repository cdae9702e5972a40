import { isFormer, type Collector, type Owner } from "../../cluster/calls/collector.ts";
import type { Copied, Copying, Delivery, Read, Reading, Taking } from "../../cluster/calls/messages.ts";
import { ledgerChunkMax, ledgerGatheredMs } from "../limits.ts";
import type { MakeTimer, Timer } from "../timer.ts";

/** A call record as its text is, read as JSON (sip/record/record-text.ts). */
type CallList = readonly unknown[];

/** What a ledger has on its disk. All of it happens within the call. */
export type LedgerDisk = {
  /** The name of this ledger: random, and made with it. */
  readonly name: string;
  /** The number that was given last. They only rise. */
  readonly last: number;
  /** Who was the latest to speak for the collector, as far as this ledger knows. */
  readonly owner: Owner;
  keepOwner(owner: Owner): void;
  /** Keeps those that say more of their call than what is held, each with a new number; and no more than is to be kept. */
  put(records: readonly CallList[]): void;
  /** What has numbers above this one, in their order, at most so many. `upTo`: how far that goes. */
  after(number: number, max: number): { readonly records: readonly CallList[]; readonly upTo: number };
  /** How far other ledgers have been read, by their names. */
  readonly read: Readonly<Record<string, number>>;
  keepRead(ledger: string, upTo: number): void;
  /** The same, on the disk with what is put next. Where this process ends before, that ledger is read again from where it was. */
  noteRead(ledger: string, upTo: number): void;
};

/** Each calls back once, when there is an answer, or none is to be had. */
export type LedgerPorts = {
  readonly disk: LedgerDisk;
  readonly timer: MakeTimer;
  /** Who collects, as this cell's core group sees it now. */
  collector(told: (collector: Collector | undefined) => void): void;
  /** Passes a delivery on to the collector. */
  pass(cell: string, delivery: Delivery, told: (taking: Taking | undefined) => void): void;
  copy(cell: string, message: Copying, told: (answer: Copied | undefined) => void): void;
  read(cell: string, message: Reading, told: (answer: Read | undefined) => void): void;
};

/** What was brought to be collected, and is to be put. */
type Arrived = { readonly records: readonly CallList[]; readonly told: (taking: Taking) => void };
type Waiting = { readonly number: number; readonly told: (taking: Taking) => void };

/**
 * The ledger of one cell. That of the collector's cell takes the records of all exchanges, brings them to a copy in another cell, and only then lets the
 * exchanges forget them. Whoever begins to collect reads first what the other ledgers have and this one has not.
 *
 * All of it may happen twice: a record has its key, and what says no more than what is held changes nothing. An owner that has been replaced, and does
 * not know it, is refused by the copy: that one has heard of a later owner.
 */
export class LedgerActor {
  readonly #cell: string;
  readonly #ports: LedgerPorts;
  /** Cells that live, and those of them whose ledgers have not been read since that is known, or since this one began to collect. */
  #met = new Set<string>();
  #unread: string[] = [];
  #reading: (() => void)[] | undefined;
  /** The cell of the copy, and up to which number it has everything; undefined: it has not said. */
  #copy: { readonly cell: string; upTo: number | undefined } | undefined;
  #isCopying = false;
  readonly #gathering: Timer;
  /** The collector as it was when the latest of these came. */
  #collector: Collector | undefined;
  #arrived: Arrived[] = [];
  #waiting: Waiting[] = [];
  /** As which owner this ledger collects. */
  #owner: Owner | undefined;

  constructor(cell: string, ports: LedgerPorts) {
    this.#cell = cell;
    this.#ports = ports;
    this.#gathering = ports.timer(() => this.#put());
  }

  /** Records of an exchange. Those of this cell bring them here, and this ledger to the collector's. */
  take(delivery: Delivery, told: (taking: Taking) => void): void {
    const { disk } = this.#ports;
    this.#collect((collector, isOwn) => {
      if (collector === undefined || (!isOwn && delivery.isPassedOn === true)) return told({ outcome: "refused", owner: disk.owner });
      if (!isOwn) {
        const failed: Taking = { outcome: "failed", owner: disk.owner };
        return this.#ports.pass(collector.cell, { ...delivery, isPassedOn: true }, (taking) => told(taking ?? failed));
      }
      if (this.#arrived.length === 0) this.#gathering.set(ledgerGatheredMs);
      this.#collector = collector;
      this.#arrived.push({ records: delivery.records, told });
    });
  }

  /** All that has come is one commit: the thread of all objects of the cell waits for the disk each time. */
  #put(): void {
    const { disk } = this.#ports;
    const arrived = this.#arrived;
    this.#arrived = [];
    try {
      disk.put(arrived.flatMap(({ records }) => records));
    } catch (error) {
      for (const { told } of arrived) told({ outcome: "failed", owner: disk.owner });
      throw error;
    }
    for (const { told } of arrived) this.#waiting.push({ number: disk.last, told });
    if (this.#collector !== undefined) this.#bring(this.#collector);
  }

  /** What the collector has for this ledger, which is its copy. */
  copied({ owner, ledger, after, upTo, records }: Copying): Copied {
    const { disk } = this.#ports;
    const before = disk.last;
    const has = disk.read[ledger] ?? 0;
    if (!this.#yields(owner) || after > has) {
      return { owner: disk.owner, upTo: has, ledger: disk.name, before, behind: before };
    }
    disk.put(records);
    if (upTo > has) disk.keepRead(ledger, upTo);
    return { owner: disk.owner, upTo: Math.max(has, upTo), ledger: disk.name, before, behind: disk.last };
  }

  /** What this ledger has that the collector has not read. */
  readBy({ owner, read }: Reading): Read {
    const { disk } = this.#ports;
    const after = read[disk.name] ?? 0;
    if (!this.#yields(owner)) return { owner: disk.owner, ledger: disk.name, records: [], upTo: after, more: false };
    const { records, upTo } = disk.after(after, ledgerChunkMax);
    return { owner: disk.owner, ledger: disk.name, records, upTo, more: upTo < disk.last };
  }

  /** Somebody asks for what there is: runs when this ledger has read the others, if it collects. `owner`: who collects, if that is known. */
  whenRead(run: (collector: Collector | undefined) => void): void {
    this.#collect((collector, isOwn) => (isOwn ? this.#readOthers(() => run(collector)) : run(collector)));
  }

  /** `run` gets undefined when nobody collects, or whoever this cell takes for the collector has been replaced. */
  #collect(run: (collector: Collector | undefined, isOwn: boolean) => void): void {
    this.#ports.collector((collector) => {
      if (collector === undefined || !this.#yields(collector)) return run(undefined, false);
      if (collector.cell !== this.#cell) return run(collector, false);
      this.#look(collector);
      run(collector, true);
    });
  }

  /** Who has come to be reachable, or was when this ledger began to collect, may have what this one has not. */
  #look(collector: Collector): void {
    const { cell, since, others } = collector;
    if (this.#owner === undefined || isFormer(this.#owner, collector)) this.#met.clear();
    this.#owner = { cell, since };
    const news = others.filter((other) => !this.#met.has(other));
    this.#met = new Set(others);
    this.#unread = [...this.#unread.filter((other) => this.#met.has(other) && !news.includes(other)), ...news];
    if (news.length > 0) this.#readOthers(() => this.#bring(collector));
  }

  /** Whether this owner is the latest one that is known: it is from now on. */
  #yields({ cell, since }: Owner): boolean {
    const { disk } = this.#ports;
    if (isFormer({ cell, since }, disk.owner)) return false;
    if (isFormer(disk.owner, { cell, since })) disk.keepOwner({ cell, since });
    return true;
  }

  /** Reads what the other ledgers have: whoever does not answer is asked again another time. */
  #readOthers(over: () => void): void {
    if (this.#reading !== undefined) return void this.#reading.push(over);
    const cells = [...this.#unread];
    if (cells.length === 0) return over();
    this.#reading = [over];
    const next = (): void => {
      const cell = cells.shift();
      if (cell !== undefined) return this.#readOne(cell, next);
      const waiting = this.#reading ?? [];
      this.#reading = undefined;
      for (const each of waiting) each();
    };
    next();
  }

  #readOne(cell: string, over: () => void): void {
    const { disk } = this.#ports;
    const owner = this.#owner;
    if (owner === undefined) return over();
    this.#ports.read(cell, { owner, read: disk.read }, (answer) => {
      if (answer === undefined || !this.#isStill(owner, answer.owner)) return over();
      disk.put(answer.records);
      disk.keepRead(answer.ledger, answer.upTo);
      if (answer.more) return this.#readOne(cell, over);
      this.#unread = this.#unread.filter((each) => each !== cell);
      over();
    });
  }

  /** Whether this ledger still collects as `owner`, now that somebody has said who does. */
  #isStill(owner: Owner, known: Owner): boolean {
    return this.#yields(known) && !isFormer(owner, this.#ports.disk.owner);
  }

  /** Brings to the copy what it does not have. */
  #bring(collector: Collector): void {
    const [cell] = collector.others;
    if (cell === undefined) return this.#answer(Number.POSITIVE_INFINITY, "taken");
    if (this.#copy?.cell !== cell) this.#copy = { cell, upTo: undefined };
    if (!this.#isCopying) this.#bringSome(collector, this.#copy);
  }

  #bringSome(collector: Collector, copy: { readonly cell: string; upTo: number | undefined }): void {
    const { disk } = this.#ports;
    const { cell, since } = collector;
    const after = copy.upTo ?? 0;
    // It is asked first how far it has come.
    const chunk = copy.upTo === undefined ? { records: [], upTo: 0 } : disk.after(after, ledgerChunkMax);
    this.#isCopying = true;
    this.#ports.copy(copy.cell, { owner: { cell, since }, ledger: disk.name, after, ...chunk }, (answer) => {
      this.#isCopying = false;
      if (answer === undefined) {
        copy.upTo = undefined;
        return this.#answer(Number.POSITIVE_INFINITY, "failed");
      }
      if (!this.#isStill({ cell, since }, answer.owner)) return this.#answer(Number.POSITIVE_INFINITY, "refused");
      const hasComeOn = copy.upTo === undefined || answer.upTo > copy.upTo;
      copy.upTo = answer.upTo;
      // What it has new it has from here.
      if ((disk.read[answer.ledger] ?? 0) === answer.before && answer.behind > answer.before) disk.noteRead(answer.ledger, answer.behind);
      this.#answer(answer.upTo, "taken");
      if (answer.upTo >= disk.last) return;
      if (hasComeOn || answer.upTo < after) this.#bringSome(collector, copy);
      else this.#answer(Number.POSITIVE_INFINITY, "failed");
    });
  }

  /** Those that wait for this number, or a lower one. */
  #answer(upTo: number, outcome: Taking["outcome"]): void {
    const { owner } = this.#ports.disk;
    const told = this.#waiting.filter(({ number }) => number <= upTo);
    this.#waiting = this.#waiting.filter(({ number }) => number > upTo);
    for (const each of told) each.told({ outcome, owner });
  }
}
