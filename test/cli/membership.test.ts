import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Authority } from "../../cli/authority.ts";
import { Membership } from "../../cli/membership.ts";
import { StateDirectory } from "../../cli/state-directory.ts";

const now = new Date("2026-11-30T16:00:00Z");
const later = (days: number): Date => new Date(now.getTime() + days * 86_400_000);
const cell = { id: "a", kind: "cell", addresses: ["127.0.0.1"] } as const;
const gateway = { id: "g1", kind: "gateway", addresses: [] } as const;

let state: StateDirectory;
beforeEach(() => {
  state = new StateDirectory(mkdtempSync(join(tmpdir(), "tandem-membership-")));
});
afterEach(() => rmSync(state.path, { recursive: true, force: true }));

function modeOf(...names: string[]): string {
  return (statSync(state.file(...names)).mode & 0o777).toString(8);
}

function certificateOf(id: string): X509Certificate {
  return new X509Certificate(readFileSync(state.file("members", id, "cert.pem")));
}

describe("the authority of a state directory", () => {
  it("is made once, and its key is for this user alone", () => {
    const made = Authority.ensure(state, now);
    expect(Authority.ensure(state, later(1))).toEqual(made);
    expect(made.keys.name).toMatch(/^Tandem authority [0-9a-f]{16}$/);
    expect([modeOf("authority"), modeOf("authority", "key.pem")]).toEqual(["700", "600"]);
  });

  it("is not made anew when half of it is gone: all members would be shut out", () => {
    Authority.ensure(state, now);
    rmSync(state.file("authority", "cert.pem"));
    expect(() => Authority.ensure(state, now)).toThrow(/^the authority of .* cannot be read: /);
  });

  it("is not taken with the key of another one", () => {
    Authority.ensure(state, now);
    const key = readFileSync(state.file("authority", "key.pem"), "utf8");
    rmSync(state.file("authority"), { recursive: true });
    Authority.ensure(state, now);
    writeFileSync(state.file("authority", "key.pem"), key);
    expect(() => Authority.ensure(state, now)).toThrow("is not the key of");
  });
});

describe("what a machine is in a system with an authority", () => {
  it("has two keys for each member, which stay as they are and are for this user alone", () => {
    const membership = new Membership(state, "h1");
    const request = membership.request(cell);
    expect(request).toMatchObject({ ...cell, host: "h1", key: expect.stringMatching(/^[0-9A-Za-z_-]{43}$/) });
    expect(new Membership(state, "h1").request(cell)).toEqual(request);
    expect(membership.request(gateway).key).not.toBe(request.key);
    expect(["key.pem", "tls-key.pem"].map((name) => modeOf("members", "a", name))).toEqual(["600", "600"]);
  });

  it("has certificates of its authority, until two thirds of their life are over", () => {
    const authority = Authority.ensure(state, now);
    const membership = new Membership(state, "h1");
    membership.certify([cell, gateway], authority, now);
    expect([certificateOf("a").checkIP("127.0.0.1"), certificateOf("g1").subjectAltName]).toEqual(["127.0.0.1", undefined]);
    expect(membership.due([cell, gateway], later(19.9))).toEqual([]);
    expect(membership.due([cell, gateway], later(20.1)).map(({ id }) => id)).toEqual(["a", "g1"]);
    const [before] = [certificateOf("a").fingerprint256];
    membership.certify([cell], authority, later(19));
    expect(certificateOf("a").fingerprint256).toBe(before);
    membership.certify([cell], authority, later(21));
    expect(certificateOf("a").validToDate).toEqual(later(51));
  });

  it("needs others when an address, a key or the authority is another one", () => {
    const membership = new Membership(state, "h1");
    membership.certify([cell], Authority.ensure(state, now), now);
    expect(membership.due([{ ...cell, addresses: ["127.0.0.1", "192.0.2.1"] }], now)).toHaveLength(1);
    rmSync(state.file("members", "a", "tls-key.pem"));
    expect(membership.due([cell], now)).toHaveLength(1);
    membership.certify([cell], Authority.ensure(state, now), now);
    expect(membership.due([cell], now)).toEqual([]);
    rmSync(state.file("authority"), { recursive: true });
    Authority.ensure(state, now);
    expect(membership.due([cell], now)).toHaveLength(1);
  });

  it("asks cells as the host, and says when it cannot", () => {
    const membership = new Membership(state, "h1");
    expect(() => membership.identity()).toThrow("the key or certificate of h1 cannot be read");
    membership.certify([{ id: "h1", kind: "host", addresses: [] }], Authority.ensure(state, now), now);
    expect(membership.identity()).toMatchObject({ id: "h1", tls: { ca: readFileSync(state.file("authority", "cert.pem"), "utf8") } });
  });
});
