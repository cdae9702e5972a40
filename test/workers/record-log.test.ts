import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import { isParseError } from "../../sip/errors.ts";
import { memoryFrom } from "../../sip/record/memory.ts";
import { unreadKey } from "../../sip/record/unread-record.ts";
import { parseAnyRecord, serializeRecord } from "../../sip/record/record-text.ts";
import type { LiveRecord, StateRecord } from "../../sip/record/state-record.ts";
import { makeTombstone } from "../../sip/record/tombstone.ts";
import { makeVersion } from "../sip/record/make-version.ts";
import { exchangeName } from "../../workers/environment.ts";
import { Disk } from "../../workers/exchange/disk.ts";
import { RecordLog } from "../../workers/exchange/record-log.ts";
import { logRowOctets, logSlack } from "../../workers/limits.ts";

/** Gives `use` a log of its own: no exchange ever writes invites here. */
async function withLog(use: (open: () => RecordLog, rows: () => number, sql: SqlStorage) => void): Promise<void> {
  await runInDurableObject(env.EXCHANGE.getByName(exchangeName(0)), (_instance, state) => {
    const { sql } = state.storage;
    sql.exec("drop table if exists invite_log");
    const open = (): RecordLog => new RecordLog(sql, "invite");
    use(open, () => Number(sql.exec("select count(*) as count from invite_log").one()["count"]), sql);
  });
}

/** Disks over the same storage, with nothing of invites and of unknown kinds on it at first. */
async function withUnread(use: (open: () => Disk, state: DurableObjectState) => void): Promise<void> {
  await runInDurableObject(env.EXCHANGE.getByName(exchangeName(0)), (_instance, state) => {
    for (const table of ["invite_log", "unread_log"]) state.storage.sql.exec(`drop table if exists ${table}`);
    use(() => new Disk(state.storage), state);
  });
}

function unreadIn(disk: Disk): StateRecord[] {
  return [...disk.read()].filter(({ kind }) => kind === "unread");
}

function unread(text: string): LiveRecord<"unread"> {
  const record = parseAnyRecord(text);
  if (isParseError(record) || record.kind !== "unread" || record.value === undefined) throw new Error("it is known");
  return record;
}

function recordOf(key: string, ms: number): StateRecord {
  return makeTombstone("invite", key, makeVersion({ ms, counter: 0, cell: "a" }), ms);
}

function contentOf(log: RecordLog): Record<string, string> {
  return Object.fromEntries([...log.read()].map(({ key, version }) => [key, version]));
}

/** Park and Miller's minimal standard: the same sequence every time. */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}

describe("the disk of an exchange that has nothing on it", () => {
  it("is read without being written, for it may be full; its tables are made with what is to be kept", async () => {
    await runInDurableObject(env.LEDGER.getByName("a disk without tables"), (_instance, { storage }) => {
      const tables = (): unknown[] =>
        storage.sql.exec("select name from sqlite_master where type = 'table' and name not glob '_cf_*'").toArray();
      const memory = memoryFrom(1_000);
      const disk = new Disk(storage);
      expect([disk.readMemory(), [...disk.read()], tables()]).toEqual([undefined, [], []]);
      disk.setMemory(memory);
      disk.write({ put: [recordOf("first", 1)], remove: [] });
      expect(tables()).toEqual([{ name: "invite_log" }, { name: "memory" }]);
      const again = new Disk(storage);
      expect([again.readMemory(), [...again.read()].map(({ key }) => key)]).toEqual([memory, ["first"]]);
    });
  });
});

describe("the log of an exchange's records", () => {
  it.each([1, 2, 3, 4])("has, whenever it is read again, what was written last of each key (seed %i)", async (seed) => {
    await withLog((open) => {
      const random = randomOf(seed);
      const model: Record<string, string> = {};
      let log = open();
      for (const _ of log.read()) throw new Error("it is new");
      for (let ms = 1; ms <= 400; ms += 1) {
        const put = new Map<string, StateRecord>();
        const remove = new Set<string>();
        for (let count = random(12); count >= 0; count -= 1) {
          // Few keys that last, many that come and go, and all that text can hold in them.
          const key = random(3) === 0 ? `last\\ing\n${random(20)}` : `call ${random(300)}`;
          if (random(5) < 2) remove.add(key);
          else put.set(key, recordOf(key, ms));
        }
        for (const key of put.keys()) remove.delete(key);
        log.write([...put.values()], [...remove]);
        for (const key of remove) delete model[key];
        for (const [key, { version }] of put) model[key] = version;
        if (random(20) > 0 && ms < 400) continue;
        log = open();
        expect(contentOf(log)).toEqual(model);
      }
    });
  });

  it("writes a burst as one row, and leaves none when all of it has ended", async () => {
    await withLog((open, rows) => {
      const log = open();
      expect(contentOf(log)).toEqual({});
      const keys = Array.from({ length: 200 }, (_, index) => `call ${index}`);
      log.write(
        keys.map((key) => recordOf(key, 1)),
        [],
      );
      expect(rows()).toBe(1);
      log.write([], keys.slice(0, 100));
      expect(rows()).toBe(2);
      log.write([], keys.slice(100));
      expect(rows()).toBe(0);
    });
  });

  it("costs one row for each write of what is refreshed again and again, and keeps few that count no more", async () => {
    await runInDurableObject(env.EXCHANGE.getByName(exchangeName(0)), (_instance, state) => {
      const { sql } = state.storage;
      sql.exec("drop table if exists invite_log");
      const cursors: SqlStorageCursor<Record<string, SqlStorageValue>>[] = [];
      const metered = new Proxy(sql, {
        get:
          () =>
          (...args: Parameters<SqlStorage["exec"]>) => {
            const cursor = sql.exec(...args);
            cursors.push(cursor);
            return cursor;
          },
      });
      const rowsWritten = (): number => cursors.reduce((sum, cursor) => sum + cursor.rowsWritten, 0);
      const log = new RecordLog(metered, "invite");
      expect(contentOf(log)).toEqual({});
      const random = randomOf(1);
      const write = (ms: number): void => log.write([recordOf(`phone ${ms % 300}`, ms), recordOf(`other ${random(300)}`, ms)], []);
      for (let ms = 1; ms <= 2_000; ms += 1) write(ms);
      const before = rowsWritten();
      for (let ms = 2_001; ms <= 4_000; ms += 1) write(ms);
      // What is cleaned away is the rest.
      expect(rowsWritten() - before).toBeLessThan(2_000 * 1.05);
      expect(Number(sql.exec("select count(*) as count from invite_log").one()["count"])).toBeLessThan(600 + logSlack);
      expect(Object.keys(contentOf(new RecordLog(sql, "invite")))).toHaveLength(600);
    });
  });

  it.each([1, 2, 3])("says before each write how many lines it may write again (seed %i)", async (seed) => {
    await runInDurableObject(env.EXCHANGE.getByName(exchangeName(0)), (_instance, state) => {
      const { sql } = state.storage;
      sql.exec("drop table if exists invite_log");
      let lines = 0;
      const counting = new Proxy(sql, {
        get:
          () =>
          (...args: Parameters<SqlStorage["exec"]>) => {
            for (const value of args.slice(1)) if (typeof value === "string") lines += value.split("\n").length >> 1;
            return sql.exec(...args);
          },
      });
      const log = new RecordLog(counting, "invite");
      for (const _ of log.read()) throw new Error("it is new");
      const random = randomOf(seed);
      let again = 0;
      for (let ms = 1; ms <= 1_000; ms += 1) {
        const put = Array.from({ length: random(40) }, (_, index) => recordOf(`phone ${index * 3 + random(3)}`, ms));
        const remove = Array.from({ length: random(8) }, (_, index) => `phone ${200 + index}`);
        put.push(recordOf(`phone ${210 + random(600)}`, ms));
        const most = log.linesAgainMost(put.length + remove.length);
        lines = 0;
        log.write(put, remove);
        expect(lines - put.length - remove.length).toBeLessThanOrEqual(most);
        again += Math.max(0, lines - put.length - remove.length);
        // As many as there are keys, and no more, are asked for: what is asked for is written to the disk twice.
        expect(most).toBeLessThan(800);
      }
      expect(again).toBeGreaterThan(100);
    });
  });

  it("does not keep a thousand ends for the sake of one call that lasts", async () => {
    await withLog((open, rows) => {
      const log = open();
      expect(contentOf(log)).toEqual({});
      log.write([recordOf("long", 1), recordOf("other", 1)], []);
      for (let call = 0; call < 1_000; call += 1) {
        log.write([recordOf(`call ${call}`, call + 2)], call === 0 ? ["other"] : [`call ${call - 1}`]);
      }
      expect(rows()).toBeLessThan(2 * logSlack);
      expect(Object.keys(contentOf(open()))).toEqual(["call 999", "long"]);
    });
  });

  it("divides what is too much for one row", async () => {
    await withLog((open, rows) => {
      const log = open();
      expect(contentOf(log)).toEqual({});
      const size = serializeRecord(recordOf("key 10000", 1)).length + 10;
      const count = Math.ceil((2.5 * logRowOctets) / size);
      log.write(
        Array.from({ length: count }, (_, index) => recordOf(`key ${10_000 + index}`, 1)),
        [],
      );
      expect(rows()).toBe(3);
      expect(Object.keys(contentOf(open()))).toHaveLength(count);
    });
  });

  it("leaves out what is unreadable, and nothing else", async () => {
    await runInDurableObject(env.EXCHANGE.getByName(exchangeName(0)), (_instance, state) => {
      const { sql } = state.storage;
      sql.exec("drop table if exists invite_log");
      const log = new RecordLog(sql, "invite");
      expect(contentOf(log)).toEqual({});
      log.write([recordOf("one", 1), recordOf("two", 1), recordOf("three", 1)], []);
      sql.exec(`update invite_log set text = replace(text, '"invite","two"', '"invite",2')`);
      expect(Object.keys(contentOf(new RecordLog(sql, "invite")))).toEqual(["one", "three"]);
    });
  });

  it("reads rows from before rows said their format, and writes beside them", async () => {
    await withLog((open, _rows, sql) => {
      sql.exec("create table invite_log (number integer primary key, text text not null)");
      sql.exec("insert into invite_log (number, text) values (3, ?)", `old\n${JSON.stringify(recordOf("old", 1))}\n`);
      const log = open();
      expect(Object.keys(contentOf(log))).toEqual(["old"]);
      log.write([recordOf("new", 2)], []);
      expect(Object.keys(contentOf(open()))).toEqual(["new", "old"]);
      expect(sql.exec("select number, format from invite_log order by number").toArray()).toEqual([
        { number: 3, format: 1 },
        { number: 4, format: 3 },
      ]);
    });
  });

  it("leaves rows of a later release as they are, and says so in one line", async () => {
    const said = vi.spyOn(console, "error").mockImplementation(() => {});
    await withLog((open, _rows, sql) => {
      open().write([], []);
      for (const number of [7, 8]) sql.exec("insert into invite_log (number, text, format) values (?, 'a form to come', 4)", number);
      const log = open();
      expect(contentOf(log)).toEqual({});
      expect(said.mock.calls).toEqual([
        ["invite_log: 2 rows are of format 4, this release reads 3: left as they are; start the later release"],
      ]);
      // Far more than makes a log clean itself, and all of it ends.
      for (let ms = 1; ms < 500; ms += 1) log.write([recordOf(`key ${ms}`, ms)], ms === 1 ? [] : [`key ${ms - 1}`]);
      expect(Object.keys(contentOf(open()))).toEqual(["key 499"]);
      expect(sql.exec("select number, text from invite_log where format = 4").toArray()).toEqual([
        { number: 7, text: "a form to come" },
        { number: 8, text: "a form to come" },
      ]);
    });
  });

  it("keeps records of kinds that are not known, as they came", async () => {
    const text = JSON.stringify({
      kind: "voicemail-box",
      key: "k",
      version: makeVersion({ ms: 1, counter: 0, cell: "a" }),
      value: { x: 1 },
    });
    await withUnread((open, state) => {
      open().write({ put: [unread(text)], remove: [] });
      for (let start = 0; start < 2; start += 1) expect(unreadIn(open()).map(serializeRecord)).toEqual([text]);
      const [again] = unreadIn(open());
      expect(again?.key).toBe("voicemail-box k");
      const disk = open();
      expect(unreadIn(disk)).toHaveLength(1);
      disk.write({ put: [], remove: [{ kind: "unread", key: "voicemail-box k" }] });
      expect(unreadIn(open())).toEqual([]);
      expect(state.storage.sql.exec("select count(*) as count from unread_log").one()["count"]).toBe(0);
    });
  });

  it("moves what an earlier release carried to the log of its kind, once the kind is known; the later word stands, wherever it was", async () => {
    await withUnread((open, state) => {
      const carried = (key: string, ms: number): StateRecord => ({
        ...unread(JSON.stringify({ ...recordOf(key, ms), kind: "later" })),
        key: unreadKey("invite", key),
        value: { text: serializeRecord(recordOf(key, ms)), forgottenAt: undefined },
      });
      // A release that knew the kind wrote "newer" before the one that did not.
      const put = [carried("moved", 1), carried("older", 1), recordOf("older", 2), carried("newer", 2), recordOf("newer", 1)];
      open().write({ put, remove: [] });
      const keys = new Set(["moved", "older", "newer"]);
      const all = [...open().read()].filter(({ key }) => keys.has(key));
      expect(all).toEqual([recordOf("older", 2), recordOf("newer", 1), recordOf("moved", 1), recordOf("older", 1), recordOf("newer", 2)]);
      expect(state.storage.sql.exec("select count(*) as count from unread_log").one()["count"]).toBe(0);
      const again = [...open().read()].filter(({ key }) => keys.has(key));
      expect(again.toSorted((one, other) => one.key.localeCompare(other.key))).toEqual([
        recordOf("moved", 1),
        recordOf("newer", 2),
        recordOf("older", 2),
      ]);
    });
  });

  it("takes over what stood in a row each", async () => {
    await runInDurableObject(env.EXCHANGE.getByName(exchangeName(0)), (_instance, state) => {
      const { sql } = state.storage;
      sql.exec("create table records (kind text not null, key text not null, json text not null, primary key (kind, key)) without rowid");
      const old = recordOf("old", 1);
      sql.exec("insert into records values ('invite', 'old', ?)", JSON.stringify(old));
      for (let start = 0; start < 2; start += 1) {
        expect([...new Disk(state.storage).read()].filter(({ key }) => key === "old")).toEqual([old]);
      }
    });
  });
});
