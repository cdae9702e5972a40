import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { startTandem, type Tandem } from "./tandem.ts";

/** What strangers try at the doors of a started system, where only the runtime itself can show what becomes of it. */
let system: Tandem;

beforeAll(async () => {
  system = await startTandem({ webSocket: true });
});

afterAll(() => system?.stop());

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
