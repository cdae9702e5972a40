import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { ApiClient } from "../../cli/api-client.ts";
import { protocolVersion, versionHeader } from "../../cluster/protocol-version.ts";
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

  it("asks the next cell when one does not answer, or answers 5xx", async () => {
    const broken = await startCell(503, '{"error":"exchange 1 cannot be reached"}');
    const { url } = await startCell(200, "[1]");
    expect(await new ApiClient(["http://127.0.0.1:9", broken.url, url], "s").get("/api/x")).toEqual([1]);
    await expect(new ApiClient(["http://127.0.0.1:9", broken.url], "s").get("/api/x")).rejects.toThrow(
      `http://127.0.0.1:9: connection refused; ${broken.url}: exchange 1 cannot be reached`,
    );
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
    const { url } = await startCell(401, "", version);
    await expect(new ApiClient([url], "s").get("/api/x")).rejects.toThrow(words);
  });

  it("says when the other side is something else", async () => {
    const { url } = await startCell(200, "<html>");
    await expect(new ApiClient([url], "s").get("/api/x")).rejects.toThrow(`${url} is no Tandem cell: its answer is not JSON`);
  });
});
