import { env, exports } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Group } from "../../schemas/api-answers.ts";
import { coreGroupName } from "../../workers/environment.ts";
import { CoreGroupObject } from "../../workers/core-group/core-group-object.ts";
import { answerAsPeer, callApi, get, map, ourVersion, signature } from "./cell.ts";

async function group(): Promise<Group> {
  const response = await callApi("GET", "/group");
  expect(response.status).toBe(200);
  return await response.json();
}

async function prefer(body: unknown): Promise<[status: number, answer: unknown]> {
  const response = await callApi("PUT", "/group", body);
  return [response.status, await response.json()];
}

describe("/api/group", () => {
  it("shows members, services and exchanges of a cell that is alone", async () => {
    await vi.waitFor(async () => expect((await group()).members[1]?.state).toBe("down"));
    const answer = await group();
    expect(answer).toMatchObject({ coordinator: "a", map: { version: map.version, writer: "" }, preferred: [] });
    expect(answer.members).toMatchObject([
      { id: "a", kind: "cell", state: "up", weight: 1 },
      { id: "b", kind: "cell", state: "down", weight: 1 },
    ]);
    expect(answer.singletons).toEqual([
      {
        name: "call-records",
        policy: "one of N",
        owner: "a",
        epoch: map.version,
        writer: "",
        members: [
          { id: "a", state: "active" },
          { id: "b", state: "down" },
        ],
      },
    ]);
    expect(answer.exchanges.map(({ state }) => state)).toEqual(Array.from({ length: map.exchangeCount }, () => "single"));
  });

  it("takes who is to coordinate, and refuses what it does not know", async () => {
    expect(await prefer({ preferred: ["z"] })).toEqual([404, { error: "there is no cell z" }]);
    expect(await prefer({ preferred: "b" })).toEqual([400, { error: "preferred must be a list" }]);
    for (const body of [[], {}, null]) expect(await prefer(body)).toEqual([400, { error: expect.stringMatching(/^the body must be/) }]);
    expect(await prefer({ preferred: ["b"] })).toEqual([200, { preferred: ["b"], healAfterMs: 30_000 }]);
    expect(await group()).toMatchObject({ coordinator: "a", preferred: ["b"], map: { writer: "a" } });
    expect(await prefer({ preferred: [], healAfterMs: 5_000 })).toEqual([200, { preferred: [], healAfterMs: 5_000 }]);
    expect(await prefer({ healAfterMs: 999 })).toEqual([400, { error: "healAfterMs must be a whole number from 1000 to 86400000" }]);
    expect(await group()).toMatchObject({ preferred: [], healAfterMs: 5_000 });
  });

  it("is told by another cell, signed by it, where this one is the coordinator", async () => {
    const body = new TextEncoder().encode(JSON.stringify({ preferred: ["b", "a"] }));
    const path = "/cell/group";
    const told = (purpose: string): Promise<Response> =>
      exports.default.fetch(
        new Request(`http://a.invalid${path}`, {
          method: "POST",
          headers: { ...ourVersion, authorization: signature(purpose, "b", `POST ${path}`, body) },
          body,
        }),
      );
    expect((await told("api")).status).toBe(401);
    expect((await told("cell")).status).toBe(200);
    expect((await get("/api/group")).status).toBe(401);
    const { map: newest } = await env.CORE_GROUP.getByName(coreGroupName).status();
    expect(newest.preferred).toEqual(["b", "a"]);
  });
});

/** This cell sees that b is up, and before itself. */
function bCoordinates(answer: (path: string) => Promise<Response>): string[] {
  const asked: string[] = [];
  answerAsPeer(async (request) => {
    const { pathname } = new URL(request.url);
    asked.push(pathname);
    return await answer(pathname);
  });
  vi.spyOn(CoreGroupObject.prototype, "status").mockReturnValue({ view: { coordinator: "b" }, map } as unknown as ReturnType<
    CoreGroupObject["status"]
  >);
  return asked;
}

describe("/api/settings", () => {
  const wanted = { heartbeat: { periodMs: 700, missed: 4 } };

  async function put(): Promise<[status: number, answer: unknown]> {
    const response = await callApi("PUT", "/settings", wanted);
    return [response.status, await response.json()];
  }

  afterEach(() => {
    vi.restoreAllMocks();
  });

  it("are written by the coordinator, whichever cell takes them", async () => {
    const asked = bCoordinates(() => Promise.resolve(Response.json({ version: 70, ...wanted })));
    expect(await put()).toEqual([200, { version: 70, ...wanted }]);
    expect(asked).toContain("/cell/settings");
  });

  it("are written here where the coordinator is of an earlier release, and by nobody while it cannot be reached", async () => {
    bCoordinates(() => Promise.resolve(new Response("404 Not Found", { status: 404 })));
    expect(await put()).toEqual([200, { version: expect.any(Number) as number, ...wanted }]);
    bCoordinates(() => Promise.reject(new Error("Network connection lost.")));
    expect(await put()).toEqual([503, { error: "cell b, the coordinator, cannot be reached" }]);
  });

  it("come from another cell, signed by it", async () => {
    const path = "/cell/settings";
    const body = new TextEncoder().encode(JSON.stringify(wanted));
    const headers = { ...ourVersion, authorization: signature("cell", "b", `POST ${path}`, body) };
    const response = await exports.default.fetch(new Request(`http://a.invalid${path}`, { method: "POST", headers, body }));
    expect([response.status, await response.json()]).toEqual([200, { version: expect.any(Number) as number, ...wanted }]);
    const { map: newest } = await env.CORE_GROUP.getByName(coreGroupName).status();
    expect(newest.heartbeat).toEqual(wanted.heartbeat);
  });
});
