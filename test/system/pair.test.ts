import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { protocolVersion, versionHeader } from "../../cluster/protocol-version.ts";
import { ApiClient } from "../../cli/api-client.ts";
import { isStatus } from "../../cli/status.ts";
import { authorizationFor } from "../../workers/signature.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";
import { statusOf } from "../../kit/phone/message-text.ts";
import { HandSoftphone } from "./clients/hand-softphone.ts";

/** Two real cells: what one of them is told the other knows, whatever happens to the first. */

const running: Tandem[] = [];
const phones: HandSoftphone[] = [];

async function start(options: Parameters<typeof startTandem>[0]): Promise<Tandem> {
  const system = await startTandem({ auth: "open", ...options });
  running.push(system);
  return system;
}

afterEach(async () => {
  for (const phone of phones.splice(0)) phone.socket.terminate();
  await Promise.all(running.splice(0).map((system) => system.stop()));
});

/** A softphone that answers what comes with 200. */
async function connect(system: Tandem, cell: string, user: string): Promise<HandSoftphone> {
  const phone = await HandSoftphone.open(urlOf(system, cell), user);
  phones.push(phone);
  phone.socket.on("message", (data: Buffer) => {
    const text = data.toString("latin1");
    if (!text.startsWith("SIP/2.0 ")) phone.respond(text, "200 OK");
  });
  return phone;
}

async function register(phone: HandSoftphone): Promise<number> {
  return statusOf(await phone.register());
}

/** A MESSAGE to another user: the status of the answer. */
async function message(phone: HandSoftphone, to: string): Promise<number> {
  const uri = `sip:${to}@example.test`;
  return statusOf(await phone.transact("MESSAGE", uri, phone.partiesOf(uri)));
}

function urlOf(system: Tandem, cell: string): string {
  const url = system.run.cells.find(({ id }) => id === cell)?.url;
  if (url === undefined) throw new Error(`no cell ${cell}`);
  return url;
}

function secretOf(system: Tandem): string {
  return readFileSync(join(system.state, "secret"), "utf8").trim();
}

/** Who is registered, as the replicas of this cell alone know it; undefined: it does not answer. */
async function usersIn(system: Tandem, cell: string): Promise<string[] | undefined> {
  try {
    const rows = await new ApiClient([urlOf(system, cell)], secretOf(system)).get("/api/registrations");
    if (!Array.isArray(rows)) return undefined;
    return rows.map((row: { readonly aor?: unknown }) => String(row.aor).replace("@example.test", "")).toSorted();
  } catch {
    return undefined;
  }
}

/** The state of a cell, as another one says it. */
async function stateSeenBy(system: Tandem, cell: string, of: string): Promise<string | undefined> {
  const status = await new ApiClient([urlOf(system, cell)], secretOf(system)).get("/api/status");
  return isStatus(status) ? status.cells.find(({ id }) => id === of)?.state : undefined;
}

/** Whether a text stands in the databases of a cell's exchanges, or in the logs that SQLite writes ahead of them. */
function isOnDisk(system: Tandem, cell: string, text: string): boolean {
  const directory = join(system.state, "cells", cell, `tandem-${cell}-ExchangeObject`);
  return readdirSync(directory).some(
    (name) => /\.sqlite(?:-wal)?$/.test(name) && readFileSync(join(directory, name), "latin1").includes(text),
  );
}

function kill(system: Tandem, cell: string): void {
  process.kill(system.run.cells.find(({ id }) => id === cell)?.pid ?? 0, "SIGKILL");
}

/** How long a replica believes itself after it has heard its peer: 3 heartbeats of 1 s, and some more. */
const believedMs = 3_500;

// Their addresses-of-record are in all four exchanges.
const users = ["u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8"];

describe("two cells", () => {
  it("know each other's registrations when the 200 arrives, whichever cell took the REGISTER", async () => {
    const system = await start({ restart: false });
    for (const [index, user] of users.entries()) {
      const phone = await connect(system, index % 2 === 0 ? "a" : "b", user);
      expect(await register(phone)).toBe(200);
      expect(await usersIn(system, "a")).toContain(user);
      expect(await usersIn(system, "b")).toContain(user);
    }
  });

  it("lose no registration when one is killed the moment after the 200; calls go on through the other", async () => {
    const system = await start({ restart: false });
    const caller = await connect(system, "b", "caller");
    expect(await register(caller)).toBe(200);
    const callees = await Promise.all(users.map((user) => connect(system, "b", user)));
    const onA = await Promise.all(users.map((user) => connect(system, "a", `${user}a`)));
    const statuses = await Promise.all([...callees, ...onA].map((phone) => register(phone)));
    kill(system, "a");
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect(await usersIn(system, "b")).toEqual([...callees, ...onA, caller].map(({ user }) => user).toSorted());
    for (const callee of callees) {
      expect(await message(caller, callee.user)).toBe(200);
      expect(callee.messages.filter((text) => text.startsWith("MESSAGE "))).toHaveLength(1);
    }
  });

  it("that was killed has caught up before it answers: what it had not written down, and what it has missed", async () => {
    const system = await start({ restart: true });
    const before = await connect(system, "a", "before");
    await register(before);
    const { pid } = system.run.cells[0] ?? { pid: 0 };
    kill(system, "a");
    const meanwhile = await connect(system, "b", "meanwhile");
    expect(await register(meanwhile)).toBe(200);
    await until(() => system.run.cells[0]?.pid !== pid);
    let first: string[] | undefined;
    await until(async () => (first = await usersIn(system, "a")) !== undefined);
    expect(first).toEqual(["before", "meanwhile"]);
  });

  it("that was frozen hears what it has missed before it answers, and nobody waited for it for long", async () => {
    const system = await start({ restart: false });
    const { pid } = system.run.cells[0] ?? { pid: 0 };
    const phone = await connect(system, "b", "phone");
    expect(await register(phone)).toBe(200);
    process.kill(pid, "SIGSTOP");
    try {
      const meanwhile = await Promise.all(users.map((user) => connect(system, "b", user)));
      const startedAt = performance.now();
      for (const each of meanwhile) expect(await register(each)).toBe(200);
      expect(performance.now() - startedAt).toBeLessThan(users.length * 500);
      const isGivenUp = async (): Promise<boolean> => (await stateSeenBy(system, "b", "a")) === "down";
      await until(async () => performance.now() - startedAt > believedMs && (await isGivenUp()));
    } finally {
      process.kill(pid, "SIGCONT");
    }
    let first: string[] | undefined;
    await until(async () => (first = await usersIn(system, "a")) !== undefined);
    expect(first).toEqual(["phone", ...users].toSorted());
  });

  it("know the registrations of before after both were killed and started again", async () => {
    const system = await start({ restart: true });
    const phone = await connect(system, "a", "u1");
    await register(phone);
    for (const cell of ["a", "b"]) await until(() => isOnDisk(system, cell, "sip:u1@u1.invalid"));
    const pids = system.run.cells.map(({ pid }) => pid);
    kill(system, "a");
    kill(system, "b");
    await until(() => system.run.cells.every(({ pid }, index) => pid !== pids[index]));
    for (const cell of ["a", "b"]) {
      let found: string[] | undefined;
      await until(async () => (found = await usersIn(system, cell)) !== undefined);
      expect(found).toEqual(["u1"]);
    }
  });
});

describe("a batch that is signed with another secret, or was signed long ago", () => {
  it("is refused and counted", async () => {
    const system = await start({ restart: false });
    const url = urlOf(system, "b");
    const body = Buffer.from(JSON.stringify({ cell: "a", boot: "x", peerBoot: "", after: 0, sequence: 0, isComplete: false, records: [] }));
    const post = async (secret: string, madeAt: number): Promise<number> => {
      const toSign = { purpose: "cell", who: "a", to: "b", method: "POST", path: "/cell/pair/0", body };
      const headers = { authorization: authorizationFor(secret, toSign, madeAt), [versionHeader]: String(protocolVersion) };
      return (await fetch(new URL("/cell/pair/0", url), { method: "POST", headers, body })).status;
    };
    const now = Date.now();
    expect(await post("0".repeat(64), now)).toBe(401);
    expect(await post(secretOf(system), now - 60_000)).toBe(401);
    const client = new ApiClient([url], secretOf(system));
    // Refusals are told to the core group together, a moment later.
    await until(async () => {
      const status = await client.get("/api/status");
      return isStatus(status) && status.signaturesRefused >= 2;
    });
  });
});
