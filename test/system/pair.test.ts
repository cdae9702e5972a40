import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { protocolVersion, versionHeader } from "../../cluster/protocol-version.ts";
import { WebSocket } from "ws";
import { ApiClient } from "../../cli/api-client.ts";
import { isStatus } from "../../cli/status.ts";
import { authorizationFor } from "../../workers/signature.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";

/** Two real cells: what one of them is told the other knows, whatever happens to the first. */

const running: Tandem[] = [];
const phones: Phone[] = [];

async function start(options: Parameters<typeof startTandem>[0]): Promise<Tandem> {
  const system = await startTandem({ auth: "open", ...options });
  running.push(system);
  return system;
}

afterEach(async () => {
  for (const phone of phones.splice(0)) phone.socket.terminate();
  await Promise.all(running.splice(0).map((system) => system.stop()));
});

/** A softphone by hand: it registers, sends MESSAGEs and answers those that come with 200. */
class Phone {
  readonly user: string;
  readonly socket: WebSocket;
  readonly taken: string[] = [];
  readonly #responses: string[] = [];
  #cSeq = 0;
  readonly #callId = randomUUID();

  static async connect(system: Tandem, cell: string, user: string): Promise<Phone> {
    const socket = new WebSocket(urlOf(system, cell).replace("http", "ws"), "sip");
    const phone = new Phone(user, socket);
    phones.push(phone);
    await once(socket, "open");
    return phone;
  }

  private constructor(user: string, socket: WebSocket) {
    this.user = user;
    this.socket = socket;
    socket.on("message", (data: Buffer) => {
      const text = data.toString("latin1");
      if (text.startsWith("SIP/2.0 ")) {
        this.#responses.push(text);
        return;
      }
      this.taken.push(text);
      const copied = text.split("\r\n").filter((line) => /^(?:Via|From|To|Call-ID|CSeq):/i.test(line));
      socket.send(`${["SIP/2.0 200 OK", ...copied, "Content-Length: 0"].join("\r\n")}\r\n\r\n`);
    });
    socket.on("error", () => {});
  }

  register(): Promise<number> {
    const contact = `Contact: <sip:${this.user}@${this.user}.invalid;transport=ws>;expires=600`;
    return this.#request("REGISTER", "sip:example.test", `sip:${this.user}@example.test`, this.#callId, [contact]);
  }

  /** The status of the answer. */
  message(user: string): Promise<number> {
    return this.#request("MESSAGE", `sip:${user}@example.test`, `sip:${user}@example.test`, randomUUID(), []);
  }

  async #request(method: string, uri: string, to: string, callId: string, headers: readonly string[]): Promise<number> {
    this.#cSeq += 1;
    const lines = [
      `${method} ${uri} SIP/2.0`,
      `Via: SIP/2.0/WS ${this.user}.invalid;branch=z9hG4bK${randomUUID()}`,
      "Max-Forwards: 70",
      `From: <sip:${this.user}@example.test>;tag=${this.user}`,
      `To: <${to}>`,
      `Call-ID: ${callId}`,
      `CSeq: ${this.#cSeq} ${method}`,
      ...headers,
      "Content-Length: 0",
    ];
    this.socket.send(`${lines.join("\r\n")}\r\n\r\n`);
    const cSeq = `CSeq: ${this.#cSeq} ${method}`;
    let found: string | undefined;
    await until(() => (found = this.#responses.find((text) => text.includes(cSeq) && !text.startsWith("SIP/2.0 1"))) !== undefined);
    return Number(found?.slice(8, 11));
  }
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
      const phone = await Phone.connect(system, index % 2 === 0 ? "a" : "b", user);
      expect(await phone.register()).toBe(200);
      expect(await usersIn(system, "a")).toContain(user);
      expect(await usersIn(system, "b")).toContain(user);
    }
  });

  it("lose no registration when one is killed the moment after the 200; calls go on through the other", async () => {
    const system = await start({ restart: false });
    const caller = await Phone.connect(system, "b", "caller");
    expect(await caller.register()).toBe(200);
    const callees = await Promise.all(users.map((user) => Phone.connect(system, "b", user)));
    const onA = await Promise.all(users.map((user) => Phone.connect(system, "a", `${user}a`)));
    const statuses = await Promise.all([...callees, ...onA].map((phone) => phone.register()));
    kill(system, "a");
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect(await usersIn(system, "b")).toEqual([...callees, ...onA, caller].map(({ user }) => user).toSorted());
    for (const callee of callees) {
      expect(await caller.message(callee.user)).toBe(200);
      expect(callee.taken).toHaveLength(1);
    }
  });

  it("that was killed has caught up before it answers: what it had not written down, and what it has missed", async () => {
    const system = await start({ restart: true });
    const before = await Phone.connect(system, "a", "before");
    await before.register();
    const { pid } = system.run.cells[0] ?? { pid: 0 };
    kill(system, "a");
    const meanwhile = await Phone.connect(system, "b", "meanwhile");
    expect(await meanwhile.register()).toBe(200);
    await until(() => system.run.cells[0]?.pid !== pid);
    let first: string[] | undefined;
    await until(async () => (first = await usersIn(system, "a")) !== undefined);
    expect(first).toEqual(["before", "meanwhile"]);
  });

  it("that was frozen hears what it has missed before it answers, and nobody waited for it for long", async () => {
    const system = await start({ restart: false });
    const { pid } = system.run.cells[0] ?? { pid: 0 };
    const phone = await Phone.connect(system, "b", "phone");
    expect(await phone.register()).toBe(200);
    process.kill(pid, "SIGSTOP");
    try {
      const meanwhile = await Promise.all(users.map((user) => Phone.connect(system, "b", user)));
      const startedAt = performance.now();
      for (const each of meanwhile) expect(await each.register()).toBe(200);
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
    const phone = await Phone.connect(system, "a", "u1");
    await phone.register();
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
