import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { plentyFile, plentyForOneOctets, plentyMs, plentyText } from "../../cluster/disk-plenty.ts";
import { DiskRoom } from "../../workers/disk-room.ts";
import { roomAgainOctets, roomProvenMs, roomReserveOctets, roomSlackOctets } from "../../workers/limits.ts";

/** A directory on a disk with so many octets free. */
class SmallDisk {
  free = 10 * 1024 * 1024;
  readonly files = new Map<string, number>();
  /** What the supervisor says of it. */
  plenty = "";
  /** Octets that were written to it. */
  written = 0;

  fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const name = new URL(input instanceof Request ? input.url : input).pathname.slice(1);
    if (init?.method === undefined)
      return name === plentyFile && this.plenty !== "" ? new Response(this.plenty) : new Response(null, { status: 404 });
    this.free += this.files.get(name) ?? 0;
    this.files.delete(name);
    if (init?.method === "DELETE") return new Response(null, { status: 204 });
    const octets = init?.body instanceof Uint8Array ? init.body.length : 0;
    if (octets > this.free) throw new Error("internal error");
    this.free -= octets;
    this.written += octets;
    this.files.set(name, octets);
    return new Response(null, { status: 204 });
  };

  connect(): never {
    throw new Error("nobody connects to a disk");
  }
}

let disk: SmallDisk;
let room: DiskRoom;

beforeEach(() => {
  disk = new SmallDisk();
  room = new DiskRoom(disk, "exchange-0", () => Date.now());
});

describe("DiskRoom", () => {
  it("asks for as much as is to be written and leaves nothing but its reserve", async () => {
    expect(await room.ask(8 * 1024 * 1024)).toBe(true);
    expect([...disk.files]).toEqual([["exchange-0.reserve", roomReserveOctets]]);
    expect(await room.ask(11 * 1024 * 1024)).toBe(false);
    expect(room.isFull).toBe(true);
  });

  it("gives its reserve up when there is no room: what the runtime writes by itself finds that", async () => {
    await room.ask(0);
    disk.free = roomSlackOctets - 1;
    expect(await room.ask(roomSlackOctets)).toBe(false);
    expect(disk.free).toBe(roomSlackOctets - 1 + roomReserveOctets);
    expect(disk.files.size).toBe(0);
  });

  it("does not come and go with what it has given up: there is room again when there is much", async () => {
    await room.ask(0);
    disk.free = 0;
    expect(await room.ask(roomSlackOctets)).toBe(false);
    for (const free of [0, roomSlackOctets + roomReserveOctets, roomAgainOctets]) {
      disk.free = free;
      expect(await room.ask(0)).toBe(false);
    }
    disk.free = roomAgainOctets + roomSlackOctets;
    expect(await room.ask(0)).toBe(true);
    expect(room.isFull).toBe(false);
    expect(disk.files.get("exchange-0.reserve")).toBe(roomReserveOctets);
  });

  it("has what was to be written wait, in order, until there is room", async () => {
    const written: number[] = [];
    await room.ask(0);
    disk.free = 0;
    expect(await room.ask(roomSlackOctets)).toBe(false);
    for (const each of [1, 2, 3]) room.write(100, () => void written.push(each));
    expect(await room.retry()).toBe(false);
    expect(written).toEqual([]);
    disk.free = 5 * 1024 * 1024;
    expect(await room.retry()).toBe(true);
    expect(written).toEqual([1, 2, 3]);
    expect(await room.retry()).toBe(true);
    expect(written).toHaveLength(3);
  });

  it("asks once for what many small writes take within a moment, and again when that is used up or some time ago", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    expect(await room.ask(0)).toBe(true);
    disk.free = 0;
    expect(room.ask(roomSlackOctets / 4)).toBe(true);
    expect(room.ask(roomSlackOctets / 4)).toBe(true);
    expect(await room.ask(1)).toBe(false);
    disk.free = 4 * roomAgainOctets;
    expect(await room.ask(0)).toBe(true);
    disk.free = 0;
    vi.setSystemTime(Date.now() + roomProvenMs);
    expect(await room.ask(1)).toBe(false);
    vi.useRealTimers();
  });

  it("where no disk can be full everything is written at once, and nothing is asked", () => {
    const cloud = new DiskRoom(undefined, "exchange-0", () => Date.now());
    let isWritten = false;
    cloud.write(1e9, () => (isWritten = true));
    expect([cloud.ask(1e9), cloud.isFull, isWritten]).toEqual([true, false, true]);
  });

  describe("where a supervisor says that there is plenty", () => {
    beforeEach(async () => {
      vi.useFakeTimers({ toFake: ["Date"] });
      await room.ask(0);
      disk.written = 0;
      disk.plenty = plentyText(Date.now());
      vi.setSystemTime(Date.now() + roomProvenMs);
    });
    afterEach(() => {
      vi.useRealTimers();
    });

    it("writes nothing to know it, and asks nobody again while that is good", async () => {
      expect(await room.ask(1024 * 1024)).toBe(true);
      expect(room.ask(1024 * 1024)).toBe(true);
      expect(disk.written).toBe(0);
    });

    it("asks the disk for what is more than its share, and when what was said is old", async () => {
      expect(await room.ask(plentyForOneOctets + 1)).toBe(false);
      disk.plenty = plentyText(Date.now() - plentyMs);
      room = new DiskRoom(disk, "exchange-1", () => Date.now());
      await room.ask(0);
      disk.written = 0;
      vi.setSystemTime(Date.now() + roomProvenMs);
      expect(await room.ask(8_000)).toBe(true);
      expect(disk.written).toBe(8_000 + roomSlackOctets);
    });

    it("asks the disk at first, and while it was found full: a quota of a user is nothing that a supervisor sees", async () => {
      disk.free = 0;
      room = new DiskRoom(disk, "exchange-1", () => Date.now());
      expect(await room.ask(0)).toBe(false);
      expect(await room.ask(0)).toBe(false);
      expect(room.isFull).toBe(true);
    });
  });
});
