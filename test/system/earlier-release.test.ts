import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ensureCertificate } from "../../cli/certificate.ts";
import { StateDirectory } from "../../cli/state-directory.ts";
import { addedPasswords, copyEarlierState, databasesOf } from "../fixtures/earlier-state.ts";
import { Phone } from "./clients/phone.ts";
import { wayOf } from "./clients/way.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";

const state = mkdtempSync(join(tmpdir(), "tandem-earlier-"));
const tlsFiles = ["ca.pem", "ca-key.pem", "cert.pem", "key.pem"].map((name) => join(state, "tls", name));

let system: Tandem;
let tlsBefore: string[];

const contents = (): string[] => tlsFiles.map((file) => readFileSync(file, "utf8"));

beforeAll(async () => {
  copyEarlierState(state, Date.now());
  await ensureCertificate(new StateDirectory(state), "example.test", "127.0.0.1", new Date());
  tlsBefore = contents();
  system = await startTandem({ state });
}, 60_000);

afterAll(async () => {
  await system?.stop();
  rmSync(state, { recursive: true, force: true });
});

type Status = {
  readonly cells: readonly { readonly id: string; readonly state: string }[];
  readonly dialogs: number;
  readonly heartbeat: { readonly periodMs: number; readonly missed: number };
};

async function json<Answer>(...words: string[]): Promise<Answer> {
  const { code, out, err } = await system.cli(...words, "--json");
  if (code !== 0) throw new Error(err);
  return JSON.parse(out) as Answer;
}

describe("a state directory of the release before, started by this one", () => {
  it("has every registration, none of which lives longer than it may", async () => {
    const rows = await json<{ aor: string; expiresSeconds: number; userAgent: string }[]>("registrations");
    expect(rows.map(({ aor }) => aor).toSorted()).toEqual(["alice", "bob", "carol", "dave"].map((user) => `${user}@example.test`));
    for (const { expiresSeconds, userAgent } of rows) {
      expect(userAgent).toBe("Desk phone 1.0");
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
    expect(status?.cells.map(({ id, state: each }) => `${id} ${each}`)).toEqual(["a up", "b draining"]);
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

  it("keeps its certificates", () => {
    expect(contents()).toEqual(tlsBefore);
  });

  it("writes rows that say their format, beside those that say none, and has all of it again after the next start", async () => {
    // Rows follow within flushMs.
    await until(() => rowsOf(3).includes("erin@example.test"));
    expect(rowsOf(1)).toContain("alice@example.test");
    const { firstPort } = system;
    await system.stop();
    system = await startTandem({ state, firstPort });
    const rows = await json<{ aor: string }[]>("registrations");
    expect(new Set(rows.map(({ aor }) => aor)).size).toBe(5);
    expect((await json<unknown[]>("subscriber", "list")).length).toBe(5);
  });
});

/** Whose bindings and secrets stand in rows of a format. */
function rowsOf(format: number): string[] {
  return databasesOf(state).flatMap((file) => {
    const database = new DatabaseSync(file, { readOnly: true });
    const all = "select text, format from binding_log union all select text, format from subscriber_log";
    const rows = database.prepare(all).all();
    database.close();
    return rows.filter((row) => row["format"] === format).flatMap(({ text }) => String(text).match(/^\S+@\S+/gm) ?? []);
  });
}
