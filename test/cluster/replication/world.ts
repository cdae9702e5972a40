import { HybridClock } from "../../../cluster/time/hybrid-clock.ts";
import { joinMemories, memoryFrom, type Memory } from "../../../sip/record/memory.ts";
import { RecordStore } from "../../../sip/record/record-store.ts";
import { parseRecord, serializeRecord } from "../../../sip/record/record-text.ts";
import { orderOf } from "../../../sip/record/binding-record.ts";
import type { StateRecord } from "../../../sip/record/state-record.ts";
import { makeTombstone } from "../../../sip/record/tombstone.ts";
import { recordKinds } from "../../../sip/record/record-kinds.ts";
import { isParseError } from "../../../sip/errors.ts";
import { parseAnswer, parseBatch, serializeAnswer } from "../../../cluster/replication/peer-batch.ts";
import { PeerLink, type PeerLinkEffect } from "../../../cluster/replication/peer-link.ts";
import { binding } from "../../sip/record/records.ts";
import { EventQueue } from "./event-queue.ts";

/** Two replicas, a clock and a network between them, all in one queue of events: what happens depends on the seed alone. */

export const ackTimeoutMs = 200;
export const leaseMs = 3_000;
const flushMs = 1_000;

export type Network = {
  /** Chances of a request or an answer. */
  readonly loss: number;
  readonly duplicates: number;
  readonly delayMsMax: number;
  /** The shortest way; default 1 ms. */
  readonly delayMsMin?: number;
};

export const calm: Network = { loss: 0, duplicates: 0, delayMsMax: 3 };

/** A random number generator of 32 bits of state (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** With every change on the disk: what a row may leave out is no loss that counts here. */
function newStore(): RecordStore {
  return new RecordStore({ isPaired: true, needsRow: () => true });
}

/** A change that its user was told of. */
export type Told = {
  readonly key: string;
  readonly cSeq: number;
  readonly isGone: boolean;
  readonly at: number;
  readonly waitedMs: number;
};

export class World extends EventQueue {
  network: Network = calm;
  isCut = false;
  readonly random: () => number;
  readonly told: Told[] = [];
  readonly broken: string[] = [];
  readonly a: Replica;
  readonly b: Replica;
  boots = 0;
  changes = 0;

  constructor(seed = 1) {
    super();
    this.random = randomFrom(seed);
    this.a = new Replica(this, "a");
    this.b = new Replica(this, "b");
  }

  peerOf(replica: Replica): Replica {
    return replica === this.a ? this.b : this.a;
  }

  /** Carries something one way: late, twice, or not at all. */
  carry(run: () => void): void {
    const { loss, duplicates, delayMsMax, delayMsMin = 1 } = this.network;
    const copies = this.random() < duplicates ? 2 : 1;
    for (let copy = 0; copy < copies; copy += 1) {
      if (this.isCut || this.random() < loss) continue;
      this.after(delayMsMin + this.random() * delayMsMax, run);
    }
  }
}

export class Replica {
  readonly world: World;
  readonly cell: string;
  store = newStore();
  link: PeerLink;
  boot = "";
  isUp = true;
  isFrozen = false;
  /** Batches under way, as this replica sees it, and the most there ever were. */
  readonly flights = new Set<number>();
  flightsMax = 0;
  /** Everything that the peer has made until then is known here. */
  knownUntil = Number.NEGATIVE_INFINITY;
  readonly states: string[] = [];
  /** Why each of them came. */
  readonly causes: string[] = [];
  batches = 0;
  batchOctetsMax = 0;
  /** How far it goes back: not on its disk. */
  memory: Memory = memoryFrom(0);
  readonly #disk = new Map<string, string>();
  readonly #clock: HybridClock;
  #inputs: (() => void)[] = [];
  #commits: { readonly sequence: number; readonly told: Told }[] = [];
  #followed: { readonly sequence: number; readonly done: () => void }[] = [];
  /** What happens to a frozen process: it waits in the kernel. */
  #frozen: (() => void)[] = [];
  #deadline: number | undefined;

  constructor(world: World, cell: string) {
    this.world = world;
    this.cell = cell;
    this.#clock = new HybridClock(cell);
    this.link = this.#start();
    world.after(0, () => this.settle());
  }

  kill(): void {
    this.isUp = false;
    this.isFrozen = false;
    this.#frozen = [];
    this.#inputs = [];
    this.#commits = [];
  }

  /** Starts with what is on the disk. */
  restart(): void {
    this.isUp = true;
    this.store = newStore();
    for (const text of this.#disk.values()) {
      const record = parseRecord(text);
      if (isParseError(record)) throw new Error(record.reason);
      this.#clock.observe(record.version);
      this.store.apply(record, "disk");
    }
    this.link = this.#start();
    this.settle();
  }

  freeze(): void {
    this.isFrozen = true;
  }

  thaw(): void {
    this.isFrozen = false;
    for (const run of this.#frozen.splice(0)) run();
  }

  flush(): void {
    const { put, remove } = this.store.takeDirty();
    for (const record of put) this.#disk.set(`${record.kind} ${record.key}`, serializeRecord(record));
    for (const { kind, key } of remove) this.#disk.delete(`${kind} ${key}`);
  }

  /** A phone registers, or unregisters: the 200 leaves when that is committed. */
  change(key: string, isGone = false): void {
    this.#do(() => {
      const version = this.#clock.tick(this.world.now);
      this.world.changes += 1;
      const cSeq = this.world.changes;
      this.store.apply(
        isGone
          ? makeTombstone("binding", key, version, this.world.now, { callId: "c", cSeq })
          : { kind: "binding", key, version, value: binding({ callId: "c", cSeq, expiresAt: this.world.now + 3_600_000 }) },
      );
      const { sequence } = this.store;
      this.link.changed(this.world.now);
      const told = { key, cSeq, isGone, at: this.world.now, waitedMs: 0 };
      const verdict = this.link.commit(sequence, this.world.now);
      if (verdict === "wait") this.#commits.push({ sequence, told });
      else if (verdict === "disk") this.#tell([told], true);
      else this.#tell([told], false);
    });
  }

  /** A change that nobody waits for; undefined: none. `done`: the peer has it, or there is none to wait for. */
  quietly(key: string | undefined, done: () => void): void {
    this.#do(() => {
      if (key !== undefined) {
        this.world.changes += 1;
        const version = this.#clock.tick(this.world.now);
        this.store.apply({ kind: "binding", key, version, value: binding({ callId: "c", cSeq: this.world.changes }) });
        this.link.changed(this.world.now);
      }
      const { sequence } = this.store;
      if (this.link.follow(sequence, this.world.now) === "done") done();
      else this.#followed.push({ sequence, done });
    });
  }

  /** Any change; nobody waits for it. */
  put(record: StateRecord): void {
    this.#do(() => {
      this.#clock.observe(record.version);
      this.store.apply(record);
      this.link.changed(this.world.now);
    });
  }

  /** What a user would ask for. */
  input(run: () => void = () => {}): void {
    this.#do(run);
  }

  get waiting(): number {
    return this.#inputs.length;
  }

  /** CSeq of what counts of a key; 0: nothing is held. */
  cSeqOf(key: string): number {
    const record = this.store.get("binding", key);
    return record === undefined ? 0 : orderOf(record).cSeq;
  }

  /** Tables as text, to be compared: what counts of every key. */
  table(): string[] {
    const lines: string[] = [];
    for (const kind of recordKinds) for (const record of this.store.records(kind)) lines.push(`${kind} ${record.key} ${record.version}`);
    return lines.toSorted();
  }

  settle(): void {
    if (!this.isUp) return;
    for (let effects = this.link.takeEffects(); effects.length > 0; effects = this.link.takeEffects()) {
      for (const effect of effects) this.#carryOut(effect);
    }
    const deadline = this.link.nextDeadline();
    if (deadline === undefined || deadline === this.#deadline) return;
    this.#deadline = deadline;
    const { boot } = this;
    this.world.at(deadline, () =>
      this.#wake(boot, () => {
        if (this.#deadline === deadline) this.#deadline = undefined;
        this.link.tick(this.world.now);
        this.settle();
      }),
    );
  }

  #start(): PeerLink {
    this.world.boots += 1;
    this.boot = `${this.cell}-${this.world.boots}`;
    this.flights.clear();
    this.#deadline = undefined;
    this.#flushBehind(this.boot);
    this.memory = memoryFrom(this.world.now);
    const memory = (): Memory => this.memory;
    return new PeerLink({ cell: this.cell, boot: this.boot, ackTimeoutMs, leaseMs, memory }, this.store, this.world.now);
  }

  #flushBehind(boot: string): void {
    this.world.after(flushMs, () => {
      if (this.boot !== boot || !this.isUp) return;
      if (!this.isFrozen) this.flush();
      this.#flushBehind(boot);
    });
  }

  /** Runs when this start of the process is alive; a frozen one later. */
  #wake(boot: string, run: () => void): void {
    if (!this.isUp || this.boot !== boot) return;
    if (this.isFrozen) this.#frozen.push(() => this.#wake(boot, run));
    else run();
  }

  #do(run: () => void): void {
    this.#wake(this.boot, () => {
      if (this.link.admit(this.world.now)) run();
      else this.#inputs.push(run);
      this.settle();
    });
  }

  #carryOut(effect: PeerLinkEffect): void {
    switch (effect.type) {
      case "send":
        return this.#send(effect.id, effect.text);
      case "abandon":
        this.flights.delete(effect.id);
        return;
      case "state":
        this.states.push(effect.state);
        this.causes.push(effect.cause);
        this.store.setPeerAway(effect.state === "lagging" || effect.state === "away");
        return;
      case "known":
        this.knownUntil = effect.until;
        return;
      case "memory":
        this.memory = joinMemories(this.memory, effect.memory);
        return;
      case "committed":
        this.#committed(effect.sequence, effect.needsDisk);
        return;
      case "open":
        for (const run of this.#inputs.splice(0)) run();
        return;
    }
    effect satisfies never;
  }

  #committed(sequence: number, needsDisk: boolean): void {
    const done = this.#commits.filter((commit) => commit.sequence <= sequence);
    this.#commits = this.#commits.filter((commit) => commit.sequence > sequence);
    for (const each of this.#followed.filter((followed) => followed.sequence <= sequence)) each.done();
    this.#followed = this.#followed.filter((followed) => followed.sequence > sequence);
    this.#tell(
      done.map(({ told }) => told),
      needsDisk,
    );
  }

  #tell(told: readonly Told[], needsDisk: boolean): void {
    const { world } = this;
    const peer = world.peerOf(this);
    if (needsDisk) this.flush();
    else if (peer.boot === this.link.peerBoot) {
      for (const { key, cSeq } of told) {
        const held = peer.cSeqOf(key);
        if (held < cSeq) world.broken.push(`${this.cell} told of ${key} ${cSeq} while its peer holds ${held}`);
      }
    }
    world.told.push(...told.map((each) => ({ ...each, waitedMs: world.now - each.at })));
  }

  #send(id: number, text: string): void {
    const { world, boot } = this;
    const peer = world.peerOf(this);
    this.flights.add(id);
    this.flightsMax = Math.max(this.flightsMax, this.flights.size);
    this.batches += 1;
    this.batchOctetsMax = Math.max(this.batchOctetsMax, text.length);
    const back = (run: () => void): void => world.carry(() => this.#wake(boot, run));
    if (!peer.isUp && !world.isCut) {
      back(() => {
        this.flights.delete(id);
        this.link.failed(id, true, world.now);
        this.settle();
      });
      return;
    }
    world.carry(() => {
      const { boot: theirBoot } = peer;
      peer.#wake(theirBoot, () => {
        const answer = peer.#take(text);
        world.carry(() =>
          this.#wake(boot, () => {
            this.flights.delete(id);
            const parsed = parseAnswer(answer);
            if (isParseError(parsed)) throw new Error(parsed.reason);
            this.link.answered(id, parsed, world.now);
            this.settle();
          }),
        );
      });
    });
  }

  #take(text: string): string {
    const batch = parseBatch(text);
    if (isParseError(batch)) throw new Error(batch.reason);
    if (batch.unreadable > 0) throw new Error("unreadable records");
    const { answer, records } = this.link.receive(batch, this.world.now);
    for (const record of records) {
      this.#clock.observe(record.version);
      this.store.apply(record, "peer");
    }
    this.link.applied(this.world.now);
    const out = serializeAnswer(answer);
    this.settle();
    return out;
  }
}
