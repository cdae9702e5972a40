import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { callApi, get, signature, upgrade } from "./cell.ts";

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

  it("answers what it does not know with a line of JSON", async () => {
    const response = await get("/nothing");
    expect(response.status).toBe(404);
    expect(await response.json()).toEqual({ error: "GET /nothing: there is nothing here" });
  });
});

describe("requests without a right signature", () => {
  const wrong = { authorization: `Tandem g1 ${Math.floor(Date.now() / 1000)} ${"0".repeat(64)}` };

  it.each(["/trunk/0", "/control"])("do not open %s", async (path) => {
    for (const headers of [{}, wrong, { authorization: signature("api", "g1") }, { authorization: signature("trunk 1", "g1") }]) {
      const response = await upgrade(path, headers);
      expect(response.status).toBe(401);
      expect(response.webSocket).toBeNull();
      expect(await response.json()).toEqual({ error: "the signature is missing, wrong or too old" });
    }
  });

  it.each(["/api/status", "/api/registrations", "/api/subscribers", "/cell/summary", "/cell/registrations?exchanges=0"])(
    "are not answered at %s",
    async (path) => {
      for (const headers of [{}, wrong, { authorization: signature("control", "g1") }]) {
        expect((await get(path, headers)).status).toBe(401);
      }
    },
  );

  it("change nothing", async () => {
    const response = await get("/api/subscribers", { authorization: signature("api", "cli", new Uint8Array([1])) });
    expect(response.status).toBe(401);
  });
});

describe("paths that name a number", () => {
  it("do not know an exchange beyond the map", async () => {
    const response = await upgrade("/trunk/99", { authorization: signature("trunk 99", "g1") });
    expect(response.status).toBe(404);
    expect(await response.json()).toEqual({ error: "there is no exchange 99" });
  });

  it("want an upgrade for a WebSocket", async () => {
    const response = await get("/trunk/0", { authorization: signature("trunk 0", "g1") });
    expect(response.status).toBe(426);
  });
});

it("says that a body is too long before it asks who sent it", async () => {
  const response = await callApi("PUT", "/subscribers", "x".repeat(9 * 1024 * 1024));
  expect(response.status).toBe(413);
});

it("has the bindings that wrangler.toml gives it", () => {
  expect(env.CELL).toBe("a");
  expect(Object.keys(env)).toEqual(expect.arrayContaining(["EXCHANGE", "LINE", "CORE_GROUP", "CLUSTER", "TANDEM_SECRET"]));
});
