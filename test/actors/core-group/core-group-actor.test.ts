import { describe, expect, it } from "vitest";
import { CoreGroupActor, type Beat, type BeatOutcome, type CoreGroupOptions } from "../../../actors/core-group/core-group-actor.ts";
import { standstillMsMin, tellTriesMax } from "../../../actors/limits.ts";
import type { Heartbeat } from "../../../cluster/group/heartbeat.ts";
import type { ClusterMap } from "../../../cluster/map/cluster-map.ts";

const map: ClusterMap = {
  version: 3,
  cells: ["a", "b", "c"].map((id) => ({ id, url: "http://127.0.0.1" })),
  exchangeCount: 6,
  lineCount: 1,
  domains: [{ name: "example.test", auth: "digest" }],
  aliases: [],
  heartbeat: { periodMs: 1_000, missed: 3 },
  replication: { ackTimeoutMs: 200 },
  flushMs: 1_000,
};

type Sent = { readonly beat: Beat; readonly late: () => void; readonly over: (outcome: BeatOutcome) => void };

/** The group of cell a, its clock, and calls that end when a test says so. */
class Rig {
  now = 1_790_000_000_000;
  /** What was done, in order. */
  readonly done: string[] = [];
  readonly exchangesTold: number[] = [];
  /** Gateways that answer pings. */
  readonly gateways: string[] = [];
  /** Those that have fallen silent, and when they were heard last, by the wall clock. */
  readonly silent = new Map<string, number>();
  /** What the wall clock is ahead of the steady one. */
  aheadMs = 0;
  beats: Sent[] = [];
  /** What an exchange says that is told; undefined: that it serves. */
  failure: Error | undefined;
  armed = { nextTick: 0, nextDeadline: 0 };
  readonly group: CoreGroupActor;

  constructor(options: Partial<CoreGroupOptions> = {}) {
    this.group = new CoreGroupActor(
      { cell: "a", boot: "a1", map, settings: undefined, epoch: 10, gateways: [], isDraining: false, ...options },
      {
        now: () => this.now,
        wallAt: (moment) => moment + this.aheadMs,
        heard: () => [...this.gateways.map((gateway) => [gateway, this.now + this.aheadMs] as const), ...this.silent],
        arm: (nextTick, nextDeadline) => void (this.armed = { nextTick, nextDeadline }),
        beat: (beat, late, over) => void this.beats.push({ beat, late, over }),
        keepView: ({ epoch }) => void this.done.push(`keeps ${epoch}`),
        keepSettings: ({ version }) => void this.done.push(`keeps map ${version}`),
        sendToGateways: (message) =>
          void this.done.push(message.type === "view" ? `says view ${message.view.epoch}` : `says map ${message.map.version}`),
        tellExchange: (exchange, _view, told) => {
          this.exchangesTold.push(exchange);
          told(this.failure ?? { isServing: true });
        },
        drainLines: (isWanted) => void this.done.push(isWanted ? "drains" : "takes softphones"),
        fenced: (isFenced) => void this.done.push(isFenced ? "fenced" : "not fenced"),
        untold: (exchange) => void this.done.push(`could not tell ${exchange}`),
      },
    );
    this.group.tick();
  }

  /** The others answer all that they were sent. */
  answerAll(states: Partial<Record<string, Heartbeat["state"]>> = {}): this {
    for (const { beat, over } of this.beats.splice(0)) over(this.answerOf(beat, states[beat.to] ?? "up"));
    return this;
  }

  answerOf({ to, heartbeat }: Beat, state: Heartbeat["state"]): Heartbeat {
    return { ...heartbeat, cell: to, boot: `${to}1`, state, epoch: 1, gateways: [] };
  }

  gatewayOpens(gateway: string): void {
    this.gateways.push(gateway);
    this.group.gatewayOpened(gateway);
  }

  /** The next tick comes in time. */
  beat(): this {
    this.now = this.armed.nextTick;
    this.group.tick();
    return this;
  }

  stateOf(cell: string): string | undefined {
    return this.group.view.cells.find(({ id }) => id === cell)?.state;
  }

  statesOf(...gateways: readonly string[]): (string | undefined)[] {
    return gateways.map((gateway) => this.group.view.gateways.find(({ id }) => id === gateway)?.state);
  }
}

/** Everybody is up and has been told so. */
function running(): Rig {
  const rig = new Rig().answerAll();
  for (let beats = 0; beats < 3; beats += 1) rig.beat().answerAll();
  expect(rig.stateOf("a")).toBe("up");
  rig.done.length = 0;
  rig.exchangesTold.length = 0;
  return rig;
}

describe("a change of the view", () => {
  it("is kept before anybody hears of it", () => {
    const rig = running();
    const { epoch } = rig.group.view;
    rig.gatewayOpens("g1");
    expect(rig.done).toEqual([`keeps ${epoch + 1}`, `says view ${epoch + 1}`, "takes softphones"]);
  });

  it("goes to the exchanges that have asked, and to those whose pair it is about, once to each", () => {
    const rig = running();
    rig.gatewayOpens("g1");
    expect(rig.exchangesTold).toEqual([]);
    rig.group.viewFor(1, false);
    rig.gatewayOpens("g2");
    expect(rig.exchangesTold).toEqual([1]);
    rig.exchangesTold.length = 0;
    // Of six exchanges of three cells two have their pair in a and b.
    for (let missed = 0; missed < 4; missed += 1) {
      rig.beat();
      for (const { beat, over } of rig.beats.splice(0)) over(beat.to === "b" ? { failure: "error" } : rig.answerOf(beat, "up"));
    }
    expect([rig.stateOf("b"), rig.stateOf("c")]).toEqual(["down", "up"]);
    expect(new Set(rig.exchangesTold).size).toBe(3);
    expect(rig.exchangesTold).toContain(1);
  });

  it("is told again with the beats to an exchange that could not be told, a few times, and said once", () => {
    const rig = running();
    rig.group.viewFor(2, false);
    rig.failure = new Error("it does not start");
    rig.gatewayOpens("g1");
    for (let beats = 0; beats < 2 * tellTriesMax; beats += 1) {
      rig.beat().answerAll();
      rig.group.tellUntold();
    }
    expect(rig.exchangesTold).toEqual(Array.from({ length: tellTriesMax }, () => 2));
    expect(rig.done.filter((line) => line.startsWith("could not"))).toEqual(["could not tell 2"]);
  });
});

describe("a heartbeat", () => {
  it("that is late is missed, and its answer counts all the same: only one that has none says that a cell is down", () => {
    const rig = running();
    for (let beats = 0; beats < 2 * map.heartbeat.missed; beats += 1) {
      rig.beat();
      const sent = rig.beats.splice(0);
      rig.now += sent[0]?.beat.timeoutMs ?? 0;
      for (const { beat, late, over } of sent) {
        late();
        over(rig.answerOf(beat, "up"));
      }
    }
    expect(rig.stateOf("b")).toBe("up");
    for (let beats = 0; beats < map.heartbeat.missed; beats += 1) {
      rig.beat();
      const sent = rig.beats.splice(0);
      rig.now += sent[0]?.beat.timeoutMs ?? 0;
      for (const { late } of sent) late();
    }
    expect(rig.stateOf("b")).toBe("down");
  });

  it("of another cell is answered, and comes with every event that finds it overdue", () => {
    const rig = running();
    rig.now = rig.armed.nextTick + map.heartbeat.periodMs + 1;
    rig.group.wake();
    expect(rig.beats.map(({ beat }) => beat.to)).toEqual(["b", "c"]);
    const [sent] = rig.beats;
    expect(sent === undefined ? undefined : rig.group.heartbeat(rig.answerOf(sent.beat, "up"))).toMatchObject({ cell: "a", state: "up" });
  });
});

describe("a process that stood still", () => {
  it("is known by its beat, which came too late by that", () => {
    const rig = running();
    rig.now = rig.armed.nextTick + standstillMsMin - 1;
    expect(rig.group.wentOnAgoMs()).toBe(Number.POSITIVE_INFINITY);
    rig.beat();
    rig.now = rig.armed.nextTick + standstillMsMin;
    expect(rig.group.wentOnAgoMs()).toBe(0);
    rig.now += 1;
    expect(rig.group.wentOnAgoMs()).toBe(1);
  });
});

describe("the wall clock is set", () => {
  it.each([-3_600_000, -60_000, 3_600_000])(
    "by %i ms: a gateway that answers stays, and one that is silent goes as soon as without",
    (stepMs) => {
      const rig = running();
      rig.gatewayOpens("g1");
      rig.gatewayOpens("g2");
      rig.beat().answerAll();
      rig.silent.set("g2", rig.now + rig.aheadMs);
      rig.gateways.splice(rig.gateways.indexOf("g2"), 1);
      rig.aheadMs += stepMs;
      for (let beats = 1; beats <= map.heartbeat.missed; beats += 1) rig.beat().answerAll();
      expect(rig.statesOf("g1", "g2")).toEqual(["up", "up"]);
      rig.beat().answerAll();
      expect(rig.statesOf("g1", "g2")).toEqual(["up", "down"]);
      expect(rig.stateOf("b")).toBe("up");
    },
  );
});

describe("settings", () => {
  it("that were changed win over an older map, and not over a newer one", () => {
    const changed = { version: 4, heartbeat: { periodMs: 500, missed: 5 } };
    expect(new Rig({ settings: changed }).group.settings).toEqual(changed);
    expect(new Rig({ settings: { ...changed, version: 3 } }).group.settings).toEqual({ version: 3, heartbeat: map.heartbeat });
  });

  it("are kept, and told to gateways as a newer map and to the exchanges that listen", () => {
    const rig = running();
    rig.group.viewFor(4, false);
    rig.group.setHeartbeat({ periodMs: 250, missed: 4 });
    const { version } = rig.group.settings;
    expect(version).toBeGreaterThan(map.version);
    expect(rig.done.slice(0, 2)).toEqual([`keeps map ${version}`, `says map ${version}`]);
    expect([rig.exchangesTold, rig.group.map.heartbeat]).toEqual([[4], { periodMs: 250, missed: 4 }]);
  });
});

describe("a cell that is taken out of service", () => {
  it("sends its softphones elsewhere as long as another one is up, and takes them again", () => {
    const rig = running();
    expect(rig.group.setDraining(true)).toBe("done");
    expect(rig.done.at(-1)).toBe("drains");
    expect(rig.group.setDraining(false)).toBe("done");
    expect(rig.done.at(-1)).toBe("takes softphones");
  });

  it("is not, when no other is up", () => {
    const rig = new Rig();
    for (const { over } of rig.beats.splice(0)) over({ failure: "refused" });
    expect(rig.group.setDraining(true)).toBe("last");
    expect(rig.done).not.toContain("drains");
  });
});

describe("an exchange that catches up", () => {
  it("holds up a cell that joins until it has", () => {
    const rig = new Rig();
    rig.group.viewFor(0, true);
    rig.failure = new Error("it has only started");
    rig.answerAll();
    expect(rig.stateOf("a")).toBe("joining");
    rig.now += 1;
    rig.group.tick();
    expect(rig.stateOf("a")).toBe("joining");
    for (const exchange of [0, 1, 2, 3, 4, 5]) rig.group.caughtUp(exchange);
    expect(rig.stateOf("a")).toBe("up");
  });
});
