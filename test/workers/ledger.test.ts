import { runInDurableObject } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { CallRow } from "../../schemas/api-answers.ts";
import { nobodyYet } from "../../cluster/calls/collector.ts";
import type { Copying } from "../../cluster/calls/messages.ts";
import { callKey, callRank } from "../../sip/record/call-record.ts";
import { serializeRecord } from "../../sip/record/record-text.ts";
import type { Call } from "../../sip/record/values.ts";
import { callIdOf } from "../../workers/call-id.ts";
import { DiskRoom } from "../../workers/disk-room.ts";
import { isLedgerAlive } from "../../workers/core-group/group-services.ts";
import { ledgerName, type Environment } from "../../workers/environment.ts";
import { ledgerAliveMsMax } from "../../workers/limits.ts";
import { CallTable } from "../../workers/ledger/call-table.ts";
import { makeVersion } from "../sip/record/make-version.ts";
import { LedgerObject } from "../../workers/ledger/ledger-object.ts";
import { answerAsPeer, callApi, loopback, ourVersion, signature } from "./cell.ts";

const now = Date.now();
const dayMs = 86_400_000;

function listOf(callId: string, changes: Partial<Call> = {}): readonly unknown[] {
  const value: Call = {
    rank: callRank("heard", 0),
    caller: "alice@example.test",
    callee: "bob@example.test",
    answeredBy: "sip:bob@192.0.2.4",
    start: now - 10_000,
    end: now - 1_000,
    status: 200,
    cause: "callerHungUp",
    cells: ["a"],
    gateways: ["g1"],
    failovers: 0,
    ...changes,
  };
  const version = makeVersion({ ms: now, counter: 0, cell: "a" });
  return JSON.parse(serializeRecord({ kind: "call", key: callKey(callId, "tag"), version, value })) as readonly unknown[];
}

/** A table of its own, and how to open it again. */
async function withTable(retention: { days: number; most: number }, use: (table: CallTable, open: () => CallTable) => void): Promise<void> {
  await runInDurableObject(env.LEDGER.getByName("a table of a test"), (_instance, { storage }) => {
    for (const name of ["calls", "ledgers"]) storage.sql.exec(`drop table if exists ${name}`);
    const open = (): CallTable =>
      new CallTable(
        storage,
        () => retention,
        () => now,
      );
    use(open(), open);
  });
}

const plenty = { days: 30, most: 100_000 };
const all = { most: 1_000 };

function callIdsOf(texts: readonly string[]): string[] {
  return texts.map((text) => String((JSON.parse(text) as readonly unknown[])[1]).split(" ")[0] ?? "");
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe("the table of call records", () => {
  it("has each call once, however often it comes, and what says more of it", async () => {
    await withTable(plenty, (table) => {
      const refused = listOf("one", { rank: callRank("refused", 1), status: 486, cause: "refused" });
      table.put([refused, listOf("two")]);
      table.put([refused, listOf("two")]);
      expect([callIdsOf(table.find(all)), table.last]).toEqual([["one", "two"], 2]);
      table.put([listOf("one")]);
      expect(table.find(all).map((text) => (JSON.parse(text) as readonly unknown[])[12])).toEqual([200, 200]);
      table.put([refused]);
      expect([table.find(all).length, table.last]).toEqual([2, 3]);
      expect(callIdsOf(table.after(1, 10).records.map((record) => JSON.stringify(record)))).toEqual(["two", "one"]);
    });
  });

  it("finds by caller or callee, time, failure and id, the latest of too many", async () => {
    await withTable(plenty, (table) => {
      table.put([
        listOf("early", { start: now - 90_000, callee: "carol@example.test" }),
        listOf("late", { start: now - 5_000, rank: callRank("refused", 1), status: 486, cause: "refused" }),
        listOf("middle", { start: now - 20_000, caller: "carol@example.test" }),
      ]);
      expect(callIdsOf(table.find(all))).toEqual(["early", "middle", "late"]);
      expect(callIdsOf(table.find({ most: 2 }))).toEqual(["middle", "late"]);
      expect(callIdsOf(table.find({ ...all, addressOfRecord: "carol@example.test" }))).toEqual(["early", "middle"]);
      expect(callIdsOf(table.find({ ...all, since: now - 20_000 }))).toEqual(["middle", "late"]);
      expect(callIdsOf(table.find({ ...all, isFailed: true }))).toEqual(["late"]);
      expect(callIdsOf(table.find({ ...all, id: callIdOf(callKey("middle", "tag")) }))).toEqual(["middle"]);
      expect(table.find({ ...all, id: "0123456789abcdef" })).toEqual([]);
    });
  });

  it("lists page by page, each call once, those too that began in one millisecond", async () => {
    await withTable(plenty, (table) => {
      const start = now - 5_000;
      table.put(Array.from({ length: 20 }, (_, n) => listOf(`n${n}`, { start: start + Math.floor(n / 8) })));
      const everything = table.find(all);
      const pages: string[][] = [];
      for (let page = table.find({ most: 7 }); page.length > 0;) {
        pages.unshift(page);
        const list = JSON.parse(page[0] ?? "") as readonly unknown[];
        page = table.find({ most: 7, before: { start: Number(list[9]), id: callIdOf(String(list[1])) } });
      }
      expect([pages.map(({ length }) => length), pages.flat()]).toEqual([[6, 7, 7], everything]);
    });
  });

  it("keeps what is young enough, and no more than the limit: the oldest go first, and are not shown meanwhile", async () => {
    await withTable({ days: 2, most: 3 }, (table, open) => {
      table.put([listOf("old", { start: now - 2 * dayMs - 1 }), listOf("young", { start: now - 2 * dayMs + 60_000 })]);
      expect(callIdsOf(table.find(all))).toEqual(["young"]);
      table.put(Array.from({ length: 4 }, (_, n) => listOf(`n${n}`, { start: now - 1_000 + n })));
      expect(callIdsOf(table.find(all))).toEqual(["n1", "n2", "n3"]);
      table.forgetOld();
      expect(table.count).toBe(3);
      expect(callIdsOf(table.after(0, 10).records.map((record) => JSON.stringify(record)))).toEqual(["n1", "n2", "n3"]);
      const again = open();
      expect([again.count, again.last, again.name]).toEqual([3, table.last, table.name]);
    });
  });

  it("has its name, its owner and how far it has read others when it is opened again", async () => {
    await withTable(plenty, (table, open) => {
      const owner = { cell: "b", since: { epoch: 7, writer: "b" } };
      table.keepOwner(owner);
      table.keepRead("other", 5);
      table.keepRead("other", 9);
      const again = open();
      expect([again.name, again.owner, again.read]).toEqual([table.name, owner, { other: 9 }]);
      expect(again.name).toMatch(/^[0-9a-f-]{36}$/);
    });
  });
});

/** What the ledger of cell b says. */
async function say(path: string, message: unknown): Promise<Response> {
  const body = new TextEncoder().encode(JSON.stringify(message));
  const headers = { ...ourVersion, authorization: signature("cell", "b", `POST ${path}`, body) };
  return await exports.default.fetch(new Request(`http://a.invalid${path}`, { method: "POST", headers, body }));
}

async function rowsOf(response: Response): Promise<readonly CallRow[]> {
  expect(response.status).toBe(200);
  return await response.json<readonly CallRow[]>();
}

describe("/api/calls", () => {
  it("lists what an exchange has delivered, with times and reasons for people, and shows one by its id", async () => {
    answerAsPeer(loopback);
    const records = [
      listOf("api-one", { ring: now - 9_000, answer: now - 8_000 }),
      listOf("api-two", { status: 404, cause: "nobody", callee: "x@example.test" }),
    ];
    const taken = await env.LEDGER.getByName(ledgerName).take(JSON.stringify({ records }));
    expect(taken.outcome).toBe("taken");
    const rows = await rowsOf(await callApi("GET", "/calls?most=2"));
    expect(rows.map(({ callee, status, reason }) => [callee, status, reason])).toEqual([
      ["bob@example.test", 200, "alice hung up"],
      ["x@example.test", 404, "there is no user x"],
    ]);
    const [first] = rows;
    expect(first).toMatchObject({
      start: new Date(now - 10_000).toISOString(),
      ring: new Date(now - 9_000).toISOString(),
      end: new Date(now - 1_000).toISOString(),
    });
    const [, second] = rows;
    const before = encodeURIComponent(`${second?.start ?? ""},${second?.id ?? ""}`);
    const earlier = await rowsOf(await callApi("GET", `/calls?most=1&before=${before}`));
    expect(earlier).toEqual([first]);
    const one = await callApi("GET", `/calls/${first?.id ?? ""}`);
    expect(await one.json()).toEqual(first);
    expect((await callApi("GET", "/calls/0123456789abcdef")).status).toBe(404);
    expect((await rowsOf(await callApi("GET", "/calls?aor=x@example.test"))).length).toBe(1);
    expect(await rowsOf(await callApi("GET", "/calls?live=true"))).toEqual([]);
  });

  it.each(["since=yesterday", "most=0", "most=x", "before=x", "before=x,0", "before=2026-11-30T08:00:00Z", "aor=x@elsewhere.test"])(
    "refuses %s",
    async (query) => {
      expect((await callApi("GET", `/calls?${query}`)).status).toBe(400);
    },
  );

  it("takes from other cells what is a message between ledgers, and nothing else", async () => {
    for (const path of ["copy", "read", "list"]) expect((await say(`/cell/ledger/${path}`, { records: 1 })).status).toBe(400);
    const since = { epoch: 1_000_000, writer: "b" };
    const answer = await say("/cell/ledger/copy", {
      owner: { cell: "b", since },
      ledger: "theirs",
      after: 0,
      upTo: 1,
      records: [listOf("copied")],
    });
    expect(await answer.json()).toMatchObject({ owner: { cell: "b", since }, upTo: 1 });
    const late = await env.LEDGER.getByName(ledgerName).take(JSON.stringify({ records: [listOf("late")] }));
    // Somebody has begun to collect whom this cell's map does not know yet.
    expect(late).toEqual({ outcome: "refused", owner: { cell: "b", since } });
  });
});

/** What a core group has whose ledger answers so. */
function answering(isAlive: () => Promise<boolean>): Pick<Environment, "DISK" | "LEDGER"> {
  return { DISK: {}, LEDGER: { getByName: () => ({ isAlive }) } } as unknown as Pick<Environment, "DISK" | "LEDGER">;
}

/** The tables of an object. */
function tablesOf({ sql }: DurableObjectStorage): string[] {
  return sql
    .exec<{ name: string }>("select name from sqlite_master where type = 'table'")
    .toArray()
    .map(({ name }) => name);
}

const oneRecord = JSON.stringify({ records: [listOf("full")] });
const copying: Copying = { owner: { cell: "b", since: { epoch: 1, writer: "b" } }, ledger: "theirs", after: 0, upTo: 0, records: [] };
const asked = { query: all, isAnyGood: true };

describe("a ledger on a full disk", () => {
  it("that was never used writes nothing, whatever it is asked, and is not alive once it was to write", async () => {
    await runInDurableObject(env.LEDGER.getByName("never used"), async (_instance, state) => {
      const room = vi.spyOn(DiskRoom.prototype, "ask").mockResolvedValue(false);
      const isFull = vi.spyOn(DiskRoom.prototype, "isFull", "get").mockReturnValue(false);
      const ledger = new LedgerObject(state, env);
      expect(await ledger.isAlive()).toBe(true);
      expect(room).not.toHaveBeenCalled();
      expect(await ledger.take(oneRecord)).toMatchObject({ outcome: "failed", owner: nobodyYet });
      isFull.mockReturnValue(true);
      expect(await ledger.isAlive()).toBe(false);
      await expect(ledger.copied(copying)).rejects.toThrow("the disk is full");
      await expect(ledger.readBy({ owner: copying.owner, read: {} })).rejects.toThrow("the disk is full");
      expect(await ledger.list(asked)).toEqual({ records: [] });
      await ledger.alarm();
      expect([tablesOf(state.storage), await state.storage.getAlarm()]).toEqual([[], null]);
      room.mockResolvedValue(true);
      expect(await ledger.copied(copying)).toMatchObject({ upTo: 0 });
      expect(tablesOf(state.storage)).toContain("calls");
    });
  });

  it("shows what it has, and forgets nothing until there is room", async () => {
    await runInDurableObject(env.LEDGER.getByName("used before"), async (_instance, state) => {
      await new LedgerObject(state, env).copied({ ...copying, upTo: 1, records: [listOf("kept"), listOf("old", { start: 1 })] });
      await state.storage.deleteAlarm();
      const countNow = (): unknown => state.storage.sql.exec("select count(*) as count from calls").one()["count"];
      const room = vi.spyOn(DiskRoom.prototype, "ask").mockResolvedValue(false);
      const ledger = new LedgerObject(state, env);
      const listing = await ledger.list(asked);
      expect("records" in listing && callIdsOf(listing.records)).toEqual(["kept"]);
      await ledger.alarm();
      expect([countNow(), await state.storage.getAlarm(), await ledger.isAlive()]).toEqual([2, null, false]);
      room.mockResolvedValue(true);
      expect(await ledger.isAlive()).toBe(true);
      expect(await state.storage.getAlarm()).not.toBeNull();
      await ledger.alarm();
      expect(countNow()).toBe(1);
    });
  });
});

describe("whether a ledger can do its work", () => {
  it("is what it says; one that fails, or hangs, cannot", async () => {
    expect(await env.LEDGER.getByName(ledgerName).isAlive()).toBe(true);
    expect(await isLedgerAlive(answering(() => Promise.resolve(true)))).toBe(true);
    expect(await isLedgerAlive(answering(() => Promise.resolve(false)))).toBe(false);
    expect(await isLedgerAlive(answering(() => Promise.reject(new Error("the object was reset"))))).toBe(false);
    vi.useFakeTimers();
    const hanging = isLedgerAlive(answering(() => new Promise<boolean>(() => {})));
    await vi.advanceTimersByTimeAsync(ledgerAliveMsMax);
    vi.useRealTimers();
    expect(await hanging).toBe(false);
  });

  it("is not so where its table cannot be read or written, until it can again", async () => {
    await withTable(plenty, (table, open) => {
      table.put([listOf("one")]);
      expect(table.isWell()).toBe(true);
      vi.spyOn(table, "keepOwner").mockImplementationOnce(() => {
        throw new Error("disk I/O error");
      });
      // What has not failed is not written for this.
      expect(table.isWell()).toBe(true);
      const broken: readonly unknown[] = ["call", "two tag", "version", 1, 0, null];
      expect(() => table.put([broken])).toThrow(/constraint/i);
      expect(table.isWell()).toBe(false);
      expect(table.isWell()).toBe(true);
      expect(open().find(all)).toHaveLength(1);
    });
  });
});
