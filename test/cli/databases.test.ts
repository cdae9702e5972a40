import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { objectIdOf, setBrokenAside } from "../../cli/databases.ts";

const uniqueKey = "tandem-a-ExchangeObject";
const now = new Date("2026-01-02T03:04:05.678Z");
const objects = [0, 1].map((number) => ({ name: `exchange-${number}`, uniqueKey }));
let storage: string;
let files: string[];

beforeEach(() => {
  storage = mkdtempSync(join(tmpdir(), "tandem-databases-"));
  mkdirSync(join(storage, uniqueKey));
  files = [...objects.map(({ name }) => objectIdOf(uniqueKey, name)), "metadata"].map((id) => join(storage, uniqueKey, `${id}.sqlite`));
  for (const file of files) {
    const database = new DatabaseSync(file);
    database.exec("pragma journal_mode=wal; create table t (number integer primary key, text text); begin");
    const insert = database.prepare("insert into t (text) values (?)");
    for (let row = 0; row < 100; row += 1) insert.run("x".repeat(1_000));
    database.exec("commit");
    database.close();
  }
});

afterEach(() => rmSync(storage, { recursive: true, force: true }));

const first = (): string => files[0] ?? "";

describe("objectIdOf", () => {
  it("is the name that workerd gives the file of an object", () => {
    expect(objectIdOf(uniqueKey, "exchange-0")).toBe("5e5e947232ed99067212e8250a7235ad0308fbd21b8ee9d2dcfe5ac2cb22a543");
  });
});

describe("setBrokenAside", () => {
  it("leaves databases alone that can be read, an empty one too, and a cell that has none yet", () => {
    writeFileSync(first(), "");
    expect(setBrokenAside(storage, objects, now)).toEqual([]);
    expect(setBrokenAside(join(storage, "none"), objects, now)).toEqual([]);
  });

  it.each<[string, () => void, string | RegExp]>([
    ["is garbage", () => writeFileSync(first(), Buffer.alloc(8_192, 7)), "file is not a database"],
    ["is cut off", () => truncateSync(first(), 50_000), /malformed|page/i],
    ["has lost its header", () => writeFileSync(first(), readFileSync(first()).fill(0, 0, 100)), "file is not a database"],
    ["has garbage in its middle", () => writeFileSync(first(), readFileSync(first()).fill(7, 20_000, 40_000)), /malformed|page|tree/i],
    ["is a directory", () => (rmSync(first()), mkdirSync(first()), undefined), "is no file"],
  ])("keeps one that %s under another name", (_, spoil, reason) => {
    spoil();
    const keptAs = `${first()}.broken-20260102T030405Z`;
    expect(setBrokenAside(storage, objects, now)).toEqual([{ object: "exchange-0", keptAs, reason: expect.stringMatching(reason) }]);
    expect(readdirSync(join(storage, uniqueKey))).toContain(basename(keptAs));
    expect(readdirSync(join(storage, uniqueKey))).not.toContain(basename(first()));
    expect(setBrokenAside(storage, objects, now)).toEqual([]);
  });

  it("does so with what the runtime knows of alarms, and with a class whose directory is none", () => {
    writeFileSync(files[2] ?? "", "garbage that is no database, and long enough to be looked at".repeat(100));
    expect(setBrokenAside(storage, objects, now)).toMatchObject([{ object: undefined, reason: "file is not a database" }]);
    rmSync(join(storage, uniqueKey), { recursive: true });
    writeFileSync(join(storage, uniqueKey), "");
    expect(setBrokenAside(storage, objects, now)).toMatchObject([{ object: undefined, reason: "is no directory" }]);
    expect(readdirSync(storage)).toEqual([`${uniqueKey}.broken-20260102T030405Z`]);
  });

  it("leaves one alone that another process uses", () => {
    const other = new DatabaseSync(first());
    other.exec("pragma locking_mode=exclusive; begin exclusive; insert into t (text) values ('y')");
    expect(setBrokenAside(storage, objects, now)).toEqual([]);
    other.close();
  });
});
