import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Status } from "../../workers/api/status.ts";
import { loadBalanceOf } from "../../workers/api/status.ts";
import { coreGroupName, exchangeName } from "../../workers/environment.ts";
import { addSubscriber, answerAsPeer, callApi, domain, map, putToSleep, signature, upgrade, userOf } from "./cell.ts";
import { Softphone } from "./softphone.ts";

const group = env.CORE_GROUP.getByName(coreGroupName);
const sockets: WebSocket[] = [];

async function control(gateway: string): Promise<{ readonly socket: WebSocket; readonly texts: string[] }> {
  const { webSocket } = await upgrade("/control", { authorization: signature("control", gateway) });
  if (webSocket === null) throw new Error("no control socket");
  const texts: string[] = [];
  webSocket.addEventListener("message", ({ data }) => {
    texts.push(String(data));
  });
  webSocket.accept();
  sockets.push(webSocket);
  return { socket: webSocket, texts };
}

async function status(): Promise<Status> {
  const response = await callApi("GET", "/status");
  expect(response.status).toBe(200);
  return await response.json();
}

function stateOf(answer: Status, gateway: string): string | undefined {
  return answer.gateways.find(({ id }) => id === gateway)?.state;
}

afterEach(() => {
  vi.useRealTimers();
  for (const socket of sockets.splice(0)) socket.close();
});

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

describe("a control socket", () => {
  it("gets the cluster map first", async () => {
    const { texts } = await control("g1");
    await vi.waitFor(() => expect(texts).toHaveLength(1));
    expect(JSON.parse(texts[0] ?? "")).toEqual({ type: "map", map });
  });

  it("is answered its pings while the group sleeps, and what it says harms nobody", async () => {
    const { socket, texts } = await control("g1");
    socket.send("no JSON");
    await vi.waitFor(() => expect(texts).toHaveLength(1));
    await evictDurableObject(group, { webSockets: "hibernate" });
    socket.send("ping");
    await vi.waitFor(() => expect(texts.at(-1)).toBe("pong"));
    await expect(evictDurableObject(group)).rejects.toThrow("it is not currently running");
    expect(stateOf(await status(), "g1")).toBe("up");
  });

  it("makes its gateway up, suspect and down as its pings come late, and up again", async () => {
    const { socket, texts } = await control("g5");
    const { periodMs, missed } = map.heartbeat;
    const connectedAt = Date.now();
    vi.useFakeTimers({ toFake: ["Date"], now: connectedAt });
    for (const [silentMs, expected] of [
      [periodMs, "up"],
      [2 * periodMs + 100, "suspect"],
      [missed * periodMs, "suspect"],
      [(missed + 1) * periodMs + 100, "down"],
    ] as const) {
      vi.setSystemTime(connectedAt + silentMs);
      const { gateways } = await runInDurableObject(group, (instance) => instance.view());
      expect([silentMs, gateways.find(({ id }) => id === "g5")?.state]).toEqual([silentMs, expected]);
    }
    vi.useRealTimers();
    socket.send("ping");
    await vi.waitFor(() => expect(texts.at(-1)).toBe("pong"));
    expect(stateOf(await status(), "g5")).toBe("up");
  });

  it("leaves its gateway down when it closes; both are changes of the view, and are counted on disk", async () => {
    const before = await group.view();
    const { socket } = await control("g6");
    expect(stateOf(await status(), "g6")).toBe("up");
    socket.close();
    await vi.waitFor(async () => expect(stateOf(await status(), "g6")).toBe("down"));
    await evictDurableObject(group, { webSockets: "close" });
    expect((await group.view()).epoch).toBeGreaterThanOrEqual(before.epoch + 2);
  });

  it("is replaced by a newer one of the same gateway, without a change of the view", async () => {
    const first = await control("g7");
    const { epoch } = await group.view();
    const closed = new Promise<number>((resolve) =>
      first.socket.addEventListener("close", ({ code }) => {
        resolve(code);
      }),
    );
    await control("g7");
    expect(await closed).toBe(4001);
    expect(stateOf(await status(), "g7")).toBe("up");
    expect((await group.view()).epoch).toBe(epoch);
  });
});

describe("/api/status", () => {
  it("tells the truth of a cell that does not answer", async () => {
    const answer = await status();
    expect(answer.cells).toEqual([
      { id: "a", state: "up", epoch: expect.any(Number) },
      { id: "b", state: "down", epoch: 0 },
    ]);
    expect(answer.coordinator).toBe("a");
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

  it("asks the other cell for its share", async () => {
    const asked: string[] = [];
    answerAsPeer(async (request) => {
      asked.push(new URL(request.url).pathname);
      const response = await exports.default.fetch(request);
      return Response.json({ ...(await response.json<object>()), cell: "b", epoch: 7 });
    });
    const answer = await status();
    expect(asked).toEqual(["/cell/summary"]);
    expect(answer.cells[1]).toEqual({ id: "b", state: "up", epoch: 7 });
  });
});

describe("10 000 registrations", () => {
  it("are listed and counted fast", async () => {
    const exchange = env.EXCHANGE.getByName(exchangeName(0));
    const users = 10_000;
    await runInDurableObject(exchange, (_instance, state) => {
      const now = Date.now();
      state.storage.transactionSync(() => {
        for (let user = 0; user < users; user += 1) {
          const aor = `many${user}@${domain}`;
          const version = `${now.toString(36).padStart(9, "0")}${user.toString(36).padStart(4, "0")}a`;
          const value = {
            addressOfRecord: aor,
            contact: `sip:many${user}@198.51.100.7:5060`,
            parameters: "",
            callId: `call-${user}`,
            cSeq: 1,
            registeredAt: now,
            expiresAt: now + 600_000,
            instanceId: "",
            regId: 0,
            flow: "g1~u0..c633640713c4",
            transport: "UDP",
            received: "198.51.100.7:5060",
            userAgent: "phone 1.0",
            path: [],
          };
          const key = `${aor} ${value.contact}`;
          const json = JSON.stringify({ kind: "binding", key, version, value });
          state.storage.sql.exec("insert into records (kind, key, json) values ('binding', ?, ?)", key, json);
        }
      });
    });
    await putToSleep(0);
    const readAt = performance.now();
    expect((await exchange.counts()).registrations).toBe(users);
    const listAt = performance.now();
    const list = await (await callApi("GET", "/registrations")).json<unknown[]>();
    const doneAt = performance.now();
    expect(list).toHaveLength(users);
    // This runtime with its debugger is 20 times slower than a plain one, and the machine may be busy: bounds against the order of growth.
    expect(listAt - readAt).toBeLessThan(5_000);
    expect(doneAt - listAt).toBeLessThan(5_000);
  }, 30_000);
});
