import { env, exports } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { otherVersionStatus, protocolVersion, versionHeader } from "../../cluster/protocol-version.ts";
import { callCell, openCellSocket, OtherVersionError } from "../../workers/cells.ts";
import { otherVersionsSaidMax, otherVersionsSaidMs } from "../../workers/limits.ts";
import { VersionRefusals } from "../../workers/core-group/version-refusals.ts";
import { coreGroupName } from "../../workers/environment.ts";
import { answerAsPeer, callApi, get, map, ourVersion, signature, upgrade } from "./cell.ts";

const before = protocolVersion - 1;
const ahead = protocolVersion + 1;

/** What a part of that version says; the one before the first that said it says nothing. */
function saying(version: number): Record<string, string> {
  return version === 1 ? {} : { [versionHeader]: String(version) };
}

function request(method: string, path: string, headers: Record<string, string>): Promise<Response> {
  return exports.default.fetch(new Request(`http://a.invalid${path}`, { method, headers }));
}

afterEach(() => {
  vi.restoreAllMocks();
});

const doors: readonly [method: string, path: string, purpose: string, who: string][] = [
  ["GET", "/backhaul/0", "backhaul 0", "g7"],
  ["GET", "/control", "control", "g7"],
  ["GET", "/pair/0", "pair 0", "b"],
  ["GET", "/line/0?access=b.0", "line 0", "b"],
  ["POST", "/cell/heartbeat", "cell", "b"],
  ["POST", "/cell/pair/0", "cell", "b"],
  ["POST", "/cell/exchange/0?access=b.0&until=", "cell", "b"],
  ["POST", "/cell/line/0?until=", "cell", "b"],
  ["POST", "/cell/credentials/0", "cell", "b"],
  ["POST", "/cell/flows/0", "cell", "b"],
  ["GET", "/cell/summary", "cell", "b"],
  ["GET", "/cell/digest/0", "cell", "b"],
  ["POST", "/cell/draining", "cell", "b"],
];

describe("a door for parts of the system", () => {
  it.each(doors)(
    "%s %s refuses the version before and the one to come, with a line that names both",
    async (method, path, purpose, who) => {
      for (const theirs of [before, ahead]) {
        const headers = {
          authorization: signature(purpose, who, `${method} ${path}`),
          ...(method === "GET" ? { upgrade: "websocket" } : {}),
          ...saying(theirs),
        };
        const response = await request(method, path, headers);
        expect(response.status).toBe(otherVersionStatus);
        expect(response.webSocket).toBeNull();
        expect(response.headers.get(versionHeader)).toBe(String(protocolVersion));
        const older = theirs < protocolVersion ? who : "cell a";
        expect(await response.json()).toEqual({
          error: `${who} speaks version ${theirs} of the protocol, cell a version ${protocolVersion}: upgrade ${older}; until then neither uses the other`,
        });
      }
    },
  );

  it.each(doors)("%s %s opens to ours", async (method, path, purpose, who) => {
    const headers = {
      ...ourVersion,
      authorization: signature(purpose, who, `${method} ${path}`),
      ...(method === "GET" ? { upgrade: "websocket" } : {}),
    };
    const response = await request(method, path, headers);
    expect(response.status).not.toBe(otherVersionStatus);
    response.webSocket?.accept();
    response.webSocket?.close(1000);
    await response.body?.cancel();
  });

  it("says our version when it opens, also to an upgrade: the other side may be the one that is to refuse", async () => {
    const response = await upgrade("/control", { authorization: signature("control", "g7", "GET /control") });
    expect([response.status, response.headers.get(versionHeader)]).toEqual([101, String(protocolVersion)]);
    response.webSocket?.accept();
    response.webSocket?.close(1000);
    const summary = await get("/cell/summary", { authorization: signature("cell", "b", "GET /cell/summary") });
    expect([summary.status, summary.headers.get(versionHeader)]).toEqual([200, String(protocolVersion)]);
    expect((await callApi("GET", "/status")).headers.get(versionHeader)).toBe(String(protocolVersion));
  });

  it("refuses who signs nothing for that, whatever version it says", async () => {
    for (const [method, path] of doors) expect((await request(method, path, saying(ahead))).status).toBe(401);
  });

  it("is said once of a gateway, not with each of its tries", async () => {
    const warned = vi.spyOn(console, "warn").mockImplementation(() => {});
    for (let tries = 0; tries < 5; tries += 1) {
      for (const path of ["/control", "/backhaul/0", "/backhaul/1"]) {
        await request("GET", path, {
          authorization: signature("control", "g-old", `GET ${path}`),
          upgrade: "websocket",
          ...saying(before),
        });
      }
    }
    const group = env.CORE_GROUP.getByName(coreGroupName);
    await group.otherVersionRefused("g-old", before);
    const lines = warned.mock.calls.map(([line]) => String(line)).filter((line) => line.includes("g-old"));
    expect(lines).toEqual([
      `cell a: refused: g-old speaks version ${before} of the protocol, cell a version ${protocolVersion}: upgrade g-old; until then neither uses the other`,
    ]);
  });
});

async function ask(headers: Record<string, string>): Promise<Response> {
  return await request("GET", "/api/status", { authorization: signature("api", "cli", "GET /api/status"), ...headers });
}

describe("the API", () => {
  it.each([before, ahead])("refuses a command of version %i, with a line that names both, before it does anything", async (theirs) => {
    const response = await ask({ [versionHeader]: String(theirs) });
    expect([response.status, response.headers.get(versionHeader)]).toEqual([otherVersionStatus, String(protocolVersion)]);
    const older = theirs < protocolVersion ? "cli" : "cell a";
    expect(await response.json()).toEqual({
      error: `cli speaks version ${theirs} of the protocol, cell a version ${protocolVersion}: upgrade ${older}; until then neither uses the other`,
    });
  });

  it.each([{}, ourVersion])("answers who says no version, and who says ours, and says ours: %j", async (headers) => {
    const response = await ask(headers);
    expect([response.status, response.headers.get(versionHeader)]).toEqual([200, String(protocolVersion)]);
    await response.body?.cancel();
  });
});

describe("what is said of parts of another version", () => {
  it("is bounded, however many names somebody invents, and begins anew after an hour", () => {
    const refusals = new VersionRefusals();
    const said = (now: number): number =>
      Array.from({ length: 1_000 }, (_, index) => refusals.isNews(`g${index}`, 1, now)).filter(Boolean).length;
    expect(said(1_000_000)).toBe(0 + otherVersionsSaidMax);
    expect(said(1_000_000 + otherVersionsSaidMs / 2)).toBe(0);
    expect(said(1_000_000 + 2 * otherVersionsSaidMs)).toBe(otherVersionsSaidMax);
  });
});

describe("a cell of another version", () => {
  it.each([before, ahead])("is not used: its answers count for nothing (version %i)", async (theirs) => {
    answerAsPeer(() => Promise.resolve(new Response("true", { headers: { [versionHeader]: String(theirs) } })));
    const asked = callCell(env, map, "b", "/cell/summary");
    await expect(asked).rejects.toThrow(OtherVersionError);
    await expect(asked).rejects.toThrow(`cell b speaks version ${theirs} of the protocol, cell a version ${protocolVersion}`);
  });

  it("opens no WebSocket that would be used", async () => {
    answerAsPeer(() => {
      const { 0: far, 1: near } = new WebSocketPair();
      near.accept();
      return Promise.resolve(new Response(null, { status: 101, webSocket: far, headers: { [versionHeader]: String(ahead) } }));
    });
    await expect(openCellSocket(env, map, "b", "/pair/0", "pair 0", AbortSignal.timeout(1_000))).rejects.toThrow(OtherVersionError);
  });

  it.each([before, ahead])("is down in the view, and the history says why, once (version %i)", async (theirs) => {
    answerAsPeer(() => Promise.resolve(new Response("", { status: 401, headers: { [versionHeader]: String(theirs) } })));
    const changes = async (): Promise<unknown[]> => {
      const { history } = await (await callApi("GET", "/status")).json<{ history: { id: string; cause: string; detail: string }[] }>();
      return history.filter(
        ({ id, cause, detail }) => id === "b" && cause === "another version" && detail.includes(`version ${theirs} of`),
      );
    };
    await vi.waitFor(async () => expect(await changes()).toHaveLength(1), { timeout: 3_000 });
    await env.CORE_GROUP.getByName(coreGroupName).suspect("b", "connection refused");
    await env.CORE_GROUP.getByName(coreGroupName).wake();
    expect(await changes()).toHaveLength(1);
  });
});
