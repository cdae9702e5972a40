import { generateKeyPairSync } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AcmeClient } from "../../../cli/acme/acme-client.ts";
import { answerOctetsMax, noncesMax } from "../../../cli/acme/limits.ts";
import { FakeAuthority } from "./fake-authority.ts";

const { privateKey: key } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const request = Uint8Array.of(1, 2, 3);
let authority: FakeAuthority;
/** Answers by token, while they are open. */
let open: Map<string, string>;

beforeEach(async () => {
  open = new Map();
  authority = new FakeAuthority();
  await authority.start();
  authority.looks = (token) => Promise.resolve(open.get(token) ?? "");
});

afterEach(() => authority.stop());

function order(changes: { readonly ca?: string; readonly directory?: string; readonly signal?: AbortSignal } = {}): Promise<string> {
  const { ca = authority.ca, directory = `${authority.url}/directory`, signal = AbortSignal.timeout(60_000) } = changes;
  const client = new AcmeClient({ directory, mail: "admin@example.org", key }, { ca, userAgent: "tandem/1.2.3", signal });
  return client.order(["pbx.example.org"], request, {
    open: (token, answer) => void open.set(token, answer),
    ready: () => Promise.resolve(),
    close: (token) => void open.delete(token),
  });
}

const pathsSaid = (): string[] => authority.said.map(({ path }) => path);

describe("an order of a certificate [RFC8555 7.4]", () => {
  it("goes by account, order, challenge and request, and closes the challenge", async () => {
    expect(await order()).toBe("a certificate");
    expect(pathsSaid()).toEqual([
      "/new-account",
      "/new-order",
      "/authorization/1",
      "/challenge/1",
      "/authorization/1",
      "/finalize/1",
      "/order/1",
      "/certificate/1",
    ]);
    expect(authority.said[0]?.payload).toEqual({ termsOfServiceAgreed: true, contact: ["mailto:admin@example.org"] });
    expect(authority.said[1]?.payload).toEqual({ identifiers: [{ type: "dns", value: "pbx.example.org" }] });
    expect(authority.said[5]?.payload).toEqual({ csr: "AQID" });
    // Only the first request says the key: after that it is an account.
    expect(authority.said.map(({ header }) => "jwk" in header)).toEqual([true, ...Array.from({ length: 7 }, () => false)]);
    expect(open.size).toBe(0);
  });

  it("asks again with another nonce when one is too old, but not for ever", async () => {
    const stale = { status: 400, body: { type: "urn:ietf:params:acme:error:badNonce", detail: "stale" } };
    authority.instead = (path, times) => (path === "/new-order" && times < noncesMax - 1 ? stale : undefined);
    expect(await order()).toBe("a certificate");
    expect(pathsSaid().filter((path) => path === "/new-order")).toHaveLength(noncesMax);
    authority.instead = (path) => (path === "/new-order" ? stale : undefined);
    await expect(order()).rejects.toThrow("the authority refuses the order (400): stale");
  });

  it("asks an authority that takes its time again, as late as it says", async () => {
    const pending = { headers: { "retry-after": "0" }, body: { status: "processing" } };
    authority.instead = (path, times) => (path === "/order/1" && times < 3 ? pending : undefined);
    expect(await order()).toBe("a certificate");
    expect(pathsSaid().filter((path) => path === "/order/1")).toHaveLength(4);
  });

  it("says why a name does not lead here, in one line, and closes the challenge", async () => {
    authority.looks = () => Promise.resolve("something else");
    await expect(order()).rejects.toThrow("pbx.example.org does not lead here, as the authority sees it: connection refused");
    expect(open.size).toBe(0);
  });

  it.each([
    ["/new-account", { status: 403, body: { detail: "no more accounts" } }, "the authority refuses the account (403): no more accounts"],
    ["/new-account", { status: 201 }, "the authority says nothing of the account"],
    ["/new-order", { status: 429, body: "<html>" }, "the authority refuses the order (429): no reason"],
    ["/new-order", { body: { status: "pending" } }, "the authority's order has no authorizations"],
    [
      "/authorization/1",
      { body: { status: "pending", identifier: { value: "pbx.example.org" }, challenges: [{ type: "http-01", token: "../x", url: "u" }] } },
      "the authority does not take HTTP-01 for pbx.example.org",
    ],
    ["/order/1", { body: { status: "invalid", error: { detail: "bad request" } } }, "the authority issues none: bad request"],
    [
      "/order/1",
      { body: { status: "valid", certificate: "http://127.0.0.1/plain" } },
      'the authority names "http://127.0.0.1/plain", which is no https URL',
    ],
    ["/certificate/1", { body: "x".repeat(answerOctetsMax + 1) }, `it answers more than ${answerOctetsMax} octets`],
    ["/directory", { body: "[]" }, "is no directory of ACME: it has no newAccount"],
  ])("fails in one line when %s answers otherwise", async (at, answer, reason) => {
    authority.instead = (path) => (path === at ? answer : undefined);
    const failed = await order().catch((error: unknown) => (error instanceof Error ? error.message : ""));
    expect(failed).toContain(reason);
    expect(failed).not.toContain("\n");
    expect(open.size).toBe(0);
  });

  it("believes nobody whose certificate the given authorities have not signed", async () => {
    const other = new FakeAuthority();
    await other.start();
    try {
      await expect(order({ ca: other.ca })).rejects.toThrow(/^127\.0\.0\.1:\d+ cannot be asked: .*certificate/);
    } finally {
      other.stop();
    }
    expect(authority.said).toEqual([]);
  });

  it("ends at once when it is stopped, and when it takes too long", async () => {
    const stop = new AbortController();
    authority.looks = () => {
      stop.abort();
      return new Promise(() => undefined);
    };
    await expect(order({ signal: stop.signal })).rejects.toThrow("it is being stopped");
    const placed = {
      headers: { location: `${authority.url}/order/2` },
      body: { authorizations: [], finalize: `${authority.url}/order/1` },
    };
    const answers: Record<string, object> = { "/new-order": placed, "/order/2": { body: { status: "processing" } } };
    authority.instead = (path) => answers[path];
    await expect(order({ signal: AbortSignal.timeout(500) })).rejects.toThrow("the authority takes too long");
    expect(open.size).toBe(0);
  });
});
