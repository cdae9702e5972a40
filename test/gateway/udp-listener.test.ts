import { constants } from "node:os";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { BatchedUdp } from "../../gateway/listen/batched-udp.ts";
import { type UdpListener, udpListener } from "../../gateway/listen/udp-listener.ts";
import { addressOfWords, udpPlace } from "../../gateway/listen/udp-place.ts";
import { udpOutboxDatagrams } from "../../gateway/limits.ts";
import type { NativeDatagrams, NativeSocket } from "../../gateway/native/native.ts";
import { serializeFlowKey } from "../../sip/flow/flow.ts";
import { nodeEnvironment } from "../../kit/connections/node-environment.ts";
import { News } from "../../kit/phone/news.ts";
import { until } from "../../kit/world/until.ts";
import { Started, listenerOf, nativeDatagrams } from "./harness.ts";

const started = new Started();
afterEach(() => started.end());

const patienceMs = 10_000;

type Arrival = { readonly flowKey: string; readonly octets: Uint8Array; readonly address: string };

/** A listener, and what it has read. */
class Ear {
  readonly listener: UdpListener;
  readonly arrivals: Arrival[] = [];
  readonly errors: string[] = [];
  dropped = 0;
  port = 0;
  onArrival: () => void = () => {};
  readonly #news = new News(nodeEnvironment);

  constructor(native: NativeDatagrams | undefined, host = "127.0.0.1", port = 0) {
    const handlers = {
      receive: (flowKey: string, octets: Uint8Array, address: string) => {
        this.arrivals.push({ flowKey, octets, address });
        this.onArrival();
        this.#news.tell();
      },
      failed: (error: Error) => void this.errors.push(error.message),
      dropped: () => {
        this.dropped += 1;
      },
    };
    this.listener = udpListener(listenerOf("UDP", host, port), 3, handlers, native);
  }

  async start(): Promise<this> {
    this.port = await this.listener.start();
    started.add(() => this.listener.stop());
    return this;
  }

  send(text: string | Uint8Array, port: number, host = "127.0.0.1", failed: () => void = neverFails): void {
    this.listener.send(typeof text === "string" ? Buffer.from(text) : text, udpPlace(host, port), failed);
  }

  get texts(): string[] {
    return this.arrivals.map(({ octets }) => Buffer.from(octets).toString());
  }

  async untilCount(count: number): Promise<void> {
    if (!(await this.#news.holds(() => this.arrivals.length >= count, patienceMs)))
      throw new Error(`${this.arrivals.length} of ${count} datagrams came`);
  }
}

function neverFails(): void {
  throw new Error("was refused");
}

const kinds = [
  ["that reads and sends many at once", nativeDatagrams()],
  ["over Node's socket", undefined],
] as const;

describe.each(kinds)("a UDP listener %s", (_name, native) => {
  test.each(["127.0.0.1", "::1"])("reads datagrams of every size as they are, and names their flow (%s)", async (host) => {
    const [ear, mouth] = [await new Ear(native, host).start(), await new Ear(native, host).start()];
    const sizes = [0, 1, 2, 100, 1_400, 4_095, 4_096, 4_097, 16_383, 65_000, 65_507];
    const sent: Uint8Array[] = [];
    for (const size of sizes) {
      const octets = Uint8Array.from({ length: size }, (_, i) => (i * 7 + size) & 255);
      sent.push(octets);
      mouth.send(octets, ear.port, host);
      await ear.untilCount(sent.length);
    }
    const flowKey = serializeFlowKey({ transport: "UDP", listener: 3, connection: "", address: host, port: mouth.port });
    expect(ear.arrivals.map((arrival) => ({ ...arrival, octets: Buffer.from(arrival.octets) }))).toEqual(
      sent.map((octets) => ({ flowKey, octets: Buffer.from(octets), address: host })),
    );
  });

  test("what one turn sends arrives in its order, more than one batch of it", async () => {
    const [ear, mouth] = [await new Ear(native).start(), await new Ear(native).start()];
    const texts = Array.from({ length: 150 }, (_, i) => `datagram ${i}`);
    for (const text of texts) mouth.send(text, ear.port);
    await ear.untilCount(texts.length);
    expect(ear.texts).toEqual(texts);
  });

  test("what is read is not changed by what is read later", async () => {
    const [ear, mouth] = [await new Ear(native).start(), await new Ear(native).start()];
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 6_000 }), { minLength: 1, maxLength: 20 }), async (datagrams) => {
        ear.arrivals.length = 0;
        for (const octets of datagrams) mouth.send(octets, ear.port);
        await ear.untilCount(datagrams.length);
        expect(ear.arrivals.map(({ octets }) => Buffer.from(octets))).toEqual(datagrams.map((octets) => Buffer.from(octets)));
      }),
      { numRuns: 30 },
    );
  });

  test("what the system refuses is told, and the others leave", async () => {
    const [ear, mouth] = [await new Ear(native).start(), await new Ear(native).start()];
    const refused: string[] = [];
    const refuse = (name: string) => () => void refused.push(name);
    mouth.send("first", ear.port);
    mouth.send(new Uint8Array(65_508), ear.port, "127.0.0.1", refuse("too large"));
    mouth.send("broadcast", ear.port, "255.255.255.255", refuse("broadcast"));
    mouth.send("second", ear.port);
    mouth.send("port 0", 0, "127.0.0.1", refuse("port 0"));
    mouth.send("IPv6", ear.port, "::1", refuse("IPv6"));
    mouth.send("third", ear.port);
    await ear.untilCount(3);
    expect(ear.texts).toEqual(["first", "second", "third"]);
    await until(() => refused.length === 4);
    expect(refused.toSorted()).toEqual(["IPv6", "broadcast", "port 0", "too large"]);
    expect(mouth.errors).toEqual([]);
  });

  test("nobody at the other end stops nothing (ICMP)", async () => {
    const [ear, mouth, gone] = [await new Ear(native).start(), await new Ear(native).start(), await new Ear(native).start()];
    await gone.listener.stop();
    for (let i = 0; i < 5; i += 1) {
      mouth.send("for nobody", gone.port);
      mouth.send(`${i}`, ear.port);
      await ear.untilCount(i + 1);
    }
    expect(ear.texts).toEqual(["0", "1", "2", "3", "4"]);
    expect(mouth.errors).toEqual([]);
  });

  test("an address in use and one that is not of this machine are named", async () => {
    const ear = await new Ear(native).start();
    await expect(new Ear(native, "127.0.0.1", ear.port).start()).rejects.toThrow(`UDP 127.0.0.1:${ear.port} is in use`);
    await expect(new Ear(native, "192.0.2.1").start()).rejects.toThrow("UDP 192.0.2.1:0 is no address of this machine");
    await expect(new Ear(native, "2001:db8::1").start()).rejects.toThrow("UDP [2001:db8::1]:0 is no address of this machine");
  });

  test("what was sent before it is stopped leaves, and its port is free", async () => {
    const [ear, mouth] = [await new Ear(native).start(), await new Ear(native).start()];
    mouth.send("goodbye", ear.port);
    await mouth.listener.stop();
    await ear.untilCount(1);
    const next = await new Ear(native, "127.0.0.1", mouth.port).start();
    next.send("again", ear.port);
    await ear.untilCount(2);
    let isRefused = false;
    mouth.send("too late", ear.port, "127.0.0.1", () => {
      isRefused = true;
    });
    await until(() => isRefused);
    expect(ear.texts).toEqual(["goodbye", "again"]);
    // One that was never bound, and one that is stopped twice.
    await new Ear(native).listener.stop();
    await mouth.listener.stop();
  });

  test("it may be stopped while it tells what has come", async () => {
    const [ear, mouth] = [await new Ear(native).start(), await new Ear(native).start()];
    ear.onArrival = () => void ear.listener.stop();
    for (let i = 0; i < 100; i += 1) mouth.send("x", ear.port);
    await ear.untilCount(1);
    const next = await new Ear(native, "127.0.0.1", ear.port).start();
    mouth.send("y", next.port);
    await next.untilCount(1);
    expect(next.texts).toEqual(["y"]);
  });

  test("it says what the kernel gave for what waits to be read", async () => {
    const ear = await new Ear(native).start();
    expect(ear.listener.bound?.receiveBufferOctets).toBeGreaterThan(100_000);
  });
});

/** Stands for the native code: a kernel that takes so many datagrams, and says when it has room again. */
class Kernel {
  room = 0;
  isWatched = false;
  readonly taken: string[] = [];
  #outbox = new Uint8Array();
  #leavings = new Int32Array();
  #writable: () => void = () => {};

  get native(): NativeDatagrams {
    const rowNumbers = 7;
    return {
      sourceDigest: "",
      slots: 1,
      slotOctets: 1,
      rowNumbers,
      open: (_isIpv6, _address, _port, _octets, _inbox, _arrivals, outbox, leavings, _arrived, writable) => {
        this.#outbox = new Uint8Array(outbox);
        this.#leavings = new Int32Array(leavings);
        this.#writable = writable;
        return {} as NativeSocket;
      },
      send: (_socket, first, end) => {
        const count = Math.min(this.room, end - first);
        for (let row = first * rowNumbers; row < (first + count) * rowNumbers; row += rowNumbers) {
          const start = this.#leavings[row + 6] ?? 0;
          this.taken.push(Buffer.from(this.#outbox.subarray(start, start + (this.#leavings[row] ?? 0))).toString());
        }
        this.room -= count;
        return count > 0 ? count : -constants.errno.EAGAIN;
      },
      watch: (_socket, isWanted) => {
        this.isWatched = isWanted;
        return 0;
      },
      close: () => 0,
      bound: () => undefined,
    };
  }

  hasRoomFor(count: number): void {
    this.room = count;
    if (this.isWatched) this.#writable();
  }
}

describe("when the kernel has no room to send", () => {
  test("datagrams wait in order until it has, as many as the outbox holds", async () => {
    const kernel = new Kernel();
    let dropped = 0;
    const handlers = {
      receive: () => {},
      failed: () => {},
      dropped: () => {
        dropped += 1;
      },
    };
    const listener = new BatchedUdp(listenerOf("UDP"), 0, handlers, kernel.native);
    await listener.start();
    const place = udpPlace("127.0.0.1", 5060);
    const texts = Array.from({ length: udpOutboxDatagrams + 30 }, (_, i) => `${i}`);
    kernel.room = 10;
    for (const text of texts) listener.send(Buffer.from(text), place, neverFails);
    await until(() => kernel.isWatched);
    expect(dropped).toBe(30);
    kernel.hasRoomFor(7);
    expect(kernel.isWatched).toBe(true);
    expect(kernel.taken).toEqual(texts.slice(0, 17));
    kernel.hasRoomFor(5_000);
    expect(kernel.isWatched).toBe(false);
    listener.send(Buffer.from("last"), place, neverFails);
    await until(() => kernel.taken.length > udpOutboxDatagrams);
    expect(kernel.taken).toEqual([...texts.slice(0, udpOutboxDatagrams), "last"]);
  });
});

test("addresses are the same in the system's memory and in text", () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (address) => {
      const { words } = udpPlace(address, 1);
      expect(words).toHaveLength(address.includes(":") ? 4 : 1);
      expect(udpPlace(addressOfWords(words), 1).words).toEqual(words);
    }),
  );
});
