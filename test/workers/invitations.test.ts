import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it } from "vitest";
import { checkInvitation } from "../../cluster/authority/invitation.ts";
import { authorityCertificate } from "../../cluster/authority/certificate.ts";
import { learnMap } from "../../workers/environment.ts";
import { fingerprintOf, invitationMacOf } from "../../workers/certificates.ts";
import { callApi, get, map } from "./cell.ts";

afterEach(() => learnMap(env, map));

describe("an invitation", () => {
  it("is made only in a system with an authority, and of what the body says", async () => {
    const answer = await callApi("PUT", "/invitations", { role: "both", forMs: 3_600_000 });
    expect(answer.status).toBe(409);
    expect(await answer.json()).toEqual({ error: "this system is for one machine: it was started without --listen" });
    for (const body of [
      {},
      { role: "all", forMs: 60_000 },
      { role: "cell", forMs: 1 },
      { role: "cell", forMs: 60_000, location: "x".repeat(65) },
    ])
      expect((await callApi("PUT", "/invitations", body)).status).toBe(400);
  });

  it("has a MAC that nothing else is made with", () => {
    const [one, other] = [invitationMacOf("a secret"), invitationMacOf("another")];
    expect(one("x")).toMatch(/^[0-9a-f]{64}$/);
    expect(one("x")).not.toBe(other("x"));
    expect(checkInvitation("nonsense", { macs: [one], fingerprint: "", now: 0 })).toHaveProperty("refused");
  });

  it("names the authority by its certificate as a whole", () => {
    const tools = { sign: () => new Uint8Array(64), sha256: () => new Uint8Array(32) };
    const { der } = authorityCertificate({ name: "x", publicKey: new Uint8Array(91) }, { now: 0, serial: new Uint8Array(16) }, tools);
    const pem = `-----BEGIN CERTIFICATE-----\n${btoa(String.fromCharCode(...der))}\n-----END CERTIFICATE-----\n`;
    expect(fingerprintOf(pem)).toMatch(/^[0-9a-f]{64}$/);
    expect(fingerprintOf(pem.replaceAll("\n", "\r\n"))).toBe(fingerprintOf(pem));
    expect(() => fingerprintOf("no certificate!")).toThrow("this is no certificate");
  });
});

function key(letter: string): string {
  return `${letter.repeat(42)}A`;
}

async function standing(of: string): Promise<unknown> {
  return await (await get(`/host/standing?key=${of}`)).json();
}

it("a host hears what a cell has of its key, and nobody has to sign for that", async () => {
  const members = [{ id: "h1", kind: "host", host: "h1", key: key("a") } as const];
  learnMap(env, { ...map, version: map.version + 1, authority: "a certificate", members, revoked: [key("b")] });
  expect(await standing(key("a"))).toEqual({ standing: "member" });
  expect(await standing(key("b"))).toEqual({ standing: "removed" });
  expect(await standing(key("c"))).toEqual({ standing: "unknown" });
  const statuses = ["map", "members", "left", "summary"].map(async (path) => (await get(`/host/${path}`)).status);
  expect(await Promise.all(statuses)).toEqual([401, 401, 401, 401]);
});
