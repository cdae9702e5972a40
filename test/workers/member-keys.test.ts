import { env, exports } from "cloudflare:workers";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { signatureAgeSecondsMax } from "../../cluster/limits.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { type Member, withoutMember } from "../../cluster/map/members.ts";
import { coreGroupName, learnMap } from "../../workers/environment.ts";
import { CellKeys } from "../../workers/member-keys.ts";
import { authorizationFor, checkSignature, isBodyOf } from "../../workers/signature.ts";
import { ownHostSchema } from "../../schemas/hosts.ts";
import { read } from "../../schemas/reading.ts";
import { get, map, ourVersion, signature } from "./cell.ts";

const now = 1_790_000_000_000;

type Keys = { readonly privateKey: KeyObject; readonly key: string };

function newKeys(): Keys {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  return { privateKey, key: publicKey.export({ format: "jwk" }).x ?? "" };
}

const keys = { a: newKeys(), b: newKeys(), g1: newKeys(), h1: newKeys(), h2: newKeys() };
const kinds: readonly (readonly [id: keyof typeof keys, kind: Member["kind"], host: string])[] = [
  ["a", "cell", "h1"],
  ["b", "cell", "h1"],
  ["g1", "gateway", "h2"],
  ["h1", "host", "h1"],
  ["h2", "host", "h2"],
];
const members = kinds.map(([id, kind, host]) => ({ id, kind, host, key: keys[id].key }));
const withMembers: ClusterMap = { ...map, version: map.version + 1, writer: "a", authority: "a certificate", members };

const request = { purpose: "cell", to: "a", method: "POST", path: "/cell/pair/0?x=1" };
const body = new TextEncoder().encode("a body");
const toSign = { ...request, who: "b", body };
const checking = new CellKeys("secret", undefined).checking(withMembers);
const header = authorizationFor(keys.b, toSign, now);

describe("requests that a member signs", () => {
  it("are accepted for what they were signed for, and say who signed", () => {
    for (const age of [-signatureAgeSecondsMax, 0, signatureAgeSecondsMax]) {
      const signed = checkSignature(header, checking, request, now + age * 1000);
      expect(signed).toMatchObject({ who: "b", madeAt: now });
      expect("who" in signed && isBodyOf(signed, body)).toBe(true);
      expect("who" in signed && isBodyOf(signed, new TextEncoder().encode("a bode"))).toBe(false);
    }
  });

  it.each([
    ["another purpose", { purpose: "pair 3" }],
    ["another method", { method: "PUT" }],
    ["another path", { path: "/cell/pair/1?x=1" }],
    ["another query", { path: "/cell/pair/0?x=2" }],
    ["another cell", { to: "b" }],
    ["too late", { now: now + signatureAgeSecondsMax * 1000 + 1 }, "old"],
    ["too early", { now: now - signatureAgeSecondsMax * 1000 - 1 }, "old"],
    ["another path, too late", { path: "/cell/pair/1?x=1", now: now + signatureAgeSecondsMax * 1000 + 1 }],
  ])("are refused with %s", (_name, change, refusal = "wrong") => {
    const given = { now, ...request, ...change };
    expect(checkSignature(header, checking, given, given.now)).toEqual({ refusal });
  });

  it("are refused with any one thing in the header changed", () => {
    for (let at = 0; at < header.length; at += 1) {
      for (const other of ["0", "1"].filter((character) => character !== header[at])) {
        const changed = header.slice(0, at) + other + header.slice(at + 1);
        expect(checkSignature(changed, checking, request, now)).toHaveProperty("refusal");
      }
    }
  });

  it("are refused when one member's key is used for another member's name", () => {
    for (const [id, key] of Object.entries(keys).filter(([each]) => each !== "b")) {
      expect([id, checkSignature(authorizationFor(key, toSign, now), checking, request, now)]).toEqual([id, { refusal: "wrong" }]);
    }
  });

  it("are refused of strangers, and of whom the next map does not have", () => {
    const unknown = authorizationFor(newKeys(), { ...toSign, who: "c" }, now);
    expect(checkSignature(unknown, checking, request, now)).toEqual({ refusal: "wrong" });
    const left = new CellKeys("secret", undefined).checking({ ...withMembers, ...withoutMember(withMembers, "b") });
    expect(checkSignature(header, left, request, now)).toEqual({ refusal: "wrong" });
  });

  it.each([
    ["g1", "cell"],
    ["g1", "api"],
    ["g1", "pair 0"],
    ["b", "api"],
    ["h1", "cell"],
    ["h2", "api"],
  ] as const)("are refused of %s for %s, which it may not ask", (who, purpose) => {
    const signed = authorizationFor(keys[who], { ...toSign, who, purpose }, now);
    expect(checkSignature(signed, checking, { ...request, purpose }, now)).toEqual({ refusal: "not allowed" });
  });

  it("are of another version to a system without an authority, and what the secret signs is to one with", () => {
    expect(checkSignature(header, "secret", request, now)).toEqual({ refusal: "version" });
    expect(checkSignature(authorizationFor("secret", toSign, now), checking, request, now)).toEqual({ refusal: "version" });
  });
});

async function ask(who: keyof typeof keys, purpose: string, path: string): Promise<number> {
  const authorization = authorizationFor(keys[who], { purpose, who, to: env.CELL, method: "GET", path }, Date.now());
  return (await get(path, { authorization })).status;
}

async function own(who: keyof typeof keys, path = "/host/own"): Promise<Response> {
  const authorization = authorizationFor(keys[who], { purpose: "host", who, to: env.CELL, method: "GET", path }, Date.now());
  return await get(path, { authorization });
}

async function put(who: keyof typeof keys, path: string, json: object): Promise<number> {
  const octets = new TextEncoder().encode(JSON.stringify(json));
  const authorization = authorizationFor(keys[who], { purpose: "host", who, to: env.CELL, method: "PUT", path, body: octets }, Date.now());
  const sent = new Request(`http://a.invalid${path}`, { method: "PUT", headers: { ...ourVersion, authorization }, body: octets });
  return (await exports.default.fetch(sent)).status;
}

describe("a cell of a system with an authority", () => {
  beforeEach(async () => {
    // The core group says once which map is the newest.
    await env.CORE_GROUP.getByName(coreGroupName).newestMap();
    learnMap(env, withMembers);
  });
  afterEach(() => learnMap(env, map));

  it("answers its members what they may ask, once, and nobody who signs with the secret", async () => {
    expect(await ask("h1", "api", "/api/map")).toBe(200);
    expect(await ask("h2", "api", "/api/map")).toBe(403);
    expect(await ask("g1", "api", "/api/map")).toBe(403);
    expect(await ask("g1", "cell", "/cell/summary")).toBe(403);
    expect(await ask("b", "cell", "/cell/summary")).toBe(200);
    const again = {
      authorization: authorizationFor(keys.h1, { purpose: "api", who: "h1", to: env.CELL, method: "GET", path: "/api/map" }, Date.now()),
    };
    expect([(await get("/api/map", again)).status, (await get("/api/map", again)).status]).toEqual([200, 401]);
    const secret = await get("/api/map", { authorization: signature("api", "cli", "GET /api/map") });
    expect([secret.status, secret.headers.get("www-authenticate"), await secret.json()]).toEqual([
      401,
      "Tandem3",
      { error: "this system takes signatures of its members only (Tandem3)" },
    ]);
  });

  it("tells a host of gateways what concerns itself, and nothing of others", async () => {
    for (const who of ["h1", "h2"] as const) {
      const running = who === "h1" ? { id: "a", kind: "cell" } : { id: "g1", kind: "gateway" };
      const processes = [{ ...running, state: "up", since: 1, starts: 1, lastWords: `of ${who}` }];
      expect(await put(who, "/host/report", { host: who, version: "1", since: 1, processes, outcomes: [] })).toBe(200);
    }
    const text = await (await own("h2")).text();
    const { value } = read(ownHostSchema, JSON.parse(text));
    expect(value?.host).toMatchObject({ host: "h2", state: "up", runs: [{ id: "g1", kind: "gateway" }] });
    expect(value?.host.report?.processes.map(({ id }) => id)).toEqual(["g1"]);
    expect(value?.cells).toEqual([]);
    expect(text).not.toMatch(/h1|"id":"[ab]"/);
    // Whatever it says of itself.
    expect(await (await own("h2", "/host/own?host=h1")).text()).not.toContain("h1");
    expect(read(ownHostSchema, await (await own("h1")).json()).value?.cells.map(({ id }) => id)).toEqual(["a", "b"]);
    for (const who of ["g1", "b"] as const) expect((await own(who)).status).toBe(403);
  });

  it("tells a host of gateways nothing of what cells have", async () => {
    expect((await own("h2", "/host/summary")).status).toBe(403);
    expect(await (await own("h1", "/host/summary")).json()).toHaveProperty("exchanges");
  });

  it("keeps a certificate that gateways show: a host with a cell says which, one with gateways is told, and nobody else", async () => {
    const served = { directory: "https://ca.test/", names: ["a.test"], chain: "a chain", key: "a key", until: Date.now() + 60_000 };
    for (const who of ["h2", "g1", "b"] as const) {
      expect([who, await put(who, "/host/served", served)]).toEqual([who, 403]);
      expect([who, await put(who, "/host/certificate-order", { forMs: 1_000, challenges: [] })]).toEqual([who, 403]);
    }
    expect(await put("h1", "/host/served", { ...served, names: [] })).toBe(400);
    expect(await put("h1", "/host/served", { ...served, chain: "x".repeat(30_000) })).toBe(400);
    expect(await put("h1", "/host/certificate-order", { forMs: 1e9, challenges: [] })).toBe(400);
    expect(await put("h1", "/host/certificate-order", { forMs: 1, challenges: [{ token: "../x", answer: "y" }] })).toBe(400);
    // This cell has no keyring to keep it in.
    expect(await put("h1", "/host/served", served)).toBe(409);
    const path = "/host/served?directory=https%3A%2F%2Fca.test%2F&names=a.test";
    expect([await ask("h2", "host", path), await ask("h1", "host", path), await ask("g1", "host", path)]).toEqual([200, 403, 403]);
  });

  it("knows a removed member no more, from the next map on", async () => {
    expect(await ask("b", "cell", "/cell/summary")).toBe(200);
    learnMap(env, { ...withMembers, ...withoutMember(withMembers, "b"), version: withMembers.version + 1 });
    expect(await ask("b", "cell", "/cell/summary")).toBe(401);
  });
});
