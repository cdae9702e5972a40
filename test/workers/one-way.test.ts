import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Heartbeat } from "../../cluster/group/heartbeat.ts";
import { protocolVersion, versionHeader } from "../../cluster/protocol-version.ts";
import type { Status } from "../../schemas/api-answers.ts";
import { callCell, CellAnswerError, NotACellError, openCellSocket } from "../../workers/cells.ts";
import { callHeartbeat } from "../../workers/core-group/heartbeat-call.ts";
import { type Environment, coreGroupName } from "../../workers/environment.ts";
import { type RefusalCause, refusalHeader } from "../../workers/refused-signature.ts";
import { checkSignature } from "../../workers/signature.ts";
import { clockHeader } from "../../workers/timely-calls.ts";
import { answerAsPeer, callApi, cloudflareError, map } from "./cell.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

const patience = { timeoutMs: 750, lateMs: 3_000, late: () => {} };
const heartbeat: Heartbeat = {
  cell: "a",
  boot: "1",
  sequence: 1,
  state: "up",
  epoch: 1,
  gateways: [],
  settings: { version: map.version, heartbeat: map.heartbeat },
};

/** The environment of a cell that has a service binding to cell b, and what came over it. */
function boundTo(answer: (request: Request) => Response): { readonly bound: Environment; readonly seen: Request[] } {
  const seen: Request[] = [];
  const fetcher = {
    fetch: (input: RequestInfo | URL, init?: RequestInit) => {
      const request = new Request(input, init);
      seen.push(request);
      return Promise.resolve(answer(request));
    },
  };
  return { bound: { ...env, CELL_B: fetcher as unknown as Fetcher }, seen };
}

async function ofB(): Promise<Status["cells"][number] | undefined> {
  const { cells } = await (await callApi("GET", "/status")).json<Status>();
  return cells.find(({ id }) => id === "b");
}

function beat(environment: Environment): ReturnType<typeof callHeartbeat> {
  return callHeartbeat(environment, map, "b", heartbeat, patience, () => {});
}

describe("what a cell asks of another one", () => {
  it("goes over the service binding where there is one: heartbeats, requests and WebSockets", async () => {
    const { bound, seen } = boundTo((request) => {
      const headers = { [versionHeader]: String(protocolVersion) };
      if (request.url.endsWith("/cell/heartbeat")) return Response.json({ ...heartbeat, cell: "b" }, { headers });
      if (request.headers.get("upgrade") === null) return new Response("true", { headers });
      const { 0: far, 1: near } = new WebSocketPair();
      near.accept();
      return new Response(null, { status: 101, webSocket: far, headers });
    });
    expect(await beat(bound)).toMatchObject({ cell: "b", state: "up" });
    await callCell(bound, map, "b", "/cell/summary?x=1");
    const socket = await openCellSocket(bound, map, "b", "/pair/0", "pair 0", AbortSignal.timeout(10_000));
    socket.accept();
    socket.close();
    const [first, second] = seen;
    expect(seen.map(({ method, url }) => `${method} ${url}`)).toEqual([
      // No name of the account's: Cloudflare is reported to refuse that over a binding as well.
      "POST https://cell.invalid/cell/heartbeat",
      "GET https://cell.invalid/cell/summary?x=1",
      "GET https://cell.invalid/pair/0",
    ]);
    for (const [request, method, path] of [
      [first, "POST", "/cell/heartbeat"],
      [second, "GET", "/cell/summary?x=1"],
    ] as const) {
      const received = { purpose: "cell", to: "b", method, path };
      const signature = request?.headers.get("authorization") ?? "";
      expect(checkSignature(signature, env.TANDEM_SECRET, received, Date.now())).toMatchObject({ who: "a" });
    }
  });

  it("that is read 36 s later, and refused for its age, finds the cell slow: no signature is bad, and no clock is off", async () => {
    let passedMs = 0;
    const clock = Date.now.bind(Date);
    vi.spyOn(Date, "now").mockImplementation(() => clock() + passedMs);
    const { bound } = boundTo(() => {
      passedMs = 36_000;
      const headers = { [versionHeader]: String(protocolVersion), [clockHeader]: String(Date.now()), [refusalHeader]: "old" };
      return new Response(null, { status: 401, headers });
    });
    const causes: RefusalCause[] = [];
    const outcome = await callHeartbeat(bound, map, "b", heartbeat, patience, (cause) => causes.push(cause));
    expect(outcome).toEqual({ failure: "slow" });
    expect(causes).toMatchObject([{ type: "slow" }]);
  });

  it("goes to its URL where there is none", async () => {
    const urls: string[] = [];
    answerAsPeer((request) => {
      urls.push(request.url);
      return Promise.resolve(Response.json({ ...heartbeat, cell: "b" }));
    });
    expect(await beat(env)).toMatchObject({ cell: "b" });
    expect(urls).toContain(`${map.cells[1]?.url ?? ""}/cell/heartbeat`);
  });
});

describe("what is no cell, and answers in the place of one", () => {
  it.each([
    [404, 1042, /^Cloudflare answers in its place, error 1042: .*global_fetch_strictly_public, or with binding CELL_B$/],
    [429, 1015, /error 1015: its account has more requests than it may/],
    [429, 1027, /error 1027: .* free plan .* until midnight UTC$/],
    [500, 1101, /error 1101: its Worker threw an exception/],
    [503, 1102, /error 1102: its Worker has exceeded/],
    [530, 1016, /error 1016: its name leads nowhere$/],
    [403, 1999, /error 1999: see its list/],
  ])("is named for what it is: status %i with error code %i", async (status, code, text) => {
    answerAsPeer(() => Promise.resolve(cloudflareError(status, code)));
    expect(await beat(env)).toEqual({ failure: "not a cell", text: expect.stringMatching(text) as unknown });
    const asked = callCell(env, map, "b", "/cell/summary");
    await expect(asked).rejects.toThrow(NotACellError);
    await expect(asked).rejects.not.toThrow(CellAnswerError);
  });

  it.each([200, 302, 403])("is a web page with status %i, as a login or a challenge in front of it has", async (status) => {
    const headers = { "cf-ray": "0", "content-type": "text/html; charset=utf-8" };
    answerAsPeer(() => Promise.resolve(new Response("<!doctype html>", { status, headers })));
    expect(await beat(env)).toEqual({
      failure: "not a cell",
      text: expect.stringContaining(`a web page came in its place, with status ${status}`),
    });
  });

  it("is not read further than it takes to know it", async () => {
    let pulled = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        pulled += 1;
        controller.enqueue(new TextEncoder().encode("x".repeat(1_000)));
        if (pulled > 10_000) controller.close();
      },
    });
    answerAsPeer(() => Promise.resolve(new Response(endless, { status: 404, headers: { "cf-ray": "0" } })));
    // Who says no version is of the first one.
    expect(await beat(env)).toMatchObject({ failure: "another version" });
    expect(pulled).toBeLessThan(100);
  });

  it("is in the status of the cell that asked, for as long as it is so", async () => {
    answerAsPeer(() => Promise.resolve(cloudflareError(404, 1042)));
    await env.CORE_GROUP.getByName(coreGroupName).wake();
    await vi.waitFor(
      async () => expect(await ofB()).toMatchObject({ state: "down", hindrance: expect.stringContaining("error 1042") as unknown }),
      { timeout: 20_000, interval: 100 },
    );
    answerAsPeer(() => Promise.resolve(Response.json({ error: "cell b serves nobody: the secret is missing" }, { status: 503 })));
    await vi.waitFor(async () => expect((await ofB())?.hindrance).toBe("it answers 503: cell b serves nobody: the secret is missing"), {
      timeout: 20_000,
      interval: 100,
    });
    let sequence = 0;
    answerAsPeer(({ url }) => {
      if (!url.endsWith("/cell/heartbeat")) return Promise.reject(new Error("connection refused"));
      sequence += 1;
      return Promise.resolve(Response.json({ ...heartbeat, cell: "b", boot: "b2", sequence }));
    });
    await vi.waitFor(
      async () => {
        const b = await ofB();
        expect([b?.state, b?.hindrance]).toEqual(["up", undefined]);
      },
      { timeout: 20_000, interval: 100 },
    );
  });
});
