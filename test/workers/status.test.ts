import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import type { StateRecord } from "../../sip/record/state-record.ts";
import type { Status } from "../../schemas/api-answers.ts";
import { summaryOf } from "../../workers/api/cell-share.ts";
import { loadBalanceOf, statusOf } from "../../workers/api/status.ts";
import { lateCells } from "../../workers/api/summaries.ts";
import { codeOf, type Environment, exchangeName } from "../../workers/environment.ts";
import { Disk } from "../../workers/exchange/disk.ts";
import { addSubscriber, answerAsPeer, callApi, domain, get, map, signature, userOf } from "./cell.ts";
import { Softphone } from "./softphone.ts";

async function status(): Promise<Status> {
  const response = await callApi("GET", "/status");
  expect(response.status).toBe(200);
  return await response.json();
}

function callAs(who: string, path: string): Promise<Response> {
  return get(path, { authorization: signature("cell", who, `GET ${path}`) });
}

describe("load balance", () => {
  it.each([
    [[], 0],
    [[0, 0], 0],
    [[10, 0], 1],
    [[5, 5], 2],
    [[3, 1], 1.6],
    [[1, 1, 1], 3],
    [[5000, 4990], 2],
  ])("of %j is %d", (parts, expected) => {
    expect(loadBalanceOf(parts)).toBe(expected);
  });
});

it("takes a cell for late that may answer and has not, and not one that is down", () => {
  const cells = (["up", "down", "draining"] as const).map((state, index) => {
    return { id: "abc"[index] ?? "", state, heardMs: 0, missed: 0, suspicion: undefined };
  });
  expect(lateCells(cells, new Map())).toEqual(new Set(["a", "c"]));
  const summary = { cell: "a", signaturesRefused: 0, exchanges: [] };
  expect(lateCells(cells, new Map([["a", summary]]))).toEqual(new Set(["c"]));
});

/** Cell a, of which these exchanges do what they do, and all others answer. */
function cellWith(exchanges: Readonly<Record<number, () => Promise<never>>>): Environment {
  const counts = (exchange: number): Promise<unknown> =>
    exchanges[exchange]?.() ??
    Promise.resolve({ exchange, pair: "together", registrations: 2, dialogs: 1, transactions: 0, subscribers: 3 });
  return {
    CELL: "a",
    CORE_GROUP: env.CORE_GROUP,
    EXCHANGE: { getByName: (name: string) => ({ counts: () => counts(Number(name.split("-").at(-1))) }) },
  } as unknown as Environment;
}

describe("what a cell says of its exchanges", () => {
  it("names those that hang or fail, and has what all others count", async () => {
    const hanging = cellWith({ 0: () => new Promise<never>(() => {}), 1: () => Promise.reject(new Error("the object was reset")) });
    const { exchanges, silent } = await summaryOf(hanging, map);
    expect(silent).toEqual([0, 1]);
    expect(exchanges.map(({ exchange }) => exchange)).toEqual(Array.from({ length: map.exchangeCount - 2 }, (_, index) => index + 2));
    expect(await summaryOf(cellWith({}), map)).not.toHaveProperty("silent");
  });

  it("is missing in a status where no other cell has it, and that is told", async () => {
    const answer = await statusOf(cellWith({ 0: () => Promise.reject(new Error("the object was reset")) }), map);
    expect(answer).toMatchObject({ uncounted: [0], registrations: 2 * (map.exchangeCount - 1), dialogs: map.exchangeCount - 1 });
    expect(answer.exchanges?.[0]).toMatchObject({ state: "unknown", cause: "its replica in cell a has not answered" });
  });
});

describe("/api/status", () => {
  it("tells the truth of a cell that does not answer", async () => {
    await vi.waitFor(async () =>
      expect((await status()).cells).toEqual([
        { id: "a", state: "up", epoch: expect.any(Number), heardMs: 0, code: codeOf(env) },
        { id: "b", state: "down", epoch: 0, missed: expect.any(Number) },
      ]),
    );
    const answer = await status();
    expect(answer).toMatchObject({ coordinator: "a", gateways: [], heartbeat: map.heartbeat });
    expect(answer.history).toContainEqual({
      epoch: expect.any(Number),
      at: expect.any(Number),
      kind: "cell",
      id: "b",
      from: "joining",
      to: "down",
      cause: "connection refused",
      detail: "twice",
    });
  });

  it("counts registrations where their primary is", async () => {
    const user = userOf("counted");
    await addSubscriber(user, "secret");
    const before = await status();
    const phone = await Softphone.connect(user, "secret");
    await phone.register();
    const after = await status();
    expect(after.registrations).toBe(before.registrations + 1);
    expect(after.loadBalance).toBe(1);
    phone.socket.close();
    await vi.waitFor(async () => expect((await status()).registrations).toBe(before.registrations));
  });

  it("asks the other cell for its share, and counts signatures refused in both", async () => {
    const { signaturesRefused } = await status();
    expect((await callAs("nobody", "/api/status")).status).toBe(401);
    const asked: string[] = [];
    const summary = { ...(await (await callAs("b", "/cell/summary")).json<object>()), cell: "b", signaturesRefused: 100 };
    answerAsPeer(async (request) => {
      const { pathname } = new URL(request.url);
      asked.push(pathname);
      return Response.json(
        pathname === "/cell/heartbeat" ? { ...(await request.json<object>()), cell: "b", boot: "b", epoch: 7 } : summary,
      );
    });
    await vi.waitFor(async () => expect((await status()).cells[1]).toMatchObject({ id: "b", state: "up", epoch: 7 }), { timeout: 3_000 });
    expect(asked).toContain("/cell/summary");
    // Refusals are told to the core group together, a moment later.
    await vi.waitFor(async () => expect((await status()).signaturesRefused).toBe(signaturesRefused + 101));
  });
});

describe("10 000 registrations", () => {
  it("are listed and counted fast", async () => {
    const exchange = env.EXCHANGE.getByName(exchangeName(0));
    const users = 10_000;
    await runInDurableObject(exchange, (_instance, state) => {
      const now = Date.now();
      const put: StateRecord[] = [];
      for (let number = 0; number < users; number += 1) {
        const user = userOf(`many${number}-`);
        const aor = `${user}@${domain}`;
        const version = `${now.toString(36).padStart(9, "0")}${number.toString(36).padStart(4, "0")}a`;
        const value = {
          addressOfRecord: aor,
          contact: `sip:${user}@198.51.100.7:5060`,
          parameters: "",
          callId: `call-${number}`,
          cSeq: 1,
          registeredAt: now,
          expiresAt: now + 600_000,
          instanceId: "",
          regId: 0,
          flow: "g1~u0..c633640713c4",
          transport: "UDP",
          received: "198.51.100.7:5060",
          userAgent: "phone 1.0",
          q: 1,
          path: [],
        };
        put.push({ kind: "binding", key: `${aor} ${value.contact}`, version, value });
      }
      const disk = new Disk(state.storage);
      for (const { key } of disk.read()) expect(key).not.toContain("many");
      disk.write({ put, remove: [] });
    });
    // It reads all of it when it is made anew. The core group asks it something now and then, and whoever is asked while it is put to sleep is never asleep.
    await runInDurableObject(exchange, async (_instance, { storage }) => await storage.sync());
    await runInDurableObject(exchange, (_instance, state) => state.abort("made anew")).catch(() => undefined);
    const readAt = performance.now();
    expect((await env.EXCHANGE.getByName(exchangeName(0)).counts()).registrations).toBe(users);
    const listAt = performance.now();
    const list = await (await callApi("GET", "/registrations")).json<unknown[]>();
    const doneAt = performance.now();
    expect(list).toHaveLength(users);
    // This runtime with its debugger is 20 times slower than a plain one, and the machine may be busy: bounds against the order of growth.
    expect(listAt - readAt).toBeLessThan(5_000);
    expect(doneAt - listAt).toBeLessThan(5_000);
  }, 30_000);
});
