import { describe, expect, it } from "vitest";
import { CoreGroupActor, type Beat, type BeatOutcome, type CoreGroupOptions } from "../../../actors/core-group/core-group-actor.ts";
import { leftAskedMs, mapSpreadMs, mapSpreadMsMax, standstillMsMin, tellTriesMax } from "../../../actors/limits.ts";
import type { Heartbeat } from "../../../cluster/group/heartbeat.ts";
import { pairOf, type ClusterMap } from "../../../cluster/map/cluster-map.ts";
import { assignmentsOf } from "../../../cluster/map/serving-cells.ts";

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
  /** What a service answers that is asked whether it can be done here; undefined: nothing. */
  service: boolean | undefined = true;
  /** What an exchange says that is told; undefined: that it serves. */
  failure: Error | undefined;
  armed = { nextTick: 0, nextDeadline: 0 };
  readonly group: CoreGroupActor;

  constructor(options: Partial<CoreGroupOptions> = {}) {
    this.group = new CoreGroupActor(
      { cell: "a", boot: "a1", deployed: map, kept: undefined, epoch: 10, gateways: [], isDraining: false, ...options },
      {
        now: () => this.now,
        wallAt: (moment) => moment + this.aheadMs,
        heard: () => [...this.gateways.map((gateway) => [gateway, this.now + this.aheadMs] as const), ...this.silent],
        arm: (nextTick, nextDeadline) => void (this.armed = { nextTick, nextDeadline }),
        beat: (beat, late, over) => void this.beats.push({ beat, late, over }),
        keepView: ({ epoch }) => void this.done.push(`keeps ${epoch}`),
        keepMap: ({ version }) => void this.done.push(`keeps map ${version}`),
        keepLeft: (exchanges) => void this.done.push(`keeps left ${exchanges.join(" ")}`),
        sendToGateways: (message) =>
          void this.done.push(message.type === "view" ? `says view ${message.view.epoch}` : `says map ${message.map.version}`),
        tellExchange: (exchange, _view, told) => {
          this.exchangesTold.push(exchange);
          told(this.failure ?? { isServing: true });
        },
        drainLines: (mode) => void this.done.push(`${mode}s softphones`),
        fenced: (isFenced) => void this.done.push(isFenced ? "fenced" : "not fenced"),
        singleton: (name, isOwner, { epoch, writer }) =>
          void this.done.push(`${isOwner ? "does" : "does not do"} ${name} since ${epoch}${writer}`),
        askSingleton: (_name, answer) => {
          if (this.service !== undefined) answer(this.service);
        },
        mapRefused: (text) => void this.done.push(text),
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
    return { ...heartbeat, cell: to, boot: `${to}1`, state, epoch: 1, gateways: [], hears: [], single: [], unfit: [] };
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
    expect(rig.done).toEqual([`keeps ${epoch + 1}`, `says view ${epoch + 1}`]);
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
    expect(new Rig({ kept: { ...map, ...changed } }).group.settings).toEqual(changed);
    expect(new Rig({ kept: { ...map, ...changed, version: 3 } }).group.settings).toEqual({ version: 3, heartbeat: map.heartbeat });
  });

  it("are kept, and told to gateways as a newer map and to the exchanges that listen", () => {
    const rig = running();
    rig.group.viewFor(4, false);
    rig.group.changeMap({ heartbeat: { periodMs: 250, missed: 4 } });
    const { version } = rig.group.settings;
    expect(version).toBeGreaterThan(map.version);
    expect(rig.done.slice(0, 2)).toEqual([`keeps map ${version}`, `says map ${version}`]);
    expect([rig.exchangesTold, rig.group.map.heartbeat]).toEqual([[4], { periodMs: 250, missed: 4 }]);
  });
});

describe("a map that moves a replica", () => {
  it("is kept and told to gateways, and to those exchanges of this cell that have another pair, whoever has slept", () => {
    const rig = running();
    const assignments = Array.from({ length: 6 }, (_, exchange) => pairOf(map, exchange));
    // Exchange 1 had no replica in cell a, exchange 2 had one.
    const moved = assignments.with(1, { primary: "b", secondary: "a" }).with(2, { primary: "c", secondary: "b" });
    expect([assignments[1], assignments[2]]).toEqual([
      { primary: "b", secondary: "c" },
      { primary: "c", secondary: "a" },
    ]);
    rig.exchangesTold.length = 0;
    rig.done.length = 0;
    rig.group.changeMap({ assignments: moved });
    expect(rig.done).toEqual(["keeps map 4", "keeps left 2", "says map 4"]);
    expect(rig.exchangesTold).toEqual([2, 1]);
    expect(rig.group.map).toEqual({ ...map, assignments: moved, version: 4, writer: "a", statedAt: 3 });
  });
});

/** Somebody has the map changed. What he is told. */
function toldOfChange(rig: Rig): boolean[] {
  const told: boolean[] = [];
  rig.group.changeMap({ preferred: ["a"] }, (isKnown) => void told.push(isKnown));
  return told;
}

describe("who has the map changed", () => {
  it("is told when the others have answered that they have it, and not before", () => {
    const rig = running();
    const told = toldOfChange(rig);
    rig.now = rig.armed.nextDeadline;
    rig.group.tick();
    const [toB, toC] = rig.beats.splice(0);
    if (toB === undefined || toC === undefined) throw new Error("the others were not told");
    expect([toB.beat.heartbeat.map?.preferred, told]).toEqual([["a"], []]);
    toB.over(rig.answerOf(toB.beat, "up"));
    expect(told).toEqual([]);
    toC.over(rig.answerOf(toC.beat, "up"));
    expect(told).toEqual([true]);
  });

  it("is told when one has it, where the other one does not answer", () => {
    const rig = running();
    const told = toldOfChange(rig);
    const from = rig.now;
    rig.now = rig.armed.nextDeadline;
    rig.group.tick();
    const [toB] = rig.beats.splice(0);
    toB?.over(rig.answerOf(toB.beat, "up"));
    while (told.length === 0 && rig.now < from + 2 * mapSpreadMs) {
      rig.now = rig.armed.nextDeadline;
      rig.group.tick();
    }
    expect([told, rig.now - from]).toEqual([[true], mapSpreadMs]);
  });

  it("is told that nobody has heard of it, where none answers", () => {
    const rig = running();
    const told = toldOfChange(rig);
    const from = rig.now;
    while (told.length === 0 && rig.now < from + 2 * mapSpreadMsMax) {
      rig.now = rig.armed.nextDeadline;
      rig.group.tick();
    }
    expect([told, rig.now - from]).toEqual([[false], mapSpreadMsMax]);
  });

  it("is told that it may be lost, where another cell has written a map meanwhile", () => {
    const rig = running();
    const told = toldOfChange(rig);
    const written = { ...map, version: rig.group.map.version + 1, writer: "b", healAfterMs: 40_000, statedAt: map.version };
    const settings = { version: written.version, heartbeat: map.heartbeat };
    const says = { cell: "b", boot: "b2", sequence: 1, state: "up" as const, epoch: 1, gateways: [] };
    rig.group.heartbeat({ ...says, settings, writer: "b", map: written });
    expect([told, rig.group.map.healAfterMs, rig.group.map.preferred]).toEqual([[false], 40_000, undefined]);
  });

  it("is told at once where no other cell is up", () => {
    const rig = running();
    for (let beats = 0; beats < 4; beats += 1) {
      rig.beat();
      for (const { late } of rig.beats.splice(0)) late();
    }
    expect([rig.stateOf("b"), rig.stateOf("c"), toldOfChange(rig)]).toEqual(["down", "down", [true]]);
  });
});

describe("what replicas have left in a cell", () => {
  it("is kept until it is handed over; the exchange is woken at each start of the group, and then hears of nothing more", () => {
    const rig = new Rig({ left: [4] });
    rig.exchangesTold.length = 0;
    rig.group.tellUntold();
    expect(rig.exchangesTold).toEqual([4]);
    rig.group.viewFor(4, false);
    rig.done.length = 0;
    rig.group.emptied(4);
    expect(rig.done).toEqual(["keeps left "]);
    rig.exchangesTold.length = 0;
    rig.group.changeMap({ heartbeat: { periodMs: 250, missed: 4 } });
    expect(rig.exchangesTold).toEqual([]);
  });

  it("is asked for now and then: one that has emptied itself says so when it is woken", () => {
    const rig = new Rig({ left: [4] });
    rig.group.tellUntold();
    rig.exchangesTold.length = 0;
    rig.now += leftAskedMs - 1;
    rig.group.tick();
    expect(rig.exchangesTold).toEqual([]);
    rig.now += 1;
    rig.group.tick();
    expect([rig.exchangesTold, rig.group.left]).toEqual([[4], [4]]);
    rig.group.emptied(4);
    rig.now += leftAskedMs;
    rig.group.tick();
    expect([rig.exchangesTold, rig.group.left]).toEqual([[4], []]);
  });

  it("is nothing where the map gives it back", () => {
    const rig = running();
    const assignments = Array.from({ length: 6 }, (_, exchange) => pairOf(map, exchange));
    rig.group.changeMap({ assignments: assignments.with(2, { primary: "c", secondary: "b" }) });
    rig.done.length = 0;
    rig.group.changeMap({ assignments: assignments.with(2, { primary: "c", secondary: "b", joining: "a" }) });
    expect(rig.done).toContain("keeps left ");
    expect(rig.exchangesTold.at(-1)).toBe(2);
  });
});

describe("a copy of a replica that knows all", () => {
  it("is told to the others at once", () => {
    const rig = running();
    rig.beats.length = 0;
    rig.group.replicaIsCopied(0, "c");
    expect(rig.armed.nextDeadline).toBeLessThan(rig.armed.nextTick);
    rig.now = rig.armed.nextDeadline;
    rig.group.tick();
    expect(rig.beats.map(({ beat }) => beat.heartbeat.copies)).toEqual([[{ exchange: 0, cell: "c" }], [{ exchange: 0, cell: "c" }]]);
  });
});

describe("a cell that is taken out of service", () => {
  it("sends its softphones elsewhere as long as another one is up, and takes them again", () => {
    const rig = running();
    expect(rig.group.setDraining(true)).toBe("done");
    expect(rig.done.at(-1)).toBe("sends softphones");
    expect(rig.group.setDraining(false)).toBe("done");
    expect(rig.done.at(-1)).toBe("takes softphones");
  });

  it("keeps them while it gives its replicas away, for it is to have none, and takes no new ones", () => {
    const rig = running();
    const cells = map.cells.map((cell) => (cell.id === "a" ? { ...cell, weight: 0 } : cell));
    const assignments = assignmentsOf(map);
    rig.group.changeMap({ cells, assignments });
    expect(rig.group.setDraining(true)).toBe("done");
    expect(rig.done.at(-1)).toBe("keeps softphones");
    rig.group.changeMap({ cells, assignments: assignments.map(() => ({ primary: "b", secondary: "c" })) });
    expect(rig.done.filter((line) => line.endsWith("softphones"))).toEqual(["keeps softphones", "sends softphones"]);
    rig.group.changeMap({ cells: map.cells, assignments });
    expect(rig.group.setDraining(false)).toBe("done");
    expect(rig.done.filter((line) => line.endsWith("softphones")).at(-1)).toBe("takes softphones");
  });

  it("is not, when no other is up", () => {
    const rig = new Rig();
    for (const { over } of rig.beats.splice(0)) over({ failure: "refused" });
    expect(rig.group.setDraining(true)).toBe("last");
    expect(rig.done).not.toContain("sends softphones");
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

/** What was told of services. */
function ofServices({ done }: Rig): string[] {
  return done.filter((line) => line.includes("call-records"));
}

describe("a service of the group", () => {
  it("is done by the first cell since the map was deployed, and by another one when that is down", () => {
    expect(ofServices(new Rig())).toEqual(["does call-records since 3"]);
    const rig = new Rig({ cell: "b", boot: "b1" });
    for (let beats = 0; beats < 6; beats += 1) {
      rig.beat();
      for (const { beat, over } of rig.beats.splice(0)) over(beat.to === "a" ? { failure: "error" } : rig.answerOf(beat, "up"));
    }
    expect(ofServices(rig)).toEqual(["does not do call-records since 3", "does call-records since 4b"]);
    expect(rig.group.map.singletons).toEqual([{ name: "call-records", owners: ["b"], since: { epoch: 4, writer: "b" } }]);
  });

  it.each([false, undefined])("that says %s when it is asked is done elsewhere, and is asked on until it can", (answer) => {
    const rig = running();
    rig.service = answer;
    for (let beats = 0; beats < 12; beats += 1) rig.beat().answerAll();
    expect(ofServices(rig)).toEqual(["does not do call-records since 4a"]);
    rig.beat();
    expect(rig.beats.map(({ beat }) => beat.heartbeat.unfit)).toEqual([["call-records"], ["call-records"]]);
    rig.service = true;
    for (let beats = 0; beats < 6; beats += 1) rig.answerAll().beat();
    expect(ofServices(rig)).toHaveLength(1);
    expect(rig.beats.every(({ beat }) => beat.heartbeat.unfit === undefined)).toBe(true);
  });
});
