import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Heartbeat } from "../../cluster/group/heartbeat.ts";
import { readSettings } from "../../cluster/group/settings.ts";
import type { Change, View } from "../../cluster/group/view.ts";
import type { Status } from "../../schemas/api-answers.ts";
import type { CoreGroupStatus } from "../../workers/core-group/core-group-object.ts";
import { GroupDisk } from "../../workers/core-group/group-disk.ts";
import { coreGroupName, exchangeName } from "../../workers/environment.ts";
import { answerAsPeer, callApi, get, map, ourVersion, putToSleep, replicas, signature, upgrade } from "./cell.ts";
import { Softphone } from "./softphone.ts";

const group = env.CORE_GROUP.getByName(coreGroupName);
const sockets: WebSocket[] = [];
let peerSequence = 0;

async function control(gateway: string): Promise<{ readonly socket: WebSocket; readonly texts: string[] }> {
  const { webSocket } = await upgrade("/control", { authorization: signature("control", gateway, "GET /control") });
  if (webSocket === null) throw new Error("no control socket");
  const texts: string[] = [];
  webSocket.addEventListener("message", ({ data }) => {
    texts.push(String(data));
  });
  webSocket.accept();
  sockets.push(webSocket);
  return { socket: webSocket, texts };
}

/** What came on a control socket, of one type. */
function told(texts: readonly string[], type: string): Record<string, unknown>[] {
  return texts
    .filter((text) => text.startsWith("{"))
    .map((text) => JSON.parse(text) as Record<string, unknown>)
    .filter((message) => message["type"] === type);
}

async function status(): Promise<CoreGroupStatus> {
  return await group.status();
}

async function stateOf(member: string): Promise<string | undefined> {
  const { cells, gateways } = await status();
  return [...cells, ...gateways].find(({ id }) => id === member)?.state;
}

async function lastChangeOf(member: string): Promise<Change | undefined> {
  return (await status()).history.findLast(({ id }) => id === member);
}

async function suspicionOf(gateway: string): Promise<string | undefined> {
  return (await status()).gateways.find(({ id }) => id === gateway)?.suspicion;
}

function heartbeatOf(given: Partial<Heartbeat> = {}): Heartbeat {
  peerSequence += 1;
  const settings = { version: map.version, heartbeat: map.heartbeat };
  return { cell: "b", boot: "1", sequence: peerSequence, state: "up", epoch: 3, gateways: [], settings, ...given };
}

/** Cell b answers heartbeats, with what is given. Returns those that it got. */
function peerAnswers(given: Partial<Heartbeat> = {}): Heartbeat[] {
  const got: Heartbeat[] = [];
  answerAsPeer(async (request) => {
    got.push(await request.json<Heartbeat>());
    return Response.json(heartbeatOf(given));
  });
  return got;
}

function post(body: unknown, who = "b", authorization?: string): Promise<Response> {
  const octets = new TextEncoder().encode(JSON.stringify(body));
  const headers = { ...ourVersion, authorization: authorization ?? signature("cell", who, "POST /cell/heartbeat", octets) };
  return exports.default.fetch(new Request("http://a.invalid/cell/heartbeat", { method: "POST", headers, body: octets }));
}

/** `PUT /api/cells/<cell>`: status and body of the answer. */
async function put(cell: string, body: unknown): Promise<[number, unknown]> {
  const response = await callApi("PUT", `/cells/${cell}`, body);
  return [response.status, await response.json()];
}

async function softphonesLeft(): Promise<number | undefined> {
  return (await (await callApi("GET", "/status")).json<Status>()).cells[0]?.softphonesLeft;
}

async function until(member: string, state: string): Promise<void> {
  await vi.waitFor(async () => expect(await stateOf(member)).toBe(state), { timeout: 5_000, interval: 10 });
}

beforeEach(() => {
  vi.spyOn(console, "log").mockImplementation(() => {});
  vi.spyOn(console, "warn").mockImplementation(() => {});
});

afterEach(() => {
  vi.useRealTimers();
  for (const socket of sockets.splice(0)) socket.close();
});

describe("heartbeats between cells", () => {
  it("start with the first request for the cell's page, and go on by themselves", async () => {
    const got = peerAnswers();
    expect((await get("/")).status).toBe(200);
    await vi.waitFor(() => expect(got.length).toBeGreaterThanOrEqual(3), { timeout: 5_000 });
    expect(got[0]).toMatchObject({ cell: "a", state: "joining", settings: { version: 1, heartbeat: map.heartbeat } });
    expect(await stateOf("b")).toBe("up");
    await runInDurableObject(group, async (_instance, state) => {
      const alarm = await state.storage.getAlarm();
      expect(alarm).toBeGreaterThan(Date.now() - 1_000);
      expect(alarm).toBeLessThan(Date.now() + map.heartbeat.periodMs + 100);
    });
  });

  it("that are refused mean down at once; an answer means up again", async () => {
    answerAsPeer(() => Promise.reject(new Error("Network connection lost.")));
    await until("b", "down");
    expect(await lastChangeOf("b")).toMatchObject({ id: "b", to: "down", cause: "connection refused" });
    peerAnswers();
    await until("b", "up");
    expect(await lastChangeOf("b")).toMatchObject({ id: "b", to: "up", cause: "returned" });
  });

  it("that are not answered in time mean down after as many as the map says, not before", async () => {
    peerAnswers();
    await until("b", "up");
    const startedAt = Date.now();
    answerAsPeer((request) => new Promise((_answer, fail) => request.signal.addEventListener("abort", () => fail(request.signal.reason))));
    await until("b", "down");
    expect(Date.now() - startedAt).toBeGreaterThan(2 * map.heartbeat.periodMs);
    expect(await lastChangeOf("b")).toMatchObject({ id: "b", cause: "missed heartbeats", detail: "3 in a row" });
  });

  it("of another cell are answered with ours; one that calls is called back", async () => {
    answerAsPeer(() => Promise.reject(new Error("Network connection lost.")));
    await until("b", "down");
    const got = peerAnswers();
    const response = await post(heartbeatOf());
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ cell: "a", state: "up" });
    await vi.waitFor(() => expect(got.length).toBeGreaterThan(0), { timeout: 500 });
    await until("b", "up");
  });

  it("with a wrong signature, of somebody else, or that are none are refused", async () => {
    const refused = await post(heartbeatOf(), "b", signature("cell", "b", "POST /cell/heartbeat"));
    expect(refused.status).toBe(401);
    // Whoever has another time learns it.
    expect(Math.abs(Number(refused.headers.get("tandem-now")) - Date.now())).toBeLessThan(5_000);
    expect((await post(heartbeatOf(), "c")).status).toBe(403);
    expect((await post({ ...heartbeatOf(), sequence: "1" })).status).toBe(400);
    expect((await post([])).status).toBe(400);
  });

  it("that the other refuses for our signature end in down for that reason", async () => {
    peerAnswers();
    await until("b", "up");
    const said = vi.spyOn(console, "warn");
    const headers = { "tandem-now": String(Date.now() + 3_600_000) };
    answerAsPeer(() => Promise.resolve(new Response(null, { status: 401, headers })));
    await until("b", "down");
    expect(await lastChangeOf("b")).toMatchObject({ id: "b", to: "down", cause: "bad signature" });
    const lines = (): string[] =>
      said.mock.calls.map(([line]) => String(line)).filter((line) => line.includes("cell b") && line.includes("signature"));
    expect(lines()).toEqual([
      expect.stringMatching(/^cell a: cell b does not accept .*: the clock of cell b is 36\d\d s ahead of this one's/),
    ]);
    peerAnswers();
    await until("b", "up");
    expect(lines().slice(1)).toEqual(["cell a: cell b accepts this cell's signature again"]);
    said.mockRestore();
  });
});

describe("the epoch", () => {
  it("never goes back, also when the object starts again", async () => {
    peerAnswers();
    const { view } = await status();
    for (let time = 1; time <= 3; time += 1) {
      await evictDurableObject(group, { webSockets: "close" });
      expect((await status()).view.epoch).toBeGreaterThanOrEqual(view.epoch + time);
    }
  });
});

describe("a control socket", () => {
  it("gets the cluster map first, then the view, and every view after it", async () => {
    peerAnswers();
    await until("b", "up");
    const { texts } = await control("g1");
    await vi.waitFor(() => expect(told(texts, "view").length).toBeGreaterThanOrEqual(2));
    expect(JSON.parse(texts[0] ?? "")).toEqual({ type: "map", map });
    const views = told(texts, "view").map(({ view }) => view as View);
    expect(views.at(-1)).toMatchObject({ cell: "a", coordinator: "a", gateways: [{ id: "g1", state: "up" }] });
    answerAsPeer(() => Promise.reject(new Error("Network connection lost.")));
    await vi.waitFor(
      () => expect(told(texts, "view").at(-1)?.["view"]).toMatchObject({ cells: [{ id: "a" }, { id: "b", state: "down" }] }),
      {
        timeout: 2_000,
      },
    );
    const epochs = told(texts, "view").map(({ view }) => (view as View).epoch);
    expect(epochs).toEqual(epochs.toSorted((left, right) => left - right));
  });

  it("is answered its pings by the runtime, and what it says harms nobody", async () => {
    peerAnswers();
    const { socket, texts } = await control("g2");
    for (const text of ["no JSON", "null", "{}", '{"type":"lost"}', '{"type":"lost","cell":"z"}', "[]"]) socket.send(text);
    socket.send(new Uint8Array([1, 2, 3]));
    socket.send("ping");
    await vi.waitFor(() => expect(texts).toContain("pong"));
    await evictDurableObject(group, { webSockets: "hibernate" });
    socket.send("ping");
    await vi.waitFor(() => expect(texts.filter((text) => text === "pong")).toHaveLength(2));
    expect(await stateOf("g2")).toBe("up");
  });

  it("that tells of a lost cell makes that cell probed at once", async () => {
    peerAnswers();
    await until("b", "up");
    const { socket } = await control("g3");
    await until("g3", "up");
    answerAsPeer(() => Promise.reject(new Error("Network connection lost.")));
    socket.send(JSON.stringify({ type: "lost", cell: "b", seen: "closed socket" }));
    await vi.waitFor(async () => expect(await stateOf("b")).toBe("down"), { timeout: 500, interval: 5 });
    expect(await lastChangeOf("b")).toMatchObject({ id: "b", cause: expect.stringMatching(/closed socket|connection refused/) });
  });

  it("that closes leaves its gateway down, within a second; a new one brings it back", async () => {
    peerAnswers();
    const { socket } = await control("g4");
    await until("g4", "up");
    socket.close();
    await vi.waitFor(async () => expect(await stateOf("g4")).toBe("down"), { timeout: 1_000, interval: 10 });
    expect(await lastChangeOf("g4")).toMatchObject({ kind: "gateway", id: "g4", to: "down", cause: "closed socket" });
    await control("g4");
    await until("g4", "up");
    expect(await lastChangeOf("g4")).toMatchObject({ id: "g4", to: "up", cause: "returned" });
  });

  it("whose gateway says that it goes leaves it left", async () => {
    peerAnswers();
    const { socket } = await control("g14");
    await until("g14", "up");
    socket.close(1001);
    await until("g14", "left");
    const answer: Status = await (await callApi("GET", "/status")).json();
    expect(answer.gateways.find(({ id }) => id === "g14")?.state).toBe("left");
    expect(answer.history.findLast(({ id }) => id === "g14")).toMatchObject({ to: "down", detail: "it said that it ends" });
  });

  it("brings what its gateway has counted, as long as it is there", async () => {
    peerAnswers();
    const { socket } = await control("g9");
    const tally = { isNative: true, datagramsLost: 1, datagramsDropped: 2, datagramsPaced: 3, shed: 4 };
    socket.send(JSON.stringify({ type: "tally", ...tally, datagramsLost: -1 }));
    socket.send(JSON.stringify({ type: "tally", ...tally }));
    await vi.waitFor(async () => expect((await status()).tallies).toEqual({ g9: tally }));
    const answer: Status = await (await callApi("GET", "/status")).json();
    expect(answer.gateways.find(({ id }) => id === "g9")).toMatchObject(tally);
    socket.close();
    await vi.waitFor(async () => expect((await status()).tallies["g9"]).toBeUndefined());
  });

  it("is replaced by a newer one of the same gateway, without a change of the view", async () => {
    peerAnswers();
    await until("b", "up");
    const first = await control("g5");
    await until("g5", "up");
    const { epoch } = (await status()).view;
    const closed = new Promise<number>((resolve) =>
      first.socket.addEventListener("close", ({ code }) => {
        resolve(code);
      }),
    );
    await control("g5");
    expect(await closed).toBe(4001);
    expect(await stateOf("g5")).toBe("up");
    expect((await status()).history.filter(({ id }) => id === "g5")).toHaveLength(1);
    expect((await status()).view.epoch).toBeGreaterThanOrEqual(epoch);
  });

  it("whose pings stop is suspected, then down, up again with the next", async () => {
    expect((await callApi("PUT", "/settings", { heartbeat: { periodMs: 300, missed: 3 } })).status).toBe(200);
    peerAnswers({ settings: { version: 0, heartbeat: map.heartbeat } });
    await until("b", "up");
    const { socket, texts } = await control("g6");
    await until("g6", "up");
    await vi.waitFor(async () => expect(await suspicionOf("g6")).toBe("missed heartbeats"), { timeout: 5_000, interval: 20 });
    expect(await stateOf("g6")).toBe("up");
    await until("g6", "down");
    expect(await lastChangeOf("g6")).toMatchObject({ id: "g6", cause: "missed heartbeats" });
    socket.send("ping");
    await vi.waitFor(() => expect(texts).toContain("pong"));
    await until("g6", "up");
  });
});

describe("a cell that starts", () => {
  it("is joining until its exchanges that run have caught up with their peers", async () => {
    const [replica] = replicas;
    if (replica === undefined) throw new Error("no exchange");
    peerAnswers();
    await until("b", "up");
    await until("a", "up");
    await vi.waitFor(async () => expect((await env.EXCHANGE.getByName(exchangeName(0)).counts()).pair).toBe("together"), {
      timeout: 5_000,
    });
    await putToSleep(0);
    const { promise, resolve } = Promise.withResolvers<void>();
    replica.frozen = promise;
    try {
      await evictDurableObject(group, { webSockets: "close" });
      await until("b", "up");
      expect([await stateOf("a"), (await env.EXCHANGE.getByName(exchangeName(0)).counts()).pair]).toEqual(["joining", "syncing"]);
    } finally {
      replica.frozen = undefined;
      resolve();
    }
    await vi.waitFor(async () => expect(await stateOf("a")).toBe("up"), { timeout: 1_000, interval: 5 });
    expect((await env.EXCHANGE.getByName(exchangeName(0)).counts()).pair).not.toBe("syncing");
    expect(await lastChangeOf("a")).toMatchObject({ from: "joining", to: "up", cause: "ready" });
  });
});

describe("a cell that is taken out of service", () => {
  it("is draining and sends its softphones elsewhere, until it returns", async () => {
    peerAnswers({ settings: { version: 0, heartbeat: map.heartbeat } });
    await until("b", "up");
    const phone = await Softphone.connect("alice", "");
    expect(await put("a", { draining: true })).toEqual([200, { id: "a", draining: true }]);
    expect(await stateOf("a")).toBe("draining");
    expect(await lastChangeOf("a")).toMatchObject({ from: "up", to: "draining", cause: "drained" });
    await vi.waitFor(() => expect(phone.closed?.code).toBe(1012), { timeout: 2_000 });
    await vi.waitFor(async () => expect(await softphonesLeft()).toBe(0), { timeout: 2_000 });
    const refused = await get("/", { upgrade: "websocket", "sec-websocket-protocol": "sip" });
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, expect.stringMatching(/^\d+$/)]);
    // For its next start.
    expect(await runInDurableObject(group, (_instance, state) => new GroupDisk(state.storage).readDraining())).toBe(true);
    expect(await put("a", { draining: false })).toEqual([200, { id: "a", draining: false }]);
    expect(await lastChangeOf("a")).toMatchObject({ from: "draining", to: "up", cause: "returned" });
    expect(await softphonesLeft()).toBeUndefined();
    await vi.waitFor(async () => (await Softphone.connect("alice", "")).socket.close(), { timeout: 1_000 });
  });

  it("stays in service when no other one is up", async () => {
    answerAsPeer(() => Promise.reject(new Error("Network connection lost.")));
    await until("b", "down");
    expect(await put("a", { draining: true })).toEqual([
      409,
      { error: "cell a stays in service: no other cell is up that could take over" },
    ]);
    expect(await stateOf("a")).toBe("up");
  });

  it("may be another one than the one that is asked, which passes it on", async () => {
    const asked: unknown[] = [];
    answerAsPeer(async (request) => {
      if (!request.url.endsWith("/cell/draining")) return Response.json(heartbeatOf());
      asked.push(await request.json());
      return Response.json(asked.length === 1 ? "done" : "last");
    });
    expect(await put("b", { draining: true })).toEqual([200, { id: "b", draining: true }]);
    expect(await put("b", { draining: true })).toMatchObject([409, { error: expect.stringContaining("cell b stays in service") }]);
    expect(asked).toEqual([true, true]);
    answerAsPeer(() => Promise.reject(new Error("Network connection lost.")));
    expect(await put("b", { draining: true })).toEqual([503, { error: "cell b cannot be reached" }]);
  });

  it.each([
    ["z", { draining: true }, 404, "there is no cell z"],
    ["a", {}, 400, 'the body must be {"draining": true}, {"draining": false} or {"weight": N}'],
    ["a", { draining: "yes" }, 400, 'the body must be {"draining": true}, {"draining": false} or {"weight": N}'],
    ["a", { draining: true, weight: 1 }, 400, 'the body must be {"draining": true}, {"draining": false} or {"weight": N}'],
    ["a", { draining: true, force: true }, 400, "force is not known; known here: draining, weight"],
    ["a", null, 400, 'the body must be {"draining": true}, {"draining": false} or {"weight": N}'],
    ["a", { weight: 1_001 }, 400, "weight must be a whole number from 0 to 1000"],
    ["z", { weight: 1 }, 404, "there is no cell z"],
    ["a", { weight: 0 }, 409, "cell a keeps its weight: only cell b would have one"],
  ])("%s %j is refused", async (cell, body, code, error) => {
    expect(await put(cell, body)).toEqual([code, { error }]);
  });

  it("is so by a signed request only", async () => {
    const unsigned = new Request("http://a.invalid/api/cells/a", { method: "PUT", body: '{"draining":true}' });
    expect((await exports.default.fetch(unsigned)).status).toBe(401);
  });
});

describe("settings", () => {
  it("are shown, changed, a new map for gateways, and what the other cells are told; they survive a restart", async () => {
    const got = peerAnswers({ settings: { version: 0, heartbeat: map.heartbeat } });
    await until("b", "up");
    const { texts } = await control("g7");
    const before = await (await callApi("GET", "/settings")).json<{ version: number }>();
    const response = await callApi("PUT", "/settings", { heartbeat: { periodMs: 400, missed: 5 } });
    expect(response.status).toBe(200);
    const after = await response.json<{ version: number }>();
    expect(after).toMatchObject({ heartbeat: { periodMs: 400, missed: 5 } });
    expect(after.version).toBeGreaterThan(before.version);
    await vi.waitFor(() => expect(told(texts, "map").at(-1)).toMatchObject({ type: "map", map: { ...map, ...after } }));
    await vi.waitFor(() => expect(got.at(-1)).toMatchObject({ settings: after }), { timeout: 200 });
    await evictDurableObject(group, { webSockets: "close" });
    expect(await (await callApi("GET", "/settings")).json()).toEqual(after);
    // Another cell's later change rules.
    const later = { version: after.version + 1, heartbeat: { periodMs: 1_000, missed: 3 } };
    await post(heartbeatOf({ settings: later }));
    expect(await (await callApi("GET", "/settings")).json()).toEqual(later);
  });

  it("that an earlier release has kept are found, and a map that is kept since has them where that release looks", async () => {
    const kept = { version: 6, heartbeat: { periodMs: 700, missed: 4 } };
    await runInDurableObject(group, (_, { storage: { sql } }) => {
      sql.exec("delete from settings");
      sql.exec("insert into settings (value) values (?)", JSON.stringify(kept));
    });
    await evictDurableObject(group);
    expect(await (await callApi("GET", "/settings")).json()).toEqual(kept);
    await callApi("PUT", "/settings", { heartbeat: { periodMs: 800, missed: 4 } });
    const row = await runInDurableObject(group, (_, { storage: { sql } }) =>
      sql.exec<{ value: string }>("select value from settings").one(),
    );
    expect(readSettings(JSON.parse(row.value))).toEqual({ version: 7, heartbeat: { periodMs: 800, missed: 4 } });
  });

  it.each([
    [{ heartbeat: { periodMs: 10, missed: 3 } }, "heartbeat.periodMs must be a whole number from 100 to 60000"],
    [{ heartbeat: { periodMs: 1000, missed: 0 } }, "heartbeat.missed must be a whole number from 1 to 20"],
    [{ heartbeat: { periodMs: 1000.5, missed: 3 } }, "heartbeat.periodMs must be a whole number from 100 to 60000"],
    [{ heartbeat: { periodMs: 1000, missed: 3, mised: 4 } }, "heartbeat.mised is not known; known here: periodMs, missed"],
    [{ heartbeat: { periodMs: 1000, missed: 3 }, flushMs: 5 }, "flushMs is not known; known here: heartbeat"],
    [{ heartbeat: 3 }, "heartbeat must be {periodMs, missed}"],
    [{}, "heartbeat must be {periodMs, missed}"],
    [[], "heartbeat must be {periodMs, missed}"],
  ])("%j are refused", async (body, error) => {
    const response = await callApi("PUT", "/settings", body);
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({ error });
  });
});

describe("the map on the disk of a core group", () => {
  it.each([
    [{ ...map, version: 70, writer: "b", exchangeCount: 300_000_000 }, "300000000 exchanges are more than 4096"],
    [{ version: 2 ** 53 - 1, heartbeat: map.heartbeat }, "no version is above 1125899906842624"],
    [{ version: "none" }, "it has not the form of a map"],
    [{ ...map, version: 71, cells: map.cells.map((cell) => ({ ...cell, door: "x" })) }, "it has not the form of a map"],
  ])("is set aside when it is not sound, and that is said once: %#", async (kept, fault) => {
    const said = vi.spyOn(console, "error").mockImplementation(() => {});
    await runInDurableObject(group, (_instance, { storage }) => {
      storage.sql.exec("delete from settings");
      storage.sql.exec("insert into settings (value) values (?)", JSON.stringify(kept));
    });
    await evictDurableObject(group);
    expect((await status()).map.exchangeCount).toBe(map.exchangeCount);
    expect((await status()).map.version).toBeLessThan(70);
    await evictDurableObject(group);
    await status();
    expect(said.mock.calls.map(([line]) => String(line))).toEqual([
      `cell a: the map on its disk is set aside, and the one that was deployed counts: ${fault}`,
    ]);
    await runInDurableObject(group, (_instance, { storage }) => {
      const aside = storage.sql.exec<{ value: string }>("select value from settings_aside").one().value;
      expect(JSON.parse(aside)).toEqual(kept);
    });
  });
});

describe("a hostile heartbeat", () => {
  it("of a gateway is refused, and it is told nothing", async () => {
    peerAnswers();
    await control("g9");
    await until("g9", "up");
    const response = await post(heartbeatOf({ cell: "g9", settings: { version: 40, heartbeat: map.heartbeat }, writer: "g9" }), "g9");
    expect([response.status, await response.json()]).toEqual([403, { error: "g9 is a gateway" }]);
    expect((await status()).map.version).toBe(map.version);
  });

  it("that brings a map with exchanges in no cell of it is answered, and the map stays as it is", async () => {
    peerAnswers();
    await until("b", "up");
    const assignments = Array.from({ length: map.exchangeCount }, () => ({ primary: "zz", secondary: "yy" }));
    const bad = { ...map, version: 51, writer: "b", statedAt: 1, assignments };
    const said = { settings: { version: 51, heartbeat: map.heartbeat }, writer: "b", map: bad };
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    expect((await post(heartbeatOf(said))).status).toBe(200);
    expect((await post(heartbeatOf(said))).status).toBe(200);
    expect((await status()).map).not.toHaveProperty("assignments");
    const lines = warn.mock.calls.map(([line]) => String(line)).filter((line) => line.includes("map 51"));
    expect(lines).toEqual(["cell a: map 51 of cell b is not taken from cell b: exchange 0 is in cell zz, which is not in the map"]);
  });
});
