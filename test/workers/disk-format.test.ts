import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { Hono } from "hono";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { CoreGroupObject } from "../../workers/core-group/core-group-object.ts";
import { coreGroupName, exchangeName, ledgerName, type Environment } from "../../workers/environment.ts";
import { ExchangeObject } from "../../workers/exchange/exchange-object.ts";
import { failures } from "../../workers/failures.ts";
import { LedgerObject } from "../../workers/ledger/ledger-object.ts";
import { peerIsAway } from "./cell.ts";

beforeEach(peerIsAway);

const objects = [
  { whose: "the core group", stub: env.CORE_GROUP.getByName(coreGroupName), kind: CoreGroupObject },
  { whose: "exchange 1", stub: env.EXCHANGE.getByName(exchangeName(1)), kind: ExchangeObject },
  { whose: "the ledger", stub: env.LEDGER.getByName(ledgerName), kind: LedgerObject },
] as const;

/** What its tables hold. */
function contentOf({ sql }: DurableObjectStorage): unknown[] {
  const tables = sql
    .exec<{ name: string; sql: string }>("select name, sql from sqlite_master where type = 'table' and name not glob '_cf_*' order by name")
    .toArray();
  return tables.map((table) => [table, sql.exec(`select * from "${table.name}"`).toArray()]);
}

describe("a request to an object that does not start for that", () => {
  it("is answered 503 with the reason, which is said once", async () => {
    const said = vi.spyOn(console, "error").mockImplementation(() => {});
    const text = "exchange 1: its database is of format 2, this release reads 1: left as it is; start the later release";
    const app = new Hono<{ Bindings: Environment }>();
    app.get("/", () => {
      throw new Error(`RangeError: ${text}\n    at somewhere`);
    });
    app.onError(failures());
    for (let asked = 0; asked < 3; asked += 1) {
      const response = await app.request("/", {}, env);
      expect([response.status, await response.json()]).toEqual([503, { error: text }]);
    }
    expect(said.mock.calls).toEqual([[`cell a: ${text}`]]);
    said.mockRestore();
  });
});

describe("the database of an object", () => {
  it.each(objects)("of a later release is not read and not written: $whose does not start, and says why", async ({ whose, stub, kind }) => {
    const { before, after, failure } = await runInDurableObject(stub, (_instance, state) => {
      state.storage.kv.put("format", 2);
      state.storage.sql.exec("create table of_later (text)");
      const first = contentOf(state.storage);
      let error: unknown;
      try {
        error = `${new kind(state, env).constructor.name} has started`;
      } catch (thrown) {
        error = thrown;
      }
      const then = contentOf(state.storage);
      state.storage.kv.delete("format");
      state.storage.sql.exec("drop table of_later");
      return { before: first, after: then, failure: String(error) };
    });
    expect(failure).toBe(`RangeError: ${whose}: its database is of format 2, this release reads 1: left as it is; start the later release`);
    expect(before.length).toBeGreaterThan(0);
    expect(after).toEqual(before);
  });

  it.each(objects)("of this release, and of those before, says nothing, and is read: $whose", async ({ stub }) => {
    expect(await runInDurableObject(stub, (_instance, { storage }) => storage.kv.get("format"))).toBeUndefined();
  });
});
