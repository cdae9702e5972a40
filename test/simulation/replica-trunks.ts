import type { Listener } from "../../sip/transport/flow.ts";
import {
  decodeFrame,
  encodeFrame,
  isFrameError,
  parseJsonOctets,
  RecordKind,
  type FrameRecord,
  type Hello,
} from "../../sip/transport/frame.ts";
import type { CellDisk } from "./cell-disk.ts";
import type { End } from "./network.ts";

type TrunkState = {
  readonly access: string;
  boot: string | undefined;
  sent: number;
  received: number;
  done: number;
  acknowledged: number;
  toldServing: boolean | undefined;
  readonly unfinished: number[];
};

type TrunkInput = {
  readonly access: string;
  readonly seq: number;
  readonly records: readonly FrameRecord[];
  readonly opened: { readonly listeners: readonly Listener[]; readonly isNewBoot: boolean } | undefined;
};

/** The gateways' ends of their trunks to one replica, as workers/exchange/trunk-sockets.ts keeps them. */
export class Trunks {
  readonly #disk: CellDisk;
  readonly #exchange: number;
  readonly #lost: (access: string) => void;
  readonly #current = new Map<string, End>();
  readonly #states = new Map<End, TrunkState>();

  constructor(disk: CellDisk, exchange: number, lost: (access: string) => void) {
    this.#disk = disk;
    this.#exchange = exchange;
    this.#lost = lost;
  }

  accept(access: string, end: End): void {
    const state = { access, boot: undefined, sent: 0, received: 0, done: 0, acknowledged: 0, toldServing: undefined, unfinished: [] };
    this.#states.set(end, state);
  }

  has(access: string): boolean {
    return this.#current.has(access);
  }

  /** A text means that the other side is confused. */
  receive(end: End, octets: Uint8Array): TrunkInput | string {
    const state = this.#states.get(end);
    if (state === undefined) return "a trunk without a name";
    const frame = decodeFrame(octets);
    if (isFrameError(frame)) return frame.frameError;
    const { seq, ack } = frame;
    if (seq !== 0 && seq !== state.received + 1) return `frame ${seq} after ${state.received}`;
    if (ack > state.sent) return `acknowledges ${ack} of ${state.sent}`;
    if (seq !== 0) {
      state.received = seq;
      state.unfinished.push(seq);
    }
    if (state.boot !== undefined) return { access: state.access, seq, records: frame.records, opened: undefined };
    const [first, ...records] = frame.records;
    if (first?.kind !== RecordKind.hello || first.key !== state.access) return "the first record is no hello";
    const hello = parseJsonOctets(first.octets) as Hello;
    state.boot = hello.boot;
    const opened = { listeners: hello.listeners as readonly Listener[], isNewBoot: this.#replace(end, state.access, hello.boot) };
    return { access: state.access, seq, records, opened };
  }

  finish(end: End, seq: number): void {
    const state = this.#states.get(end);
    const index = state?.unfinished.indexOf(seq) ?? -1;
    if (state === undefined || index < 0) return;
    state.unfinished.splice(index, 1);
    if (index === 0) state.done = (state.unfinished[0] ?? state.received + 1) - 1;
  }

  /** Acknowledges on every trunk what may be and is not yet. */
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
    } else if (state.acknowledged !== state.done) end.send(encodeFrame(0, state.done, []));
    state.acknowledged = state.done;
    return true;
  }

  refuse(end: End): void {
    end.close();
    this.closed(end);
  }

  closed(end: End): void {
    const access = this.#states.get(end)?.access;
    this.#states.delete(end);
    if (access === undefined || this.#current.get(access) !== end) return;
    this.#current.delete(access);
    this.#lost(access);
  }

  #replace(end: End, access: string, boot: string): boolean {
    this.#current.set(access, end);
    for (const [other, state] of this.#states) {
      if (other === end || state.access !== access) continue;
      other.close();
      this.#states.delete(other);
    }
    return this.#disk.isNewBoot(this.#exchange, access, boot);
  }
}
