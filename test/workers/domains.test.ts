import { env, exports } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import type { DomainRow, GatewayRow, Status } from "../../schemas/api-answers.ts";
import { clusterMapOf, coreGroupName } from "../../workers/environment.ts";
import { callApi, ourVersion, peerIsUp, signature, subscriberOf, upgrade } from "./cell.ts";

async function ask(method: string, path: string, body?: unknown): Promise<[status: number, answer: unknown]> {
  const response = await callApi(method, path, body);
  return [response.status, await response.json()];
}

async function told(wish: unknown, purpose = "cell"): Promise<[number, unknown]> {
  const body = new TextEncoder().encode(JSON.stringify(wish));
  const authorization = signature(purpose, "b", "POST /cell/wish", body);
  const request = new Request("http://a.invalid/cell/wish", { method: "POST", headers: { ...ourVersion, authorization }, body });
  const response = await exports.default.fetch(request);
  return [response.status, await response.json()];
}

async function rows(): Promise<GatewayRow[]> {
  return await (await callApi("GET", "/gateways")).json();
}

async function idsUp(): Promise<readonly string[]> {
  return (await rows()).filter(({ state }) => state === "up").map(({ id }) => id);
}

async function states(): Promise<readonly string[]> {
  return (await rows()).filter(({ id }) => /g[56]/.test(id)).map(({ state }) => state);
}

function registerOf(addressOfRecord: string): string {
  const [user = ""] = addressOfRecord.split("@");
  return [
    "REGISTER sip:open.example SIP/2.0",
    `Via: SIP/2.0/WS ${user}.invalid;branch=z9hG4bK${user}`,
    "Max-Forwards: 70",
    `From: <sip:${addressOfRecord}>;tag=${user}`,
    `To: <sip:${addressOfRecord}>`,
    `Call-ID: ${user}`,
    "CSeq: 1 REGISTER",
    `Contact: <sip:${user}@${user}.invalid;transport=ws>`,
    "Expires: 600",
    "Content-Length: 0",
    "\r\n",
  ].join("\r\n");
}

/** Addresses-of-record of the domain open.example that phones are registered for. */
async function registered(): Promise<readonly string[]> {
  const all: { readonly aor: string }[] = await (await callApi("GET", "/registrations")).json();
  return all.flatMap(({ aor }) => (aor.endsWith("@open.example") ? [aor] : [])).toSorted();
}

const first: DomainRow = { name: "example.test", auth: clusterMapOf(env).domains[0]?.auth ?? "open", isAdded: false };
const org: DomainRow = { name: "example.org", auth: "digest", isAdded: true };

describe("/api/domains", () => {
  it("adds a domain, which this cell serves at once, and says anew who may register in it", async () => {
    peerIsUp();
    expect(await ask("GET", "/domains")).toEqual([200, [first]]);
    expect(await ask("PUT", "/domains/Example.ORG", { auth: "open" })).toEqual([200, [first, { ...org, auth: "open" }]]);
    expect(await ask("PUT", "/domains/example.org", { auth: "digest" })).toEqual([200, [first, org]]);
    expect(clusterMapOf(env).domains.map(({ name }) => name)).toEqual(["example.test", "example.org"]);
    const alice = { ...subscriberOf("alice", "secret"), aor: "alice@example.org" };
    expect(await ask("PUT", "/subscribers", [alice])).toEqual([200, { stored: 1, changed: 0 }]);
    expect(await ask("GET", "/domains?subscribers=true")).toEqual([
      200,
      [
        { ...first, subscribers: 0 },
        { ...org, subscribers: 1 },
      ],
    ]);
  });

  it("says how many subscribers a domain has, and removes them with it when that is meant", async () => {
    peerIsUp();
    expect(await ask("DELETE", "/domains/example.org")).toEqual([
      409,
      { error: "example.org has 1 subscriber, who would be removed with it" },
    ]);
    expect(await ask("GET", "/domains")).toEqual([200, [first, org]]);
    expect(await ask("DELETE", "/domains/example.org?subscribers=true")).toEqual([
      200,
      { removed: "example.org", subscribers: 1, left: 0 },
    ]);
    expect(await ask("GET", "/domains")).toEqual([200, [first]]);
    expect(await ask("GET", "/subscribers")).toEqual([200, []]);
    expect(await ask("DELETE", "/domains/example.org")).toEqual([404, { error: "example.org is none of our domains" }]);
  });

  it("ends the registrations of an open domain with it, when that is meant", async () => {
    peerIsUp();
    const open = { auth: "open" };
    expect((await ask("PUT", "/domains/open.example", open))[0]).toBe(200);
    const { webSocket } = await upgrade("/", { "sec-websocket-protocol": "sip" });
    if (webSocket === null) throw new Error("no WebSocket");
    webSocket.accept();
    const users = ["carol", "dave"];
    for (const user of users) webSocket.send(registerOf(`${user}@open.example`));
    const both = users.map((user) => `${user}@open.example`);
    await vi.waitFor(async () => expect(await registered()).toEqual(both));
    const error = "open.example has 2 registered phones, who would be removed with it";
    expect(await ask("DELETE", "/domains/open.example")).toEqual([409, { error }]);
    expect(await registered()).toEqual(both);
    expect(await ask("DELETE", "/domains/open.example?subscribers=true")).toEqual([
      200,
      { removed: "open.example", subscribers: 0, phones: 2, left: 0 },
    ]);
    expect(await registered()).toEqual([]);
    expect((await ask("PUT", "/domains/open.example", open))[0]).toBe(200);
    expect(await registered()).toEqual([]);
    expect((await ask("DELETE", "/domains/open.example"))[0]).toBe(200);
    webSocket.close(1000);
  });

  it.each([
    ["PUT", "/domains/example.test", { auth: "open" }, 409, /^example\.test is what cells were started with/],
    ["PUT", "/domains/localhost", { auth: "open" }, 400, /^localhost: is what each machine calls itself/],
    ["PUT", "/domains/192.0.2.1", { auth: "open" }, 400, /^192\.0\.2\.1: an address is no domain/],
    ["PUT", "/domains/b.org", { auth: "none" }, 400, /^auth must be digest or open$/],
    ["PUT", "/domains/b.org", { auths: 1 }, 400, /^auths? is/],
    ["PUT", "/domains/b.org", [], 400, /^(?:auth is missing|the body must be .*)$/],
    ["DELETE", "/domains/example.test", undefined, 409, /^example\.test is what cells were started with, and stays$/],
    ["PUT", "/gateways/g9", { weight: 1 }, 404, /^there is no gateway g9$/],
    ["PUT", "/gateways/g9", { weight: -1 }, 400, /^weight must be a whole number from 0 to 65535$/],
  ])("refuses %s %s %j", async (method, path, body, status, error) => {
    peerIsUp();
    expect(await ask(method, path, body)).toEqual([status, { error: expect.stringMatching(error) as string }]);
  });

  it("is told by another cell, signed by it, where this one is the coordinator", async () => {
    expect((await told({ addDomain: { name: "b.org", auth: "open" } }, "api"))[0]).toBe(401);
    expect(await told({ addDomain: { name: "b.org", auth: "open" } })).toEqual([200, {}]);
    expect((await told({ addDomain: { name: "localhost", auth: "open" } }))[1]).toHaveProperty("refused");
    expect((await told({ addDomain: "c.org" }))[0]).toBe(400);
    expect(await told({ removeDomain: "b.org" })).toEqual([200, {}]);
  });
});

describe("/api/gateways", () => {
  it("shows where phones find a gateway, and its weight, which may be another", async () => {
    peerIsUp();
    const { webSocket } = await upgrade("/control", { authorization: signature("control", "g1", "GET /control") });
    if (webSocket === null) throw new Error("no control socket");
    webSocket.accept();
    const listeners = [
      { transport: "UDP", host: "gw.example.net", port: 5060 },
      { transport: "TLS", host: "gw.example.net", port: 5061 },
    ];
    webSocket.send(
      JSON.stringify({ type: "hello", name: "g1", boot: "b1", listeners: [...listeners, { transport: "SCTP", host: "x", port: 1 }, 7] }),
    );
    await vi.waitFor(async () => expect(await rows()).toMatchObject([{ id: "g1", weight: 1, listeners }]));
    expect(await ask("PUT", "/gateways/g1", { weight: 70 })).toEqual([200, { id: "g1", weight: 70 }]);
    expect(await rows()).toMatchObject([{ id: "g1", weight: 70 }]);
    expect((await env.CORE_GROUP.getByName(coreGroupName).newestMap()).gateways).toEqual([{ id: "g1", weight: 70 }]);
    expect(await ask("PUT", "/domains/gw.example.net", { auth: "open" })).toEqual([
      400,
      { error: expect.stringMatching(/^gw\.example\.net: is how gateway g1 calls itself: /) as string },
    ]);
    webSocket.close(1000);
    await vi.waitFor(async () => expect(await rows()).toMatchObject([{ id: "g1", listeners }]));
  });

  it("takes one out of service and back, unless it is the last", async () => {
    peerIsUp();
    const sockets = await Promise.all(
      ["g5", "g6"].map(async (name) => {
        const { webSocket } = await upgrade("/control", { authorization: signature("control", name, "GET /control") });
        if (webSocket === null) throw new Error("no control socket");
        webSocket.accept();
        return webSocket;
      }),
    );
    await vi.waitFor(async () => expect(await states()).toEqual(["up", "up"]));
    expect(await ask("PUT", "/gateways/g9/draining", { draining: true })).toEqual([404, { error: "there is no gateway g9" }]);
    expect((await ask("PUT", "/gateways/g5/draining", { draining: 1 }))[0]).toBe(400);
    const [status, answer] = await ask("PUT", "/gateways/g5/draining", { draining: true, closeAfterMs: 1_000 });
    expect([status, answer]).toEqual([200, { id: "g5", draining: true, closeAt: expect.any(Number) as number }]);
    expect(await states()).toEqual(["draining", "up"]);
    // Those of other tests have gone by now, or go within moments.
    await vi.waitFor(async () => expect(await idsUp()).toEqual(["g6"]), { timeout: 5_000 });
    expect(await ask("PUT", "/gateways/g6/draining", { draining: true })).toEqual([
      409,
      { error: "gateway g6 stays in service: no other gateway is up that phones could go to" },
    ]);
    const { gateways } = await (await callApi("GET", "/status")).json<Status>();
    expect(gateways.find(({ id }) => id === "g5")).toMatchObject({ state: "draining" });
    expect(await ask("PUT", "/gateways/g5/draining", { draining: false })).toEqual([200, { id: "g5", draining: false }]);
    expect(await states()).toEqual(["up", "up"]);
    for (const socket of sockets) socket.close(1000);
  });
});
