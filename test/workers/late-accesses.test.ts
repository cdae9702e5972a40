import { env } from "cloudflare:workers";
import { expect, it, vi } from "vitest";
import type { Heartbeat } from "../../cluster/group/heartbeat.ts";
import { coreGroupName } from "../../workers/environment.ts";
import { answerAsPeer, map, signature, upgrade } from "./cell.ts";

it("a cell says in its heartbeats which gateways and lines find exchanges late, as long as they do", async () => {
  const got: Heartbeat[] = [];
  answerAsPeer(async (request) => {
    got.push(await request.json<Heartbeat>());
    const settings = { version: map.version, heartbeat: map.heartbeat };
    return Response.json({ cell: "b", boot: "1", sequence: got.length, state: "up", epoch: 3, gateways: [], settings } satisfies Heartbeat);
  });
  const { webSocket } = await upgrade("/control", { authorization: signature("control", "g1", "GET /control") });
  if (webSocket === null) throw new Error("no control socket");
  webSocket.accept();
  const saysAgain = async (): Promise<void> => {
    webSocket.send(JSON.stringify({ type: "late" }));
    await env.CORE_GROUP.getByName(coreGroupName).accessIsLate("a.1");
    expect(got.at(-1)?.late?.toSorted()).toEqual(["a.1", "g1"]);
  };
  await vi.waitFor(saysAgain, { timeout: 20_000 });
  await vi.waitFor(() => expect(got.at(-1)?.late).toBeUndefined(), { timeout: 20_000 });
  webSocket.close();
});
