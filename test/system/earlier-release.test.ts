import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ApiClient } from "../../cli/api-client.ts";
import { ensureCertificate } from "../../cli/certificate.ts";
import { StateDirectory } from "../../cli/state-directory.ts";
import type { CallRow, Group } from "../../schemas/api-answers.ts";
import { addedPasswords, copyEarlierState, databasesOf, earlierStates } from "../fixtures/earlier-state.ts";
import { Phone } from "./clients/phone.ts";
import { wayOf } from "./clients/way.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";

type Status = {
  readonly cells: readonly { readonly id: string; readonly state: string }[];
  readonly dialogs: number;
  readonly heartbeat: { readonly periodMs: number; readonly missed: number };
};

/** A cell that comes back hands over what it has, and is given a share again. */
const healedMsMax = 60_000;

describe.each(earlierStates)("a state directory of $of, started by this release", (earlier) => {
  const state = mkdtempSync(join(tmpdir(), "tandem-earlier-"));
  const tlsFiles = ["ca.pem", "ca-key.pem", "cert.pem", "key.pem"].map((name) => join(state, "tls", name));
  const cells = earlier.cells.length;
  let system: Tandem;
  let tlsBefore: string[];

  const contents = (): string[] => tlsFiles.map((file) => readFileSync(file, "utf8"));

  async function json<Answer>(...words: string[]): Promise<Answer> {
    const { code, out, err } = await system.cli(...words, "--json");
    if (code !== 0) throw new Error(err);
    return JSON.parse(out) as Answer;
  }

  /** What a cell other than this one says: it does not wait for one that stands still. */
  async function askedBeside<Answer>(cell: string | undefined, path: string): Promise<Answer> {
    const urls = system.run.cells.filter(({ id }) => id !== cell).map(({ url }) => url);
    return (await new ApiClient(urls, new StateDirectory(state).secret()).get(path)) as Answer;
  }

  async function statuses(notAsked?: string): Promise<number[]> {
    return (await askedBeside<CallRow[]>(notAsked, "/api/calls")).map(({ status }) => status);
  }

  async function collector(notAsked?: string): Promise<string | undefined> {
    return (await askedBeside<Group>(notAsked, "/api/group")).singletons[0]?.owner;
  }

  beforeAll(async () => {
    copyEarlierState(earlier, state, Date.now());
    await ensureCertificate(new StateDirectory(state), "example.test", ["127.0.0.1"], new Date());
    tlsBefore = contents();
    system = await startTandem({ state, cells });
  }, 60_000);

  afterAll(async () => {
    await system?.stop();
    rmSync(state, { recursive: true, force: true });
  });

  it("has every registration, none of which lives longer than it may", async () => {
    const all = await json<{ aor: string; transport: string; expiresSeconds: number; userAgent: string }[]>("registrations");
    // A softphone's ended with its connection.
    const rows = all.filter(({ transport }) => transport !== "ws");
    expect(rows.map(({ aor }) => aor).toSorted()).toEqual(earlier.registered.map((user) => `${user}@example.test`));
    for (const { expiresSeconds, userAgent } of rows) {
      expect(userAgent).toBe(earlier.userAgent);
      expect(expiresSeconds).toBeGreaterThan(3_000);
      expect(expiresSeconds).toBeLessThanOrEqual(3_600);
    }
  });

  it("has the calls that had not ended, and the settings, and the cell that was out of service", async () => {
    let status: Status | undefined;
    await until(async () => {
      status = await json<Status>("status");
      return status.dialogs === 2 && status.cells.every(({ state: each }) => each !== "joining");
    });
    expect(status?.heartbeat).toEqual({ periodMs: 700, missed: 4 });
    expect(status?.cells.map(({ id, state: each }) => `${id} ${each}`)).toEqual(earlier.cells);
  });

  it("has what its operator said of the group, and each exchange in two cells, evenly", async () => {
    const before = await json<Group>("group");
    expect(before.healAfterMs).toBe(earlier.healAfterMs);
    const isEven = async (): Promise<boolean> => {
      const { exchanges, members } = await json<Group>("group");
      const replicas = members.flatMap(({ replicas: some }) => (some === undefined ? [] : [some]));
      return exchanges.every(({ state: each }) => each === "paired") && Math.max(...replicas) - Math.min(...replicas) <= 1;
    };
    await until(isEven, healedMsMax);
    expect(before.exchanges).toHaveLength(earlier.exchanges);
  });

  it("has every subscriber, with the password that was theirs and no other", async () => {
    expect((await json<unknown[]>("subscriber", "list")).length).toBe(5);
    const passwords = { ...system.passwords, ...addedPasswords };
    expect(Object.keys(passwords).toSorted()).toEqual(["alice", "bob", "carol", "dave", "erin"]);
    for (const [user, password] of Object.entries(passwords)) {
      for (const [said, wanted] of [
        [password, 200],
        ["another one", 401],
      ] as const) {
        const phone = await Phone.open(wayOf(system, "UDP"), { user, password: said });
        const { status } = await phone.register();
        phone.close();
        expect([user, said, status]).toEqual([user, said, wanted]);
      }
    }
  });

  it("has the record of each call that was over, once, and so has the ledger of another cell", async () => {
    expect(await statuses()).toEqual(earlier.calls);
    const before = await collector();
    const pid = system.run.cells.find(({ id }) => id === before)?.pid ?? 0;
    process.kill(pid, "SIGSTOP");
    try {
      await until(async () => ![before, ""].includes(await collector(before)), healedMsMax);
      expect(await statuses(before)).toEqual(earlier.calls);
    } finally {
      process.kill(pid, "SIGCONT");
    }
  });

  it("keeps its certificates, and the key by which names have their places", () => {
    expect(contents()).toEqual(tlsBefore);
    const { hashKey } = new StateDirectory(state).readCluster() ?? {};
    expect(hashKey !== undefined).toBe(earlier.hasHashKey);
  });

  it("writes rows that say their format, beside those that say none, and has all of it again after the next start", async () => {
    // Rows follow within flushMs.
    await until(() => rowsOf(state, 3).includes("erin@example.test"));
    expect(rowsOf(state, earlier.rowFormat)).toContain("alice@example.test");
    const { firstPort } = system;
    await system.stop();
    system = await startTandem({ state, firstPort, cells });
    const rows = await json<{ aor: string }[]>("registrations");
    expect(new Set(rows.map(({ aor }) => aor)).size).toBe(5);
    expect((await json<unknown[]>("subscriber", "list")).length).toBe(5);
    expect((await json<CallRow[]>("calls")).length).toBe(earlier.calls.length);
  });
});

/** Whose bindings and secrets stand in rows of a format. */
function rowsOf(state: string, format: number): string[] {
  return databasesOf(state).flatMap((file) => {
    const database = new DatabaseSync(file, { readOnly: true, timeout: 5_000 });
    // An object that was never asked for anything has no tables.
    const isUsed = database.prepare("select 1 from sqlite_master where name = 'subscriber_log'").get() !== undefined;
    const all = "select text, format from binding_log union all select text, format from subscriber_log";
    const rows = isUsed ? database.prepare(all).all() : [];
    database.close();
    return rows.filter((row) => row["format"] === format).flatMap(({ text }) => String(text).match(/^\S+@\S+/gm) ?? []);
  });
}
