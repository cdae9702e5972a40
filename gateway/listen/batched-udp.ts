import { isIPv6 } from "node:net";
import { constants } from "node:os";
import { getSystemErrorName } from "node:util";
import type { ListenerConfig } from "../config/config.ts";
import { udpBufferOctets, udpOutboxDatagrams, udpOutboxOctets, udpPoolOctets } from "../limits.ts";
import type { NativeDatagrams, NativeSocket } from "../native/native.ts";
import { bindError } from "./bind-error.ts";
import { FlowKeys, type UdpSource } from "./flow-keys.ts";
import type { UdpBound, UdpHandlers, UdpListener, UdpPlace } from "./udp-listener.ts";
import { addressOfWords } from "./udp-place.ts";

/** Where a row of arrivals or leavings has what: gateway/native/datagrams.c. */
const lengthAt = 0;
const portAt = 1;
const wordsAt = 2;
const startAt = 6;

const wouldBlock = -constants.errno.EAGAIN;

/**
 * A listener over gateway/native/datagrams.c: what has come is read with one system call and told with one call into JavaScript. What is sent in one
 * turn of the event loop leaves at its end, in order, with one system call.
 */
export class BatchedUdp implements UdpListener {
  readonly isIpv6: boolean;
  bound: UdpBound | undefined;
  readonly #index: number;
  readonly #config: ListenerConfig;
  readonly #handlers: UdpHandlers;
  readonly #native: NativeDatagrams;
  readonly #inbox: Uint8Array<ArrayBuffer>;
  readonly #arrivals: Int32Array<ArrayBuffer>;
  readonly #outbox = new Uint8Array(udpOutboxOctets);
  readonly #leavings: Int32Array<ArrayBuffer>;
  readonly #ipv4Keys: FlowKeys<number>;
  readonly #ipv6Keys: FlowKeys<string>;
  /** Undefined: not bound yet, or closed. */
  #socket: NativeSocket | undefined;
  /** Small datagrams are copied in here: it is cheaper to make one block for many. */
  #pool = new Uint8Array(udpPoolOctets);
  #poolUsed = 0;
  /** The datagrams in the outbox that have not left, */
  #first = 0;
  #end = 0;
  /** its octets in use, */
  #used = 0;
  /** and what is called when one of them cannot leave. */
  #failed: (() => void)[] = [];
  #isFlushPlanned = false;
  /** The kernel has no room: it says when it has. */
  #isBlocked = false;
  readonly #flush = (): void => this.#flushNow();

  constructor(config: ListenerConfig, index: number, handlers: UdpHandlers, native: NativeDatagrams) {
    this.isIpv6 = isIPv6(config.host);
    this.#index = index;
    this.#config = config;
    this.#handlers = handlers;
    this.#native = native;
    this.#inbox = new Uint8Array(native.slots * native.slotOctets);
    this.#arrivals = new Int32Array(native.slots * native.rowNumbers);
    this.#leavings = new Int32Array(udpOutboxDatagrams * native.rowNumbers);
    this.#ipv4Keys = new FlowKeys(index, (word) => addressOfWords(Int32Array.of(word)));
    this.#ipv6Keys = new FlowKeys(index, (words) => addressOfWords(Int32Array.from(words.split(" "), Number)));
  }

  start(): Promise<number> {
    const { host, port } = this.#config;
    const socket = this.#native.open(
      this.isIpv6,
      host,
      port,
      udpBufferOctets,
      this.#inbox.buffer,
      this.#arrivals.buffer,
      this.#outbox.buffer,
      this.#leavings.buffer,
      (count) => this.#arrived(count),
      () => this.#writable(),
      (error) => this.#handlers.failed(new Error(getSystemErrorName(-error))),
    );
    if (typeof socket === "number") return Promise.reject(bindError(this.#config, systemError(socket)));
    this.#socket = socket;
    const bound = { listener: this.#index, host, port, receiveBufferOctets: 0, ...this.#native.bound(socket) };
    this.bound = bound;
    return Promise.resolve(bound.port);
  }

  send(octets: Uint8Array, place: UdpPlace, failed: () => void): void {
    const { port, words } = place;
    if (port === 0 || this.#socket === undefined || words.length !== (this.isIpv6 ? 4 : 1) || octets.length > udpOutboxOctets) {
      failed();
      return;
    }
    if (!this.#hasRoom(octets.length)) this.#flushNow();
    if (!this.#hasRoom(octets.length)) {
      this.#handlers.dropped(place);
      return;
    }
    const row = this.#end * this.#native.rowNumbers;
    this.#leavings[row + lengthAt] = octets.length;
    this.#leavings[row + portAt] = port;
    for (let i = 0; i < words.length; i += 1) this.#leavings[row + wordsAt + i] = words[i] ?? 0;
    this.#leavings[row + startAt] = this.#used;
    this.#outbox.set(octets, this.#used);
    this.#used += octets.length;
    this.#failed[this.#end] = failed;
    this.#end += 1;
    if (this.#isFlushPlanned || this.#isBlocked) return;
    this.#isFlushPlanned = true;
    setImmediate(this.#flush);
  }

  stop(): Promise<void> {
    this.#flushNow();
    if (this.#socket !== undefined) this.#native.close(this.#socket);
    this.#socket = undefined;
    return Promise.resolve();
  }

  #hasRoom(octets: number): boolean {
    return this.#end < udpOutboxDatagrams && this.#used + octets <= udpOutboxOctets;
  }

  #flushNow(): void {
    this.#isFlushPlanned = false;
    const socket = this.#socket;
    if (socket === undefined || this.#isBlocked) return;
    const refused: (() => void)[] = [];
    while (this.#first < this.#end) {
      const sent = this.#native.send(socket, this.#first, this.#end);
      if (sent === wouldBlock) {
        this.#isBlocked = true;
        this.#native.watch(socket, true);
        break;
      }
      // The first of them was refused, the others may leave.
      if (sent <= 0) refused.push(this.#failed[this.#first] ?? (() => {}));
      this.#first += Math.max(1, sent);
    }
    if (this.#first === this.#end) {
      this.#first = 0;
      this.#end = 0;
      this.#used = 0;
      this.#failed.length = 0;
    }
    for (const failed of refused) failed();
  }

  #writable(): void {
    if (this.#socket !== undefined) this.#native.watch(this.#socket, false);
    this.#isBlocked = false;
    this.#flushNow();
  }

  #arrived(count: number): void {
    const { rowNumbers, slotOctets } = this.#native;
    for (let slot = 0; slot < count; slot += 1) {
      const row = slot * rowNumbers;
      const length = this.#arrivals[row + lengthAt] ?? 0;
      // What the system says of it cannot be.
      if (length < 0) continue;
      const { flowKey, address } = this.#sourceOf(row);
      this.#handlers.receive(flowKey, this.#copyOf(slot * slotOctets, length), address);
    }
  }

  #sourceOf(row: number): UdpSource {
    const port = this.#arrivals[row + portAt] ?? 0;
    const at = row + wordsAt;
    return this.isIpv6
      ? this.#ipv6Keys.sourceOf(this.#arrivals.subarray(at, at + 4).join(" "), port)
      : this.#ipv4Keys.sourceOf(this.#arrivals[at] ?? 0, port);
  }

  /** Octets of the inbox for whoever keeps them: the next batch comes into the same place. */
  #copyOf(start: number, length: number): Uint8Array {
    const octets = this.#inbox.subarray(start, start + length);
    // A block of its own: a large one must not be kept by a small one beside it.
    if (length * 4 > udpPoolOctets) return octets.slice();
    if (this.#poolUsed + length > udpPoolOctets) {
      this.#pool = new Uint8Array(udpPoolOctets);
      this.#poolUsed = 0;
    }
    const copy = this.#pool.subarray(this.#poolUsed, this.#poolUsed + length);
    copy.set(octets);
    this.#poolUsed += length;
    return copy;
  }
}

/** An error of the system, by its negative number, as Node's own sockets make it. */
function systemError(error: number): Error {
  const code = getSystemErrorName(error);
  return Object.assign(new Error(code), { code });
}
