import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import { lineName } from "../../workers/environment.ts";
import { firstMessageMs } from "../../workers/limits.ts";
import { LineObject } from "../../workers/line/line-object.ts";

/** In a file of its own: a timer of another object that is set meanwhile would be a false one, and ring within the line. */
describe("a line whose disk is one's own", () => {
  it("writes nothing: a timer looks for those that say nothing, and no alarm", async () => {
    const line = env.LINE.getByName(lineName(3));
    const open = { headers: { upgrade: "websocket", "sec-websocket-protocol": "sip" } };
    await runInDurableObject(line, async (_instance, state) => {
      const disk = { fetch: () => Promise.reject(new Error("the disk is full")) } as unknown as Fetcher;
      await state.storage.deleteAlarm();
      const before = state.storage.sql.databaseSize;
      vi.useFakeTimers({ toFake: ["Date", "setTimeout", "clearTimeout"] });
      const object = new LineObject(state, { ...env, DISK: disk });
      const { webSocket } = object.fetch(new Request("http://a.invalid/", open));
      const closed = new Promise((resolve) => webSocket?.addEventListener("close", ({ code }) => resolve(code)));
      webSocket?.accept();
      expect([await state.storage.getAlarm(), state.storage.sql.databaseSize]).toEqual([null, before]);
      await vi.advanceTimersByTimeAsync(firstMessageMs);
      vi.useRealTimers();
      expect(await closed).toBe(1008);
    });
  });
});
