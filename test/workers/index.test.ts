import { env, exports } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import { encodeFrame } from "../../cluster/backhaul/frame.ts";
import { retryAfterSeconds } from "../../sip/limits.ts";
import type { Environment } from "../../workers/environment.ts";
import cell from "../../workers/index.ts";
import { callApi, get, ourVersion, signature, upgrade } from "./cell.ts";

const wrong = { authorization: `Tandem2 g1 a ${Date.now()} 0123456789ab - ${"0".repeat(64)}` };

describe("the cell's URL", () => {
  it("says what answers there", async () => {
    const response = await get("/");
    expect(response.status).toBe(200);
    expect(await response.text()).toMatch(/^Tandem, .*cell a/);
  });

  it("[RFC7118 4] takes a WebSocket with subprotocol sip and names it", async () => {
    const response = await upgrade("/", { "sec-websocket-protocol": "xmpp, sip" });
    expect(response.status).toBe(101);
    expect(response.headers.get("sec-websocket-protocol")).toBe("sip");
    response.webSocket?.accept();
    response.webSocket?.close();
  });

  it.each([{}, { "sec-websocket-protocol": "xmpp" }])("[RFC7118 4] refuses a WebSocket without it: %j", async (headers) => {
    const response = await upgrade("/", headers);
    expect(response.status).toBe(400);
    expect(await response.text()).toContain("subprotocol sip");
  });

  it("[RFC9110 15.6.4] answers 503 with Retry-After, and says why, when the line of a softphone cannot start", async () => {
    const said = vi.spyOn(console, "warn").mockImplementation(() => {});
    const broken = { getByName: () => ({ fetch: () => Promise.reject(new Error("internal error")) }) };
    const request = new Request("http://a.invalid/", { headers: { upgrade: "websocket", "sec-websocket-protocol": "sip" } });
    const response = await cell.fetch(request, { ...env, LINE: broken as unknown as Environment["LINE"] });
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, String(retryAfterSeconds)]);
    expect(said.mock.calls).toEqual([[expect.stringMatching(/^line \d does not take a softphone: internal error$/)]]);
    said.mockRestore();
  });

  it("answers what it does not know with a line of JSON", async () => {
    const response = await get("/nothing");
    expect(response.status).toBe(404);
    expect(await response.json()).toEqual({ error: "GET /nothing: there is nothing here" });
  });
});

describe("requests without a right signature", () => {
  it.each(["/backhaul/0", "/control"])("do not open %s", async (path) => {
    for (const headers of [
      {},
      wrong,
      ...["api", "backhaul 1"].map((purpose) => ({ authorization: signature(purpose, "g1", `GET ${path}`) })),
    ]) {
      const response = await upgrade(path, headers);
      expect(response.status).toBe(401);
      expect(response.webSocket).toBeNull();
      expect(await response.json()).toEqual({ error: "the signature is missing or wrong" });
    }
  });

  it.each(["/api/status", "/api/registrations", "/api/subscribers", "/cell/summary", "/cell/registrations?exchanges=0"])(
    "are not answered at %s",
    async (path) => {
      for (const headers of [{}, wrong, { authorization: signature("control", "g1", `GET ${path}`) }]) {
        expect((await get(path, headers)).status).toBe(401);
      }
    },
  );

  it("change nothing", async () => {
    const response = await get("/api/subscribers", { authorization: signature("api", "cli", "GET /api/subscribers", new Uint8Array([1])) });
    expect(response.status).toBe(401);
  });
});

describe("paths that name a number", () => {
  it("do not know an exchange beyond the map", async () => {
    const response = await upgrade("/backhaul/99", { authorization: signature("backhaul 99", "g1", "GET /backhaul/99") });
    expect(response.status).toBe(404);
    expect(await response.json()).toEqual({ error: "there is no exchange 99" });
  });

  it("want an upgrade for a WebSocket", async () => {
    const response = await get("/backhaul/0", { authorization: signature("backhaul 0", "g1", "GET /backhaul/0") });
    expect(response.status).toBe(426);
  });
});

it("says that a body is too long, to who may send one", async () => {
  const response = await callApi("PUT", "/subscribers", "x".repeat(9 * 1024 * 1024));
  expect(response.status).toBe(413);
});

/** Begins a request whose body does not come. */
function putSlowly(authorization: string): Promise<Response> {
  const { readable } = new TransformStream<Uint8Array, Uint8Array>();
  const request = new Request("http://a.invalid/api/subscribers", { method: "PUT", headers: { authorization }, body: readable });
  return exports.default.fetch(request);
}

describe("a body", () => {
  it("of who did not sign it is not read: the answer comes before its first octet", async () => {
    const request = "PUT /api/subscribers";
    for (const authorization of ["", wrong.authorization, signature("cell", "b", request), signature("api", "cli", "PUT /api/settings")]) {
      expect((await putSlowly(authorization)).status).toBe(401);
    }
  });

  it("is the one that was signed", async () => {
    const authorization = signature("api", "cli", "PUT /api/subscribers", new TextEncoder().encode("[]"));
    const body = '[{"aor":"mallory"}]';
    const request = new Request("http://a.invalid/api/subscribers", { method: "PUT", headers: { authorization }, body });
    expect((await exports.default.fetch(request)).status).toBe(401);
  });
});

describe("a signature", () => {
  it.each([
    ["GET /api/status", "api", "cli"],
    ["GET /cell/summary", "cell", "b"],
    ["GET /cell/digest/0", "cell", "b"],
  ])("is good once: %s", async (request, purpose, who) => {
    const authorization = signature(purpose, who, request);
    const path = request.slice("GET ".length);
    expect((await get(path, { authorization })).status).toBe(200);
    const again = await get(path, { authorization });
    expect(again.status).toBe(401);
    expect(await again.json()).toEqual({ error: "the signature has been used" });
  });

  it.each([
    ["/backhaul/0", "backhaul 0", "g1"],
    ["/control", "control", "g1"],
    ["/pair/0", "pair 0", "b"],
    ["/line/0?access=b.0", "line 0", "b"],
  ])("is good once: a WebSocket on %s", async (path, purpose, who) => {
    const authorization = signature(purpose, who, `GET ${path}`);
    const { webSocket } = await upgrade(path, { authorization });
    webSocket?.accept();
    webSocket?.close();
    expect(webSocket).not.toBeNull();
    expect((await upgrade(path, { authorization })).status).toBe(401);
  });

  it("is good once: a frame, a batch", async () => {
    const body = encodeFrame(0, 0, []);
    for (const [path, status] of [
      ["/cell/line/0", 200],
      ["/cell/exchange/0?access=b.0", 200],
      ["/cell/pair/0", 400],
    ] as const) {
      const authorization = signature("cell", "b", `POST ${path}`, body);
      const post = (): Promise<Response> =>
        exports.default.fetch(new Request(`http://a.invalid${path}`, { method: "POST", headers: { ...ourVersion, authorization }, body }));
      expect((await post()).status).toBe(status);
      expect((await post()).status).toBe(401);
    }
  });

  it("of another version is refused in so many words", async () => {
    const response = await get("/api/status", { authorization: `Tandem cli ${Math.floor(Date.now() / 1000)} ${"0".repeat(64)}` });
    expect(response.status).toBe(401);
    expect(await response.json()).toMatchObject({ error: expect.stringContaining("another version of Tandem") });
    expect(response.headers.get("www-authenticate")).toBe("Tandem2");
  });
});

it("has the bindings that wrangler.toml gives it", () => {
  expect(env.CELL).toBe("a");
  expect(Object.keys(env)).toEqual(expect.arrayContaining(["EXCHANGE", "LINE", "CORE_GROUP", "CLUSTER", "TANDEM_SECRET"]));
});
