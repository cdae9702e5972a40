import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { apiRoutes } from "../../schemas/api-routes.ts";
import app from "../../workers/index.ts";
import { subscribersPerRequestMax } from "../../schemas/limits.ts";
import { exchangeOf } from "../../cluster/map/cluster-map.ts";
import { exchangeName } from "../../workers/environment.ts";
import { ExchangeObject } from "../../workers/exchange/exchange-object.ts";
import { answerAsPeer, callApi, domain, loopback, map, subscriberOf, userOf } from "./cell.ts";

async function errorOf(response: Response): Promise<{ readonly status: number; readonly error: string }> {
  return { status: response.status, error: (await response.json<{ error: string }>()).error };
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe("routes below /api", () => {
  it.each([
    ["DELETE", "/settings"],
    ["GET", "/cells/a/drain"],
    ["POST", "/nothing"],
  ])("answer %s %s 404: a signature is not used up on the way", async (method, path) => {
    expect(await errorOf(await callApi(method, path))).toEqual({ status: 404, error: `${method} /api${path}: there is nothing here` });
  });
});

describe("/api/subscribers", () => {
  it("stores a list over all exchanges, shows it sorted, and removes one", async () => {
    answerAsPeer(loopback);
    const users = [0, 1, 2, 3].map((exchange) => userOf("list", exchange));
    const put = await callApi(
      "PUT",
      "/subscribers",
      users.map((user) => subscriberOf(user, "secret")),
    );
    expect(await put.json()).toEqual({ stored: 4, changed: 0 });
    const [known = ""] = users;
    const again = await callApi("PUT", "/subscribers", [subscriberOf(known, "other"), subscriberOf(userOf("listed", 2), "secret")]);
    expect(await again.json()).toEqual({ stored: 2, changed: 1 });
    expect((await callApi("DELETE", `/subscribers?aor=${userOf("listed", 2)}@${domain}`)).status).toBe(200);
    const sorted = users.map((user) => `${user}@${domain}`).toSorted();
    expect(await (await callApi("GET", "/subscribers")).json()).toEqual(sorted);

    const [first = ""] = sorted;
    expect((await callApi("DELETE", `/subscribers?aor=${first}`)).status).toBe(200);
    expect(await (await callApi("GET", "/subscribers")).json()).toEqual(sorted.slice(1));
    expect(await errorOf(await callApi("DELETE", `/subscribers?aor=${first}`))).toEqual({
      status: 404,
      error: `${first} is no subscriber`,
    });
  });

  it("puts a subscriber where the address-of-record's exchange is, in its canonical form", async () => {
    const user = userOf("canon");
    const subscriber = { ...subscriberOf(user, "secret"), aor: `sip:%${user.charCodeAt(0).toString(16)}${user.slice(1)}@EXAMPLE.test` };
    expect((await callApi("PUT", "/subscribers", [subscriber])).status).toBe(200);
    const exchange = exchangeOf(map, `${user}@${domain}`);
    expect(await env.EXCHANGE.getByName(exchangeName(exchange)).subscribers()).toContain(`${user}@${domain}`);
  });

  it("says which exchange cannot be reached: neither of its replicas", async () => {
    vi.spyOn(ExchangeObject.prototype, "putSubscribers").mockRejectedValueOnce(new Error("overloaded"));
    const response = await callApi("PUT", "/subscribers", [subscriberOf(userOf("far", 1), "secret")]);
    expect(await errorOf(response)).toEqual({ status: 503, error: "exchange 1 cannot be reached" });
  });

  it.each<[string, unknown, string]>([
    ["no list", {}, "the body must be a JSON array of {aor, ha1Md5, ha1Sha256, ha1bMd5, ha1bSha256}"],
    ["no subscriber", [7], "subscriber 1: not an object"],
    ["no address", [{}], "subscriber 1: aor is missing"],
    ["no user", [{ ...subscriberOf("a", "b"), aor: domain }], `subscriber 1: "${domain}" is no address-of-record, write user@domain`],
    [
      "another's domain",
      [subscriberOf("a", "b"), { ...subscriberOf("a", "b"), aor: "a@example.org" }],
      "subscriber 2: example.org is none of our domains",
    ],
    ["a password", [{ aor: `a@${domain}`, ha1Md5: "secret", ha1Sha256: "secret" }], "subscriber 1: ha1Md5 must be 32 hex digits"],
    ["a short hash", [{ ...subscriberOf("a", "b"), ha1Sha256: "ab" }], "subscriber 1: ha1Sha256 must be 64 hex digits"],
    ["no second MD5", [{ ...subscriberOf("a", "b"), ha1bMd5: "garbage" }], "subscriber 1: ha1bMd5 must be 32 hex digits"],
    ["no second SHA-256", [{ ...subscriberOf("a", "b"), ha1bSha256: null }], "subscriber 1: ha1bSha256 must be 64 hex digits"],
    [
      "a field that is not known",
      [subscriberOf("a", "b"), { ...subscriberOf("a", "b"), password: "b" }],
      "subscriber 2: password is not known; known here: aor, ha1Md5, ha1Sha256, ha1bMd5, ha1bSha256",
    ],
    ["no object", [subscriberOf("a", "b"), 7], "subscriber 2: not an object"],
    ["a long name", [{ ...subscriberOf("a", "b"), aor: `${"a".repeat(65)}@${domain}` }], "subscriber 1: a username has at most 64 octets"],
    [
      "too many",
      Array.from({ length: subscribersPerRequestMax + 1 }, () => 0),
      `at most ${subscribersPerRequestMax} subscribers in one request`,
    ],
  ])("refuses %s and stores nothing", async (_name, body, error) => {
    expect(await errorOf(await callApi("PUT", "/subscribers", body))).toEqual({ status: 400, error });
  });
});

describe("docs/api.md", () => {
  it("has every route that there is, and no other", () => {
    const served = app.routes.filter(({ method, path }) => method !== "ALL" && path.startsWith("/api/"));
    const known = apiRoutes.map(({ method, path }) => `${method} ${path}`);
    expect(new Set(served.map(({ method, path }) => `${method} ${path}`))).toEqual(new Set(known));
  });
});

describe("/api/registrations", () => {
  it("refuses what is no address-of-record", async () => {
    expect(await errorOf(await callApi("GET", "/registrations?aor=nobody"))).toEqual({
      status: 400,
      error: `"nobody" is no address-of-record, write user@domain`,
    });
  });

  it("is empty where nobody is registered, over all cells", async () => {
    answerAsPeer(loopback);
    const response = await callApi("GET", "/registrations");
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(await response.json()).toEqual([]);
  });

  it("asks the other replicas when those of this cell do not answer", async () => {
    vi.spyOn(ExchangeObject.prototype, "registrations").mockRejectedValueOnce(new Error("overloaded"));
    const asked: string[] = [];
    answerAsPeer((request) => {
      asked.push(new URL(request.url).pathname);
      return loopback(request);
    });
    expect(await (await callApi("GET", "/registrations")).json()).toEqual([]);
    expect(asked).toEqual(["/cell/registrations"]);
  });

  it("asks each exchange once, and no other cell when all have a replica here", async () => {
    const asked = vi.spyOn(ExchangeObject.prototype, "registrations");
    asked.mockClear();
    expect((await callApi("GET", "/registrations")).status).toBe(200);
    expect(asked).toHaveBeenCalledTimes(map.exchangeCount);
  });
});
