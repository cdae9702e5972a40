import { once } from "node:events";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { protocolVersion, versionHeader } from "../../cluster/protocol-version.ts";
import { authorizationFor } from "../../workers/signature.ts";
import { residentKilobytes } from "./memory.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";

/** What strangers try at the doors of a started system, where only the runtime itself can show what becomes of it. */
let system: Tandem;

beforeAll(async () => {
  system = await startTandem({ webSocket: true });
});

afterAll(() => system?.stop());

type Answered = { readonly status: number; readonly text: string };

/** One request to a cell, by its place in the map. */
function ask(cell: number, method: string, path: string, authorization: string): Promise<Answered> {
  const url = new URL(path, system.run.cells[cell]?.url);
  const headers = { [versionHeader]: String(protocolVersion), ...(authorization === "" ? {} : { authorization }) };
  return new Promise((answered, failed) => {
    const outgoing = request(url, { method, headers, agent: false }, (incoming) => {
      let text = "";
      incoming.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
      incoming.once("end", () => answered({ status: incoming.statusCode ?? 0, text }));
    });
    outgoing.once("error", failed).end();
  });
}

function signatureFor(method: string, path: string): string {
  const secret = readFileSync(join(system.state, "secret"), "utf8").trim();
  return authorizationFor(secret, { purpose: "api", who: "cli", to: "a", method, path }, Date.now());
}

describe("a captured signature", () => {
  it("is good once, for its cell, its method, its path and its query", async () => {
    const path = "/api/registrations?aor=alice%40example.test";
    const authorization = signatureFor("GET", path);
    for (const [cell, method, asked] of [
      [1, "GET", path],
      [0, "GET", "/api/registrations"],
      [0, "GET", "/api/status"],
      [0, "DELETE", "/api/subscribers?aor=alice%40example.test"],
    ] as const) {
      expect((await ask(cell, method, asked, authorization)).status).toBe(401);
    }
    expect((await ask(0, "GET", path, authorization)).status).toBe(200);
    expect(await ask(0, "GET", path, authorization)).toEqual({ status: 401, text: '{"error":"the signature has been used"}' });
    expect((await system.cli("subscriber", "list")).out).toContain("alice@example.test");
  });
});

/** A cell may grow by this while strangers are at it: garbage that nobody has collected yet. */
const growthKilobytesMax = 48 * 1024;

it("bodies that nobody signed are not kept, and whoever sends them is told so at once", async () => {
  const { pid = 0, url = "" } = system.run.cells[0] ?? {};
  const before = residentKilobytes(pid);
  const length = 8 * 1024 * 1024 - 1;
  const chunk = Buffer.alloc(64 * 1024, 0x78);
  const sockets = Array.from({ length: 60 }, () => connect({ host: "127.0.0.1", port: Number(new URL(url).port) }));
  const answers = await Promise.all(
    sockets.map(async (socket) => {
      const ended = new Promise<void>((resolve) => socket.on("error", () => {}).once("close", () => resolve()));
      const answered = new Promise<string>((resolve) => socket.once("data", (data: Buffer) => resolve(data.toString("latin1"))));
      socket.write(`PUT /api/subscribers HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`);
      const answer = await answered;
      // All but the end, as long as it is taken.
      for (let sent = 0; sent + chunk.length < length && socket.writable; sent += chunk.length) {
        if (!socket.write(chunk)) await Promise.race([new Promise((resolve) => socket.once("drain", resolve)), ended]);
      }
      socket.destroy();
      return answer;
    }),
  );
  expect(residentKilobytes(pid) - before).toBeLessThan(growthKilobytesMax);
  expect(answers.filter((answer) => !answer.startsWith("HTTP/1.1 401 "))).toEqual([]);
  expect((await ask(0, "GET", "/api/status", signatureFor("GET", "/api/status"))).status).toBe(200);
});

/** Ports of both doors for softphones. */
function portOf(door: string): number {
  return system.firstPort + (door === "a cell" ? 2 : 4);
}

describe.each(["a cell", "the gateway"])("the WebSocket door of %s", (door) => {
  it("compresses nothing: a frame cannot be larger than what came", async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${portOf(door)}/`, "sip", { perMessageDeflate: true });
    await once(socket, "open");
    expect(socket.extensions).toBe("");
    socket.terminate();
  });

  it("[RFC6455 5.5.1] answers a close frame at once, as browsers want it", async () => {
    const socket = new globalThis.WebSocket(`ws://127.0.0.1:${portOf(door)}/`, "sip");
    await once(socket, "open");
    const closing = once(socket, "close");
    const at = performance.now();
    socket.close(1000, "bye");
    const [{ code, wasClean }] = (await closing) as [CloseEvent];
    expect({ code, wasClean }).toEqual({ code: 1000, wasClean: true });
    expect(performance.now() - at).toBeLessThan(2_000);
  });
});
