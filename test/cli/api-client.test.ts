import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it, vi } from "vitest";
import { ApiClient } from "../../cli/api-client.ts";
import { otherVersionStatus, protocolVersion, versionHeader } from "../../cluster/protocol-version.ts";
import { checkSignature, isBodyOf } from "../../workers/signature.ts";

const closing: (() => void)[] = [];

afterEach(() => {
  for (const close of closing.splice(0)) close();
});

type Seen = { method: string; url: string; authorization: string | undefined; body: string };

const ourVersion = String(protocolVersion);

/** A cell that answers every request with this status and text. */
async function startCell(status: number, text: string, version: string | null = ourVersion): Promise<{ url: string; seen: Seen[] }> {
  const seen: Seen[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    let body = "";
    for await (const chunk of request) body += String(chunk);
    // Commands ask first which cell it is.
    if (request.url === "/") return void response.writeHead(200, { "tandem-cell": "a" }).end();
    seen.push({ method: request.method ?? "", url: request.url ?? "", authorization: request.headers.authorization, body });
    response.writeHead(status, { "tandem-cell": "a", ...(version === null ? {} : { [versionHeader]: version }) }).end(text);
  };
  const server = createServer((request, response) => void answer(request, response));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address: AddressInfo | string | null = server.address();
  return { url: `http://127.0.0.1:${typeof address === "object" ? (address?.port ?? 0) : 0}`, seen };
}

function connectionsOf(server: Server): Promise<number> {
  return new Promise((counted, failed) => {
    server.getConnections((error, count) => (error === null ? counted(count) : failed(error)));
  });
}

describe("ApiClient", () => {
  it("signs so that a cell accepts it, body included", async () => {
    const { url, seen } = await startCell(200, "{}");
    await new ApiClient([url], "secret").put("/api/subscribers", [{ aor: "ä" }]);
    const [request] = seen;
    expect(request).toMatchObject({ method: "PUT", url: "/api/subscribers", body: '[{"aor":"ä"}]' });
    const body = new TextEncoder().encode(request?.body);
    const received = { purpose: "api", to: "a", method: "PUT", path: "/api/subscribers" };
    const signature = checkSignature(request?.authorization, "secret", received, Date.now());
    if ("refusal" in signature) throw new Error(signature.refusal);
    expect(signature.who).toBe("cli");
    expect([isBodyOf(signature, body), isBodyOf(signature, new Uint8Array(1))]).toEqual([true, false]);
    for (const change of [{ purpose: "cell" }, { to: "b" }, { method: "DELETE" }, { path: "/api/status" }]) {
      expect(checkSignature(request?.authorization, "secret", { ...received, ...change }, Date.now())).toEqual({ refusal: "wrong" });
    }
  });

  it("signs each request anew, with its query", async () => {
    const { url, seen } = await startCell(200, "{}");
    const api = new ApiClient([url], "secret");
    for (let times = 0; times < 2; times += 1) await api.get("/api/registrations?aor=a%40b");
    const received = { purpose: "api", to: "a", method: "GET", path: "/api/registrations?aor=a%40b" };
    for (const { authorization } of seen) expect(checkSignature(authorization, "secret", received, Date.now())).toHaveProperty("who");
    expect(new Set(seen.map(({ authorization }) => authorization)).size).toBe(2);
  });

  it("says once what all cells say that answer", async () => {
    const [one, other] = [
      await startCell(503, '{"error":"exchange 1 cannot be reached"}'),
      await startCell(503, '{"error":"exchange 1 cannot be reached"}'),
    ];
    const api = new ApiClient([one.url, "http://127.0.0.1:9", other.url], "s");
    for (const asked of [api.get("/api/x"), api.put("/api/x", {})]) await expect(asked).rejects.toThrow(/^exchange 1 cannot be reached$/);
  });

  it("asks the next cell when one does not answer, or answers 5xx", async () => {
    const broken = await startCell(503, '{"error":"exchange 1 cannot be reached"}');
    const { url } = await startCell(200, "[1]");
    expect(await new ApiClient(["http://127.0.0.1:9", broken.url, url], "s").get("/api/x")).toEqual([1]);
    await expect(new ApiClient(["http://127.0.0.1:9", broken.url], "s").get("/api/x")).rejects.toThrow(
      `http://127.0.0.1:9: connection refused; ${broken.url}: exchange 1 cannot be reached`,
    );
  });

  it("asks the next cell beside one that takes long, and waits for no frozen one", async () => {
    const frozen = createServer(() => undefined);
    closing.push(() => {
      frozen.closeAllConnections();
      frozen.close();
    });
    frozen.listen(0, "127.0.0.1");
    await once(frozen, "listening");
    const address: AddressInfo | string | null = frozen.address();
    const silent = `http://127.0.0.1:${typeof address === "object" ? (address?.port ?? 0) : 0}`;
    const { url, seen } = await startCell(200, "[1]");
    const start = performance.now();
    expect(await new ApiClient([silent, silent, url], "s").get("/api/x")).toEqual([1]);
    // Two that say nothing for five seconds each were ten.
    expect(performance.now() - start).toBeLessThan(5_000);
    expect(seen).toHaveLength(1);
    await vi.waitFor(async () => expect(await connectionsOf(frozen)).toBe(0));
    // What changes something is said to one at a time.
    await expect(new ApiClient([silent], "s").put("/api/x", {})).rejects.toThrow(`${silent}: no answer within 5 s`);
  }, 20_000);

  it("names all that have not answered when none has", async () => {
    const broken = await startCell(500, '{"error":"broken"}');
    await expect(new ApiClient([broken.url, "http://127.0.0.1:9"], "s").get("/api/x")).rejects.toThrow(
      `${broken.url}: broken; http://127.0.0.1:9: connection refused`,
    );
  });

  it("says once what cells have in common that have not answered, by their names and in order", async () => {
    const urls = [9, 11, 13].map((port) => `http://127.0.0.1:${port}`);
    const names = new Map(urls.map((url, index) => [url, ["c", "a", "b"][index] ?? ""] as const));
    const api = new ApiClient(urls, "s", "api", undefined, names);
    for (const asked of [api.get("/api/x"), api.until(AbortSignal.timeout(60_000)).put("/api/x", {})]) {
      await expect(asked).rejects.toThrow(/^not running: cells a, b, c: connection refused$/);
    }
    const broken = await startCell(500, '{"error":"broken"}');
    const some = new ApiClient([...urls, broken.url], "s", "api", undefined, new Map([...names, [broken.url, "d"]]));
    await expect(some.get("/api/x")).rejects.toThrow(/^cells a, b, c: connection refused; cell d: broken$/);
  });

  it("does not ask another cell about what one has refused", async () => {
    const refusing = await startCell(404, '{"error":"dave@example.test is no subscriber"}');
    const other = await startCell(200, "{}");
    await expect(new ApiClient([refusing.url, other.url], "s").delete("/api/x")).rejects.toThrow(/^dave@example.test is no subscriber$/);
    expect(other.seen).toEqual([]);
  });

  it("says when the secret is wrong", async () => {
    const { url } = await startCell(401, "");
    await expect(new ApiClient([url], "s").get("/api/x")).rejects.toThrow(
      `${url} does not accept this secret (or the clocks differ by more than 30 s)`,
    );
  });

  it.each([
    [null, `speaks version 1 of the protocol, this command version ${protocolVersion}: upgrade http`],
    [
      `${protocolVersion + 1}`,
      `speaks version ${protocolVersion + 1} of the protocol, this command version ${protocolVersion}: upgrade this command`,
    ],
  ])("says that the system is of another version when it is that which refuses: %s", async (version, words) => {
    for (const status of [401, otherVersionStatus]) {
      const { url } = await startCell(status, "", version);
      const asked = new ApiClient([url], "s").get("/api/x");
      await expect(asked).rejects.toThrow(status > 500 && version === null ? "answered 521" : words);
    }
  });

  it("says when the other side is something else", async () => {
    const { url } = await startCell(200, "<html>");
    await expect(new ApiClient([url], "s").get("/api/x")).rejects.toThrow(`${url} is no Tandem cell: its answer is not JSON`);
  });
});
