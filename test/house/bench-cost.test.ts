import { describe, expect, it, vi } from "vitest";
import { billOf, dollarsOf, minus, nothing, times } from "../../bench/cost/bill.ts";
import { metered, meteredWorker, type MeterReport, meterGlobals, type ObjectCounts } from "../../bench/cost/meter.ts";
import { framesPerCall } from "../../bench/scale/backhaul-simulation.ts";

describe("the bill", () => {
  it("is what Cloudflare's prices make of a million of each", () => {
    const million = 1_000_000;
    expect(dollarsOf({ ...nothing, objectRequests: million })).toBeCloseTo(0.15);
    expect(dollarsOf({ ...nothing, webSocketMessages: 20 * million })).toBeCloseTo(0.15);
    expect(dollarsOf({ ...nothing, peerMessages: 20 * million })).toBeCloseTo(0.15);
    expect(dollarsOf({ ...nothing, rowsWritten: million })).toBeCloseTo(1);
    expect(dollarsOf({ ...nothing, rowsRead: million })).toBeCloseTo(0.001);
    // 128 MB for a million seconds are 125 000 GB-s.
    expect(dollarsOf({ ...nothing, objectSeconds: million })).toBeCloseTo(1.5625);
    // A request with a millisecond of CPU time; over a binding the time alone.
    expect(dollarsOf({ ...nothing, workerRequests: million })).toBeCloseTo(0.32);
    expect(dollarsOf({ ...nothing, workerRequests: million }, true)).toBeCloseTo(0.02);
  });

  it("adds up what cells have counted: alarms are requests, and setting one is a row", () => {
    const counts: ObjectCounts = {
      started: 1,
      startedAt: {},
      calls: { takePeerBatch: 2, fetch: 1 },
      webSocketMessages: 5,
      peerMessages: 8,
      alarms: 3,
      alarmsSet: 4,
      rowsRead: 6,
      rowsWritten: 7,
      awakeMs: 8_000,
      outgoingMost: 2,
      subrequestsMost: 3,
    };
    const report: MeterReport = { worker: { "POST pair": 9 }, objects: { exchange: counts } };
    const bill = billOf([report, report]);
    expect(bill).toEqual({
      workerRequests: 18,
      objectRequests: 12,
      webSocketMessages: 10,
      peerMessages: 16,
      rowsWritten: 22,
      rowsRead: 12,
      objectSeconds: 16,
    });
    expect(times(minus(bill, billOf([report])), 2)).toEqual(bill);
  });
});

describe("the meter", () => {
  it("counts calls, messages, alarms and rows of a class that knows nothing of it", async () => {
    const storage = { sql: { exec: () => ({ rowsRead: 2, rowsWritten: 3 }) }, setAlarm: () => Promise.resolve() };
    class Plain {
      readonly #ctx: { storage: typeof storage };
      constructor(ctx: { storage: typeof storage }) {
        this.#ctx = ctx;
      }
      webSocketMessage(): void {
        this.#ctx.storage.sql.exec();
      }
      takePeerMessage(): void {}
      async ask(): Promise<string> {
        await this.#ctx.storage.setAlarm();
        return "answer";
      }
      alarm(): void {
        throw new Error("as it does");
      }
    }
    const Metered = metered("plain", Plain as never) as unknown as new (
      ctx: { storage: typeof storage; id: { name: string } },
      env: object,
    ) => Plain;
    const object = new Metered({ storage, id: { name: "plain-1" } }, {});
    object.webSocketMessage();
    object.takePeerMessage();
    expect(await object.ask()).toBe("answer");
    expect(() => object.alarm()).toThrow("as it does");
    const worker = meteredWorker({ fetch: () => new Response("the app's") });
    expect(await (await worker.fetch(new Request("http://cell/cell/pair/1", { method: "POST" }), {}, {})).text()).toBe("the app's");
    const report = (await (await worker.fetch(new Request("http://cell/meter"), {}, {})).json()) as MeterReport;
    expect(report.worker).toEqual({ "POST pair": 1 });
    expect(report.objects["plain"]).toMatchObject({
      started: 1,
      calls: { ask: 1 },
      webSocketMessages: 1,
      peerMessages: 2,
      alarms: 1,
      alarmsSet: 1,
      rowsRead: 2,
      rowsWritten: 3,
    });
  });
});

/** An object of that name whose only method is `act`, and what is counted of its kind. */
function objectThat(
  kind: string,
  act: () => void,
): {
  readonly act: () => void;
  readonly counts: () => Promise<ObjectCounts>;
} {
  type Context = {
    storage: { sql: { exec: () => { rowsRead: number; rowsWritten: number } }; setAlarm: () => Promise<void> };
    id: { name: string };
  };
  class Plain {
    act(): void {
      act();
    }
  }
  const Metered = metered(kind, Plain) as unknown as new (ctx: Context, env: object) => Plain;
  const storage = { sql: { exec: () => ({ rowsRead: 0, rowsWritten: 0 }) }, setAlarm: () => Promise.resolve() };
  const object = new Metered({ storage, id: { name: "one" } }, {});
  const worker = meteredWorker({ fetch: () => new Response() });
  return {
    act: () => object.act(),
    counts: async () => {
      const report = (await (await worker.fetch(new Request("http://cell/meter"), {}, {})).json()) as MeterReport;
      const counts = report.objects[kind];
      if (counts === undefined) throw new Error("nothing is counted");
      return counts;
    },
  };
}

describe("the meter of what keeps an object awake", () => {
  it("counts a timer until it rings or is cleared, and a request until it is answered; the most at once, and the most of one event", async () => {
    vi.useFakeTimers({ now: 1_000_000 });
    try {
      const answers: (() => void)[] = [];
      const refused: string[] = [];
      const scope = {
        setTimeout: setTimeout as never,
        clearTimeout: clearTimeout as never,
        fetch: async () => await new Promise<void>((answered) => answers.push(answered)),
      };
      meterGlobals(scope);
      const set = scope.setTimeout as unknown as (run: () => void, ms: number) => unknown;
      let step = 0;
      let cleared: unknown;
      const object = objectThat("limited", () => {
        step += 1;
        if (step === 1) set(() => {}, 2_000);
        if (step === 2) cleared = set(() => {}, 60_000);
        if (step === 3) (scope.clearTimeout as (handle: unknown) => void)(cleared);
        if (step === 4)
          for (let number = 0; number < 7; number += 1) void scope.fetch().catch((error: unknown) => refused.push(String(error)));
      });
      object.act();
      await vi.advanceTimersByTimeAsync(5_000);
      expect((await object.counts()).awakeMs).toBe(2_000);
      object.act();
      await vi.advanceTimersByTimeAsync(1_000);
      object.act();
      await vi.advanceTimersByTimeAsync(5_000);
      expect((await object.counts()).awakeMs).toBe(3_000);
      object.act();
      await vi.advanceTimersByTimeAsync(500);
      for (const answer of answers) answer();
      await vi.advanceTimersByTimeAsync(5_000);
      expect(await object.counts()).toMatchObject({ awakeMs: 3_500, outgoingMost: 7, subrequestsMost: 7 });
      // Six are let through, as Cloudflare does.
      expect([answers.length, refused]).toEqual([6, ["Error: limited|one has 6 requests under way: a further one would wait"]]);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe("the flush rule in simulated time", () => {
  it("sends a frame for each message of rare calls, and gathers those of many", () => {
    expect(framesPerCall(0.1, 3)).toBeCloseTo(6, 1);
    expect(framesPerCall(1_000, 3)).toBeLessThan(1);
  });
});
