import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { protocolVersion, versionHeader } from "../../cluster/protocol-version.ts";
import type { Environment } from "../../workers/environment.ts";
import worker, { members } from "../../workers/index.ts";
import { map } from "./cell.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

/** What is given here is this cell's environment, but for some of it. Its map is another text, as that of another process. */
function environment(change: Readonly<Record<string, unknown>>): Environment {
  return { ...env, CLUSTER: `${env.CLUSTER} `, ...change };
}

async function ask(door: ExportedHandler<Environment>, given: Environment, path: string): Promise<Response> {
  const context = createExecutionContext();
  const request = new Request<unknown, IncomingRequestCfProperties>(`http://a.invalid${path}`);
  const response = await door.fetch?.(request, given, context);
  await waitOnExecutionContext(context);
  if (response === undefined) throw new Error("it has no door");
  return response;
}

describe("a cell that lacks what it was to be deployed with", () => {
  it.each([
    [
      "its secret",
      { TANDEM_SECRET: undefined },
      "cell a serves nobody: the secret TANDEM_SECRET is missing: npx wrangler secret put TANDEM_SECRET --env a",
    ],
    [
      "what its secret is",
      { TANDEM_SECRET: "" },
      "cell a serves nobody: the secret TANDEM_SECRET is missing: npx wrangler secret put TANDEM_SECRET --env a",
    ],
    [
      "its own key",
      { CLUSTER: JSON.stringify({ ...map, authority: "x" }) },
      "cell a serves nobody: TANDEM_MEMBER_KEY is missing: this system has an authority",
    ],
    ["a map that is one", { CLUSTER: "{" }, /^cell a serves nobody: CLUSTER: is not JSON: /],
    [
      "all that the environment of a cell has",
      { CELL: undefined, CLUSTER: undefined, EXCHANGE: undefined, LINE: undefined, CORE_GROUP: undefined, LEDGER: undefined },
      "cell without a name serves nobody: this Worker was deployed without CELL, CLUSTER, EXCHANGE, LINE, CORE_GROUP, LEDGER: say which cell it is, npx wrangler deploy --env a",
    ],
  ])("refuses everybody in one sentence, and says it once: %s", async (_what, change, sentence) => {
    const said = vi.spyOn(console, "error").mockImplementation(() => {});
    const given = environment(change);
    for (const door of [worker as ExportedHandler<Environment>, members]) {
      for (const path of ["/", "/api/status", "/cell/heartbeat", "/control", "/backhaul/0"]) {
        const response = await ask(door, given, path);
        expect([path, response.status, response.headers.get(versionHeader)]).toEqual([path, 503, String(protocolVersion)]);
        expect(response.headers.get("retry-after")).not.toBeNull();
        expect((await response.json<{ error: string }>()).error).toMatch(sentence);
      }
    }
    expect(said.mock.calls.length).toBeLessThanOrEqual(1);
  });

  it("is served again by a process that has it", async () => {
    expect((await ask(worker as ExportedHandler<Environment>, env, "/")).status).toBe(200);
  });
});
