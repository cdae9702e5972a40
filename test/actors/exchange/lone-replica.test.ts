import { beforeEach, describe, expect, it } from "vitest";
import { LoneReplica } from "../../../actors/exchange/lone-replica.ts";
import { loneLastingMs } from "../../../actors/limits.ts";
import { VirtualTime } from "../virtual-time.ts";

describe("a replica without its peer", () => {
  let time: VirtualTime;
  let told: (string | undefined)[];
  let cause: string;

  const replica = (): LoneReplica =>
    new LoneReplica({ timer: (run) => time.timer(run), causeNow: () => cause, tell: (why) => void told.push(why) });

  beforeEach(() => {
    time = new VirtualTime();
    told = [];
    cause = "";
  });

  it("says nothing of waking, nor of what is over in a moment", () => {
    const lone = replica();
    for (let wakes = 0; wakes < 10; wakes += 1) {
      lone.changed("lagging");
      time.pass(loneLastingMs - 1);
      lone.changed("together");
      time.pass(60_000);
    }
    expect(told).toEqual([]);
  });

  it("says nothing while it catches up", () => {
    replica().changed("syncing");
    time.pass(60_000);
    expect(told).toEqual([]);
  });

  it("says once what lasts, with the cause of then, and once that it is over", () => {
    const lone = replica();
    cause = "no answer within 200 ms";
    lone.changed("lagging");
    cause = "connection refused";
    lone.changed("away");
    time.pass(loneLastingMs);
    lone.changed("lagging");
    time.pass(60_000);
    expect(told).toEqual(["connection refused"]);
    lone.changed("together");
    expect(told).toEqual(["connection refused", undefined]);
    time.pass(60_000);
    expect(told).toHaveLength(2);
  });

  it("says it anew when what it has told is true no more, and not when it is", () => {
    const lone = replica();
    cause = "cell b is down";
    lone.changed("away");
    time.pass(loneLastingMs);
    for (const next of ["cell b is down", "cell b is up again, and has not answered yet"]) {
      cause = next;
      lone.changed("away");
    }
    lone.changed("together");
    lone.changed("away");
    time.pass(loneLastingMs);
    expect(told).toEqual([
      "cell b is down",
      "cell b is up again, and has not answered yet",
      undefined,
      "cell b is up again, and has not answered yet",
    ]);
  });

  it("counts from the first state of several, not from the last", () => {
    const lone = replica();
    lone.changed("lagging");
    time.pass(loneLastingMs - 1);
    lone.changed("away");
    expect(told).toEqual([]);
    time.pass(1);
    expect(told).toHaveLength(1);
  });

  it("says the end of what was told before it slept, whichever is known first", () => {
    const lone = replica();
    lone.changed("lagging");
    lone.wasTold();
    lone.changed("together");
    expect(told).toEqual([undefined]);
    const other = replica();
    other.changed("together");
    other.wasTold();
    expect(told).toEqual([undefined, undefined]);
  });

  it("does not say again what was told before it slept", () => {
    const lone = replica();
    lone.changed("lagging");
    lone.wasTold();
    time.pass(60_000);
    lone.changed("away");
    time.pass(60_000);
    expect(told).toEqual([]);
  });
});
