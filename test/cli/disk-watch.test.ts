import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { DiskWatch } from "../../cli/disk-watch.ts";
import { plentyFile, plentyOctets, plentyLeftMs } from "../../cluster/disk-plenty.ts";
import { until } from "../../kit/world/until.ts";

let directory: string;
let rooms: string[];
let free: number | Error;
let watch: DiskWatch;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tandem-disk-"));
  rooms = ["a", "b"].map((cell) => join(directory, cell));
  for (const room of rooms) mkdirSync(room);
  free = plentyOctets;
  watch = new DiskWatch({
    rooms,
    freeOctets: () => {
      if (free instanceof Error) throw free;
      return free;
    },
  });
});

afterEach(() => {
  watch.stop();
  rmSync(directory, { recursive: true });
});

const saysPlenty = (): boolean[] => rooms.map((room) => plentyLeftMs(readFileSync(join(room, plentyFile), "utf8"), Date.now()) > 0);

it("tells each cell that there is plenty of room, and again, and at once when there is not", async () => {
  watch.start();
  expect(saysPlenty()).toEqual([true, true]);
  const first = readFileSync(join(rooms[0] ?? "", plentyFile), "utf8");
  await until(() => readFileSync(join(rooms[0] ?? "", plentyFile), "utf8") !== first);
  expect(saysPlenty()).toEqual([true, true]);
  free = plentyOctets - 1;
  watch.look();
  expect(saysPlenty()).toEqual([false, false]);
  free = plentyOctets;
  watch.look();
  expect(saysPlenty()).toEqual([true, true]);
});

it("says nothing more of a disk that it cannot look at: what it said grows old", () => {
  watch.look();
  const said = readFileSync(join(rooms[1] ?? "", plentyFile), "utf8");
  free = new Error("EIO");
  watch.look();
  expect(readFileSync(join(rooms[1] ?? "", plentyFile), "utf8")).toBe(said);
});

it("looks at the real disk", () => {
  const real = new DiskWatch({ rooms });
  real.look();
  real.stop();
  expect(readFileSync(join(rooms[0] ?? "", plentyFile), "utf8")).toMatch(/^\d{14}$/);
});

it("tells other cells when these are others", () => {
  watch.start();
  const other = join(directory, "c");
  mkdirSync(other);
  const [gone = ""] = rooms.splice(0, 1);
  rooms.push(other);
  rmSync(gone, { recursive: true });
  watch.watch(rooms);
  expect(saysPlenty()).toEqual([true, true]);
});
