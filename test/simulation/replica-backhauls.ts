import type { Listener } from "../../sip/flow/flow.ts";
import {
  decodeFrame,
  encodeFrame,
  isFrameError,
  parseJsonOctets,
  RecordKind,
  type FrameRecord,
  type Hello,
} from "../../cluster/backhaul/frame.ts";
import { Unacknowledged } from "../../workers/exchange/unacknowledged.ts";
import type { CellDisk } from "./cell-disk.ts";
import type { End } from "./network.ts";

type BackhaulState = {
  readonly access: string;
  boot: string | undefined;
  sent: number;
  received: number;
  done: number;
  acknowledged: number;
  toldServing: boolean | undefined;
  readonly unfinished: number[];
  readonly unacknowledged: Unacknowledged;
};

type BackhaulInput = {
  readonly access: string;
  readonly seq: number;
  readonly records: readonly FrameRecord[];
  readonly roundTripMs: number | undefined;
  readonly opened:
    | { readonly listeners: readonly Listener[]; readonly boot: string; readonly isNewBoot: boolean; readonly again: FrameRecord[] }
    | undefined;
};

/** The gateways' ends of their backhauls to one replica, as workers/exchange/backhaul-sockets.ts keeps them. */
export class Backhauls {
  readonly #disk: CellDisk;
  readonly #exchange: number;
  readonly #now: () => number;
  readonly #lost: (access: string, records: readonly FrameRecord[]) => void;
  readonly #current = new Map<string, End>();
  readonly #states = new Map<End, BackhaulState>();

  constructor(disk: CellDisk, exchange: number, now: () => number, lost: (access: string, records: readonly FrameRecord[]) => void) {
    this.#now = now;
    this.#disk = disk;
    this.#exchange = exchange;
    this.#lost = lost;
  }

  accept(access: string, end: End): void {
    const counts = { sent: 0, received: 0, done: 0, acknowledged: 0 };
    const unacknowledged = new Unacknowledged();
    this.#states.set(end, { access, boot: undefined, ...counts, toldServing: undefined, unfinished: [], unacknowledged });
  }

  has(access: string): boolean {
    return this.#current.has(access);
  }

  /** A text means that the other side is confused. */
  receive(end: End, octets: Uint8Array): BackhaulInput | string {
    const state = this.#states.get(end);
    if (state === undefined) return "a backhaul without a name";
    const frame = decodeFrame(octets);
    if (isFrameError(frame)) return frame.frameError;
    const { seq, ack } = frame;
    if (seq !== 0 && seq !== state.received + 1) return `frame ${seq} after ${state.received}`;
    if (ack > state.sent) return `acknowledges ${ack} of ${state.sent}`;
    const roundTripMs = state.unacknowledged.acknowledge(ack, this.#now());
    if (seq !== 0) {
      state.received = seq;
      state.unfinished.push(seq);
    }
    if (state.boot !== undefined) return { access: state.access, seq, records: frame.records, roundTripMs, opened: undefined };
    const [first, ...records] = frame.records;
    if (first?.kind !== RecordKind.hello || first.key !== state.access) return "the first record is no hello";
    const hello = parseJsonOctets(first.octets) as Hello;
    state.boot = hello.boot;
    const { boot } = hello;
    const opened = { listeners: hello.listeners as readonly Listener[], boot, ...this.#replace(end, state.access, boot) };
    return { access: state.access, seq, records, roundTripMs, opened };
  }

  finish(end: End, seq: number): void {
    const state = this.#states.get(end);
    const index = state?.unfinished.indexOf(seq) ?? -1;
    if (state === undefined || index < 0) return;
    state.unfinished.splice(index, 1);
    if (index === 0) state.done = (state.unfinished[0] ?? state.received + 1) - 1;
  }

  /** Acknowledges on every backhaul what may be and is not yet. */
  acknowledge(): void {
    for (const access of this.#current.keys()) this.send(access, []);
  }

  tellServing(isServing: boolean, access?: string): void {
    for (const each of access === undefined ? [...this.#current.keys()] : [access]) {
      const end = this.#current.get(each);
      const state = end === undefined ? undefined : this.#states.get(end);
      if (state === undefined || state.toldServing === isServing) continue;
      state.toldServing = isServing;
      this.send(each, [{ kind: RecordKind.serving, key: isServing ? "1" : "0", octets: new Uint8Array(0) }]);
    }
  }

  send(access: string, records: readonly FrameRecord[]): boolean {
    const end = this.#current.get(access);
    const state = end === undefined ? undefined : this.#states.get(end);
    if (end === undefined || state === undefined || !end.isOpen) return false;
    if (records.length > 0) {
      state.sent += 1;
      end.send(encodeFrame(state.sent, state.done, records));
      state.unacknowledged.add(state.sent, records, this.#now());
    } else if (state.acknowledged !== state.done) end.send(encodeFrame(0, state.done, []));
    state.acknowledged = state.done;
    return true;
  }

  refuse(end: End): void {
    end.close();
    this.closed(end);
  }

  closed(end: End): void {
    const state = this.#states.get(end);
    this.#states.delete(end);
    if (state === undefined || this.#current.get(state.access) !== end) return;
    this.#current.delete(state.access);
    this.#lost(state.access, state.unacknowledged.take(this.#now()));
  }

  #replace(end: End, access: string, boot: string): { readonly isNewBoot: boolean; readonly again: FrameRecord[] } {
    this.#current.set(access, end);
    const again: FrameRecord[] = [];
    for (const [other, state] of this.#states) {
      if (other === end || state.access !== access) continue;
      other.close();
      again.push(...state.unacknowledged.take(this.#now()));
      this.#states.delete(other);
    }
    return { isNewBoot: this.#disk.isNewBoot(this.#exchange, access, boot), again };
  }
}
