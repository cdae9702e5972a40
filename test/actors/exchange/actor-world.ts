import { createHmac } from "node:crypto";
import type { BackhaulEnd } from "../../../actors/exchange/backhauls.ts";
import { ExchangeActor } from "../../../actors/exchange/exchange-actor.ts";
import type { BackhaulSocket, BackhaulState, ExchangePorts, Offered } from "../../../actors/exchange/ports.ts";
import type { MakeTimer } from "../../../actors/timer.ts";
import {
  decodeFrame,
  encodeFrame,
  isFrameError,
  jsonOctets,
  RecordKind,
  type Frame,
  type FrameRecord,
} from "../../../cluster/backhaul/frame.ts";
import type { ClusterMap } from "../../../cluster/map/cluster-map.ts";
import { nobodyYet } from "../../../cluster/calls/collector.ts";
import { parseBatch, serializeAnswer, serializeBatch } from "../../../cluster/replication/peer-batch.ts";
import { isParseError } from "../../../sip/errors.ts";
import { octetsOf, stringOf } from "../../../sip/message/octets.ts";
import type { Memory } from "../../../sip/record/memory.ts";
import type { StateRecord } from "../../../sip/record/state-record.ts";
import { hash, listeners, startedAt, testMap } from "./harness.ts";
import type { Clocks } from "../../../sip/time.ts";

const lineListeners = [{ transport: "WS", host: "example.test", port: 80 }] as const;

type ClocksAndTimers = { readonly clock: Clocks; readonly timer: MakeTimer };

export type ActorWorldOptions = {
  /** Where it is, and the name of its start. */
  readonly cell?: string;
  readonly boot?: string;
  readonly exchange?: number;
  /** Cell b has no replica. */
  readonly isAlone?: boolean;
  /** The map that it begins with. */
  readonly map?: ClusterMap;
  /** Its disk is none that it has begun with before. Default: it is, so that it has met its peer. */
  readonly memory?: Memory;
  readonly disk?: readonly StateRecord[];
  /** Clocks and timers; undefined: {@link ActorWorld.now} and {@link ActorWorld.advance}. */
  readonly timers?: ClocksAndTimers;
};

/** A gateway's side of one backhaul. */
export class TestBackhaul implements BackhaulSocket {
  readonly frames: Frame[] = [];
  readonly closed: string[] = [];
  readonly end: BackhaulEnd;
  isDead = false;
  kept: BackhaulState | undefined;
  readonly #world: ActorWorld;
  #seq = 0;

  constructor(world: ActorWorld, access: string) {
    this.#world = world;
    this.end = world.actor.acceptBackhaul(access, this);
  }

  send(octets: Uint8Array): boolean {
    if (this.isDead) return false;
    this.#world.happened.push("send");
    this.frames.push(frameOf(octets));
    return true;
  }

  close(code: number, reason: string): void {
    this.closed.push(`${code} ${reason}`);
  }

  keep(state: BackhaulState): void {
    this.kept = state;
  }

  hello(access = "g1", boot = "boot1"): void {
    this.give([{ kind: RecordKind.hello, key: access, octets: jsonOctets({ boot, listeners }) }]);
  }

  /** One frame with these records. */
  give(records: readonly FrameRecord[], ack = this.frames.at(-1)?.seq ?? 0): void {
    this.#seq += 1;
    this.#world.take(() => this.#world.actor.takeBackhaulFrame(this.end, encodeFrame(this.#seq, ack, records), () => {}));
  }

  message(key: string, text: string): void {
    this.give([{ kind: RecordKind.message, key, octets: octetsOf(text) }]);
  }

  /** What was sent to phones, as text. */
  get texts(): string[] {
    return this.frames.flatMap(({ records }) => textsOf(records));
  }
}

/** One exchange actor, its ports written down, and a peer that answers when it is told to. */
export class ActorWorld {
  readonly actor: ExchangeActor;
  now = startedAt;
  /** What the wall clock is ahead of the steady one. */
  aheadMs = 0;
  /** What happened at the ports, in order. */
  readonly happened: string[] = [];
  /** What the core group was told of why the pair is another one. */
  readonly causes: string[] = [];
  /** Timers that are set, and when they ring. */
  readonly timers = new Map<() => void, number>();
  readonly batches = new Map<number, string>();
  /** Where each batch went. */
  readonly batchCells = new Map<number, string>();
  readonly toLines: {
    readonly access: string;
    readonly frame: Frame;
    readonly done: (answer: Uint8Array | undefined) => void;
  }[] = [];
  /** What was brought to other exchanges, and asked of those that this one has come from. */
  readonly given: { readonly exchange: number; readonly batch: string; readonly answered: (isTaken: boolean) => void }[] = [];
  readonly askedElders: { readonly exchange: number; readonly answered: (hasTold: boolean) => void }[] = [];
  readonly offered: (Offered & { readonly answered: (isTaken: boolean) => void })[] = [];
  readonly thrown: unknown[] = [];
  readonly warned: string[] = [];
  rows = 0;
  alarmAt: number | undefined;
  resting: number | undefined;
  /** Undefined: there is room. Else questions wait in `room`. */
  isRoomKnown = true;
  isFull = false;
  readonly room: ((isRoom: boolean) => void)[] = [];
  readonly #soon: (() => void)[] = [];
  readonly #boots = new Map<string, string>();
  readonly #disk: readonly StateRecord[];
  #memory: Memory | undefined;
  /** What the disk says of it: it is written with the records. */
  writtenMemory: Memory | undefined;

  constructor({
    cell = "a",
    boot = "ours",
    exchange = 0,
    isAlone = false,
    map = testMap(),
    disk = [],
    memory,
    timers,
  }: ActorWorldOptions = {}) {
    this.#disk = disk;
    this.#memory = memory;
    let ids = 0;
    this.actor = new ExchangeActor(
      {
        exchange,
        cell,
        boot,
        map: isAlone ? { ...map, replication: { ...map.replication, enabled: false } } : map,
        orphansUntil: undefined,
        lineListeners: () => lineListeners,
      },
      {
        sign: (text) => createHmac("sha256", "test").update(text).digest("hex").slice(0, 20),
        hash,
        nextId: () => `id${String((ids += 1)).padStart(14, "0")}`,
      },
      { ...this.#ports(), ...(timers === undefined ? {} : this.#clockPorts(timers)) },
    );
    this.take(() => this.actor.start());
  }

  /** Something reaches the actor; what it wants done soon is done. */
  take(act: () => void): void {
    act();
    for (let run = this.#soon.shift(); run !== undefined; run = this.#soon.shift()) run();
  }

  /** Time goes on; timers ring. */
  advance(ms: number): void {
    const until = this.now + ms;
    for (;;) {
      const [next] = [...this.timers].toSorted(([, one], [, other]) => one - other);
      if (next === undefined || next[1] > until) break;
      this.now = Math.max(this.now, next[1]);
      this.timers.delete(next[0]);
      this.take(next[0]);
    }
    this.now = until;
  }

  /** The peer takes and answers every batch that is under way, and those that come of it. */
  answerBatches(): void {
    while (this.batches.size > 0) {
      for (const [id, text] of this.batches) {
        this.batches.delete(id);
        const batch = parseBatch(text);
        if (isParseError(batch)) throw new Error(batch.reason);
        const received = batch.peerBoot === "peer" ? batch.sequence : 0;
        this.take(() => this.actor.peerAnswered(id, serializeAnswer({ boot: "peer", received, ahead: 0 })));
      }
    }
  }

  /** The peer is there, and has nothing. */
  join(): this {
    const header = { cell: "b", boot: "peer", peerBoot: "ours", after: 0, sequence: 0, isComplete: true };
    this.take(() => this.actor.takePeerBatch(serializeBatch(header, [])));
    this.answerBatches();
    return this;
  }

  backhaul(access = "g1", boot = "boot1"): TestBackhaul {
    const backhaul = new TestBackhaul(this, access);
    backhaul.hello(access, boot);
    return backhaul;
  }

  /** A frame of a line; the answers it gets, and why it was refused. */
  lineFrame(access: string, records: readonly FrameRecord[], until?: number): { answers: (Frame | undefined)[]; refused: string[] } {
    const got: { answers: (Frame | undefined)[]; refused: string[] } = { answers: [], refused: [] };
    this.take(() =>
      this.actor.takeLineFrame(
        { access, octets: encodeFrame(1, 0, records), until },
        {
          answered: (frame) => got.answers.push(frame === undefined ? undefined : frameOf(frame)),
          refused: (reason) => got.refused.push(reason),
        },
      ),
    );
    return got;
  }

  #clockPorts({ clock, timer }: ClocksAndTimers): Pick<ExchangePorts, "now" | "wallAt" | "timer"> {
    return { now: clock.now, wallAt: clock.wallAt, timer: (run) => timer(() => this.take(run)) };
  }

  #ports(): ExchangePorts {
    const ask = (_octets: number, told: (isRoom: boolean) => void): boolean => {
      if (!this.isRoomKnown) this.room.push(told);
      return this.isRoomKnown;
    };
    const isFull = (): boolean => this.isFull;
    return {
      now: () => this.now,
      wallAt: (moment) => moment + this.aheadMs,
      timer: (run) => ({
        set: (ms) => this.timers.set(run, this.now + ms),
        clear: () => this.timers.delete(run),
      }),
      soon: (run) => this.#soon.push(run),
      alarm: { arm: (at) => (this.alarmAt = at) },
      rest: { begin: (orphansUntil) => (this.resting = orphansUntil), end: () => (this.resting = undefined) },
      disk: {
        readMemory: () => this.#memory,
        setMemory: (memory) => (this.#memory = memory),
        read: () => this.#disk,
        write: ({ put, remove }) => {
          this.writtenMemory = this.#memory;
          if (put.length + remove.length === 0) return;
          this.rows += put.length;
          this.happened.push("write");
        },
        cleaningOctets: () => 0,
      },
      boots: { of: (access) => this.#boots.get(access), keep: (access, boot) => this.#boots.set(access, boot) },
      room: {
        ask,
        askInside: ask,
        get isFull() {
          return isFull();
        },
      },
      calls: { deliver: (_delivery, told) => told({ outcome: "taken", owner: nobodyYet }) },
      peer: {
        send: (id, batch, cell) => {
          this.batches.set(id, batch);
          this.batchCells.set(id, cell);
        },
        abandon: (id) => this.batches.delete(id),
      },
      lines: { bring: (access, frame, done) => this.toLines.push({ access, frame: frameOf(frame), done }) },
      others: {
        credentials: (addressOfRecord) => this.happened.push(`credentials ${addressOfRecord}`),
        flows: (addressOfRecord) => this.happened.push(`flows ${addressOfRecord}`),
        give: (exchange, batch, answered) => this.given.push({ exchange, batch, answered }),
        askElder: (exchange, answered) => this.askedElders.push({ exchange, answered }),
        offer: (offered, answered) => this.offered.push({ ...offered, answered }),
      },
      coreGroup: {
        askForView: (isSyncing) => this.happened.push(isSyncing ? "view, syncing" : "view"),
        caughtUp: () => this.happened.push("caught up"),
        suspect: (cell, cause) => this.happened.push(`suspect ${cell}: ${cause}`),
        pairChanged: (state, cause) => {
          this.happened.push(state);
          this.causes.push(cause);
        },
        emptied: () => this.happened.push("emptied"),
        handedOver: (count) => this.happened.push(`handed over: ${count}`),
        copied: (cell) => this.happened.push(`copied: ${cell ?? "none"}`),
      },
      log: {
        warn: (text) => this.warned.push(text),
        error: (text) => this.warned.push(text),
        threw: (error) => this.thrown.push(error),
      },
      empty: (reason) => this.happened.push(`empty: ${reason}`),
      restart: (reason) => this.happened.push(`restart: ${reason}`),
    };
  }
}

export function frameOf(octets: Uint8Array): Frame {
  const frame = decodeFrame(octets);
  if (isFrameError(frame)) throw new Error(frame.frameError);
  return frame;
}

export function textsOf(records: readonly FrameRecord[]): string[] {
  return records.filter(({ kind }) => kind === RecordKind.send).map(({ octets }) => stringOf(octets));
}

export function messageOf(key: string, text: string): FrameRecord {
  return { kind: RecordKind.message, key, octets: octetsOf(text) };
}
