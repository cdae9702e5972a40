import { CopyLink } from "../../../cluster/replication/copy-link.ts";
import { parseAnswer, parseBatch, serializeAnswer } from "../../../cluster/replication/peer-batch.ts";
import { PeerLink, type PeerLinkEffect } from "../../../cluster/replication/peer-link.ts";
import { BatchIds } from "../../../cluster/replication/sending-side.ts";
import { HybridClock } from "../../../cluster/time/hybrid-clock.ts";
import { isParseError } from "../../../sip/errors.ts";
import { recordKinds } from "../../../sip/record/record-kinds.ts";
import { RecordStore, type Origin } from "../../../sip/record/record-store.ts";
import { makeTombstone } from "../../../sip/record/tombstone.ts";
import { binding } from "../../sip/record/records.ts";
import { EventQueue } from "./event-queue.ts";
import { ackTimeoutMs, calm, leaseMs, randomFrom, type Network } from "./world.ts";

/** One end of a link: what it wants done, and to whom. */
type End = {
  readonly cell: Cell;
  readonly to: Cell;
  readonly link: () => PeerLink;
  readonly take: () => PeerLinkEffect[];
  readonly origin: Origin;
};

/** What a cell has of the exchange: its records, and the ends of its links. */
export class Cell {
  readonly id: string;
  readonly clock: HybridClock;
  readonly ids = new BatchIds();
  readonly ends = new Map<string, End>();
  store = new RecordStore({ isPaired: true });
  boot: string;
  isUp = true;
  batches = 0;
  batchOctetsMax = 0;
  readonly happened: string[] = [];

  constructor(id: string, boot: string) {
    this.id = id;
    this.boot = boot;
    this.clock = new HybridClock(id);
  }

  /** What it has, as text; ends are left out. */
  table(): string[] {
    const lines: string[] = [];
    for (const kind of recordKinds) for (const { key, version } of this.store.records(kind)) lines.push(`${kind} ${key} ${version}`);
    return lines.toSorted();
  }
}

/** A pair, a and b, and a third cell c to which a copies what the pair has. What happens depends on the seed alone. */
export class ThreeCells extends EventQueue {
  network: Network = calm;
  readonly a: Cell;
  readonly b: Cell;
  c: Cell;
  copy: CopyLink;
  readonly #random: () => number;
  #boots = 0;
  #changes = 0;

  constructor(seed = 1, inStore = 0) {
    super();
    this.#random = randomFrom(seed);
    this.a = this.#newCell("a");
    this.b = this.#newCell("b");
    this.c = this.#newCell("c");
    for (let each = 0; each < inStore; each += 1) this.put(this.a, `early${each}`);
    this.#pair(this.a, this.b);
    this.#pair(this.b, this.a);
    this.copy = this.#copyToC();
    this.#joinC();
  }

  /** A change, of which the cell tells whomever it has to. */
  put(cell: Cell, key: string, isGone = false): void {
    this.#changes += 1;
    const version = cell.clock.tick(this.now);
    const name = `bob@example.test ${key}`;
    const order = { callId: "c", cSeq: this.#changes };
    cell.store.apply(
      isGone
        ? makeTombstone("binding", name, version, this.now, order)
        : { kind: "binding", key: name, version, value: binding({ ...order, expiresAt: this.now + 3_600_000 }) },
    );
    this.#changed(cell);
  }

  /** Cell c dies, and another start of it has nothing. */
  restartC(): void {
    this.c.isUp = false;
    this.c = this.#newCell("c");
    this.#joinC();
  }

  /** Cell a goes on with another link, as after a start of its own. */
  copyAnew(): void {
    this.copy.end();
    this.a.boot = `a-${(this.#boots += 1)}`;
    this.#pair(this.a, this.b);
    this.copy = this.#copyToC();
  }

  /** The map names c in place of b. */
  switchOver(): readonly PeerLinkEffect[] {
    const { a, c, copy } = this;
    const link = copy.link;
    const said = copy.becomePeer();
    a.ends.delete("b");
    a.ends.set("c", { cell: a, to: c, link: () => link, take: () => link.takeEffects(), origin: "peer" });
    this.#settle(a);
    return said;
  }

  #newCell(id: string): Cell {
    this.#boots += 1;
    return new Cell(id, `${id}-${this.#boots}`);
  }

  #pair(cell: Cell, to: Cell): void {
    const link = new PeerLink({ cell: cell.id, boot: cell.boot, ids: cell.ids, ackTimeoutMs, leaseMs }, cell.store, this.now);
    cell.ends.set(to.id, { cell, to, link: () => link, take: () => link.takeEffects(), origin: "peer" });
    this.#settleSoon(cell);
  }

  #copyToC(): CopyLink {
    const { a } = this;
    const { boot, ids, store } = a;
    const copy = new CopyLink({ cell: "a", boot, ids, ackTimeoutMs, leaseMs }, store, this.now);
    a.ends.set("c", { cell: a, to: this.c, link: () => copy.link, take: () => copy.takeEffects(), origin: "local" });
    this.#settleSoon(a);
    return copy;
  }

  #joinC(): void {
    const { a, c } = this;
    const { boot, ids, store } = c;
    const link = new PeerLink({ cell: "c", boot, ids, ackTimeoutMs, leaseMs, isNewcomer: true }, store, this.now);
    c.ends.set("a", { cell: c, to: a, link: () => link, take: () => link.takeEffects(), origin: "peer" });
    this.#settleSoon(c);
  }

  #changed(cell: Cell): void {
    for (const { link } of cell.ends.values()) link().changed(this.now);
    this.#settle(cell);
  }

  #settleSoon(cell: Cell): void {
    this.at(this.now, () => this.#settle(cell));
  }

  #settle(cell: Cell): void {
    if (!cell.isUp) return;
    for (const end of cell.ends.values()) this.#settleEnd(end);
  }

  #settleEnd(end: End): void {
    const { cell, to } = end;
    for (let effects = end.take(); effects.length > 0; effects = end.take()) {
      for (const effect of effects) {
        if (effect.type === "send") this.#send(end, effect.id, effect.text);
        else if (effect.type === "state") cell.happened.push(`${effect.state} with ${to.id}`);
        else if (effect.type === "committed") cell.happened.push("committed");
      }
    }
    const link = end.link();
    const deadline = link.nextDeadline();
    if (deadline === undefined) return;
    this.at(deadline, () => {
      if (!cell.isUp || link !== cell.ends.get(to.id)?.link()) return;
      link.tick(this.now);
      this.#settleEnd(end);
    });
  }

  #send(end: End, id: number, text: string): void {
    const { cell } = end;
    const link = end.link();
    cell.batches += 1;
    cell.batchOctetsMax = Math.max(cell.batchOctetsMax, text.length);
    this.#carry(() => {
      const there = end.to.id === "c" ? this.c : end.to;
      const answer = this.#take(there, cell.id, text);
      if (answer === undefined) return;
      this.#carry(() => {
        const read = parseAnswer(answer);
        if (isParseError(read)) throw new Error(read.reason);
        if (!cell.isUp) return;
        link.answered(id, read, this.now);
        this.#settle(cell);
      });
    });
  }

  #take(cell: Cell, from: string, text: string): string | undefined {
    const end = cell.ends.get(from);
    if (end === undefined || !cell.isUp) return undefined;
    const batch = parseBatch(text);
    if (isParseError(batch)) throw new Error(batch.reason);
    const link = end.link();
    const { answer, records } = link.receive(batch, this.now);
    for (const record of records) {
      cell.clock.observe(record.version);
      cell.store.apply(record, end.origin);
    }
    link.applied(this.now);
    for (const other of cell.ends.values()) if (other !== end && records.length > 0) other.link().changed(this.now);
    this.#settle(cell);
    return serializeAnswer(answer);
  }

  #carry(run: () => void): void {
    const { loss, duplicates, delayMsMax } = this.network;
    const copies = this.#random() < duplicates ? 2 : 1;
    for (let copy = 0; copy < copies; copy += 1) {
      if (this.#random() >= loss) this.at(this.now + 1 + this.#random() * delayMsMax, run);
    }
  }
}
