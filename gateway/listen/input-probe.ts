import { randomBytes } from "node:crypto";
import { type Socket, createSocket } from "node:dgram";
import { isIPv6 } from "node:net";
import { probeMs, probeRestMs } from "../limits.ts";
import { isWildcard } from "../config/address.ts";
import type { SteadyMs } from "../../sip/time.ts";
import { steadyNow } from "../steady-now.ts";

/**
 * How long a datagram waits in a listener's socket before this process reads it. Nobody but the kernel knows when one came. So a letter to ourselves goes
 * into the same queue now and then, while others come. It counts from the moment when it should have left: a process that does something else is late with that
 * too.
 */
export class InputProbe {
  readonly #socket: Socket;
  readonly #port: number;
  readonly #address: string;
  /** Only this process knows it. */
  readonly #secret = randomBytes(secretOctets);
  #timer: NodeJS.Timeout | undefined;
  /** Messages came since the last letter left. */
  #isBusy = false;
  /** When the next look is due, ms. */
  #dueAt: SteadyMs = 0;
  #sentAt: SteadyMs = 0;
  #isUnderWay = false;
  #delayMs = 0;

  /** To the listener that is bound to this address and port. */
  constructor(host: string, port: number) {
    const isIpv6 = isIPv6(host);
    this.#address = isWildcard(host) ? (isIpv6 ? "::1" : "127.0.0.1") : host;
    this.#port = port;
    this.#socket = createSocket({
      type: isIpv6 ? "udp6" : "udp4",
      lookup: (hostname, _options, callback) => callback(null, hostname, isIpv6 ? 6 : 4),
    });
    this.#socket.on("error", () => {}).unref();
  }

  /** As last measured, ms. A letter that is still under way says that it is more. */
  get delayMs(): number {
    return this.#isUnderWay ? Math.max(this.#delayMs, steadyNow() - this.#sentAt) : this.#delayMs;
  }

  /** Something else was read. */
  busy(): void {
    this.#isBusy = true;
    if (this.#timer === undefined) this.#arm();
  }

  /** True: this datagram is a letter of ours. */
  read(octets: Uint8Array): boolean {
    if (octets.length !== letterOctets || octets[0] !== letterMark || this.#secret.compare(octets, 1, 1 + secretOctets) !== 0) return false;
    // It may be one that was given up.
    const sentAt: SteadyMs = new DataView(octets.buffer, octets.byteOffset).getFloat64(1 + secretOctets);
    if (this.#isUnderWay) this.#delayMs = steadyNow() - sentAt;
    if (sentAt === this.#sentAt) this.#isUnderWay = false;
    return true;
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#socket.close();
  }

  #rang(): void {
    this.#timer = undefined;
    const now = steadyNow();
    // One that the kernel had no room for is not waited for for ever.
    if (this.#isUnderWay && now - this.#sentAt < probeRestMs) {
      this.#arm();
      return;
    }
    if (!this.#isBusy) {
      this.#isUnderWay = false;
      this.#delayMs = 0;
      return;
    }
    this.#isBusy = false;
    if (this.#isUnderWay) this.#delayMs = Math.max(this.#delayMs, now - this.#sentAt);
    this.#isUnderWay = true;
    this.#sentAt = Math.min(now, this.#dueAt);
    const letter = Buffer.alloc(letterOctets, letterMark);
    letter.set(this.#secret, 1);
    letter.writeDoubleBE(this.#sentAt, 1 + secretOctets);
    this.#socket.send(letter, this.#port, this.#address, (error) => {
      if (error !== null) this.#isUnderWay = false;
    });
    this.#arm();
  }

  #arm(): void {
    this.#dueAt = steadyNow() + probeMs;
    this.#timer = setTimeout(() => this.#rang(), probeMs).unref();
  }
}

/** No SIP begins with it, nor STUN, nor a keep-alive. */
const letterMark = 0xff;
const secretOctets = 16;
/** The mark, the secret, and when it should have left. */
const letterOctets = 1 + secretOctets + 8;
