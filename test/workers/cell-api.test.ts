import { env, exports } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { clusterMapOf } from "../../workers/environment.ts";
import { map, ourVersion, signature } from "./cell.ts";

async function post(path: string, text: string): Promise<Response> {
  const body = new TextEncoder().encode(text);
  const headers = { ...ourVersion, authorization: signature("cell", "b", `POST ${path}`, body) };
  return await exports.default.fetch(new Request(`http://a.invalid${path}`, { method: "POST", headers, body }));
}

describe("what another cell asks", () => {
  it.each(["/cell/credentials/0", "/cell/flows/0", "/cell/subscribers/0/remove"])("%s takes an address-of-record alone", async (path) => {
    for (const text of ["", "{", "null", "1", '["alice@example.test"]']) expect((await post(path, text)).status).toBe(400);
    expect((await post(path, '"nobody@example.test"')).status).toBe(200);
  });

  it("/cell/subscribers/0/put takes subscribers alone, and says what is wrong", async () => {
    for (const text of ["", "null", '[{"aor":"alice@example.test"}]'])
      expect((await post("/cell/subscribers/0/put", text)).status).toBe(400);
    expect(await (await post("/cell/subscribers/0/put", "[3]")).json()).toEqual({ error: "[0] not an object" });
  });
});

describe("the cluster map of a cell", () => {
  it("is read once for the same text", () => {
    expect(clusterMapOf({ ...env, CLUSTER: env.CLUSTER })).toBe(map);
  });

  it.each([
    ["{", "CLUSTER: is not JSON: "],
    ["[3", "CLUSTER: is not JSON: "],
    ["3", "CLUSTER: must be an object"],
    [JSON.stringify({ ...map, flusMs: 5 }), "CLUSTER: flusMs is not known; known here: version, "],
    [JSON.stringify({ ...map, domains: [] }), "CLUSTER: domains must name a domain"],
    ["{}", "CLUSTER: version is missing"],
    [JSON.stringify({ ...map, exchangeCount: 0 }), "CLUSTER: exchangeCount must be a whole number from 1 on"],
    [JSON.stringify({ ...map, domains: [{ name: "example.test", auth: "none" }] }), "CLUSTER: domains[0].auth must be digest or open"],
  ])("throws when it is none, and says why: %s", (CLUSTER, reason) => {
    expect(() => clusterMapOf({ ...env, CLUSTER })).toThrow(reason);
  });
});
