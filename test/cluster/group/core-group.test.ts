import { describe, expect, it } from "vitest";
import { joiningMsMax } from "../../../cluster/limits.ts";
import { Simulation, cellName, type SimulationOptions } from "./group-simulation.ts";

/** A system in which everybody has found everybody. */
function running(options: Partial<SimulationOptions> = {}): Simulation {
  const simulation = new Simulation({ cells: 2, gateways: 2, ...options }).startAll();
  simulation.run(2_500);
  return simulation;
}

describe("joining", () => {
  it("all are up within a heartbeat, and every change has its cause", () => {
    const simulation = new Simulation({ cells: 2, gateways: 1 }).startAll();
    const ms = simulation.until(() => ["a", "b", "g1"].every((id) => ["a", "b"].every((by) => simulation.stateOf(id, by) === "up")), 1_000);
    expect(ms).toBeLessThan(200);
    expect(simulation.history("a").map(({ id, from, to, cause }) => [id, from, to, cause])).toEqual([
      ["g1", "joining", "up", "joined"],
      ["a", "joining", "up", "ready"],
      ["b", "joining", "up", "ready"],
    ]);
    expect(simulation.view("b")).toMatchObject({ cell: "b", coordinator: "a", isFenced: false, heartbeat: { periodMs: 1_000, missed: 3 } });
  });

  it("a cell without others is up at once, and is never fenced", () => {
    const simulation = new Simulation({ cells: 1, gateways: 1 }).startAll().run(10);
    expect(simulation.view("a")).toMatchObject({ coordinator: "a", cells: [{ id: "a", state: "up" }] });
    simulation.killGateway("g1");
    simulation.run(10_000);
    expect(simulation.stateOf("g1", "a")).toBe("down");
    expect(simulation.isFenced("a")).toBe(false);
  });

  it("a cell that starts alone is up when it knows that nobody is there", () => {
    const simulation = new Simulation({ cells: 2, gateways: 1 });
    simulation.startCell("b");
    simulation.run(100);
    expect(simulation.view("b")).toMatchObject({
      coordinator: "b",
      cells: [
        { id: "a", state: "down" },
        { id: "b", state: "up" },
      ],
    });
    simulation.startCell("a");
    simulation.until(() => simulation.stateOf("a", "b") === "up" && simulation.stateOf("b", "a") === "up", 300);
    expect(simulation.view("b").coordinator).toBe("a");
  });
});

describe("quiet", () => {
  it("nothing changes while all is well: no epoch, one heartbeat a period and cell", () => {
    const simulation = running();
    const { epoch } = simulation.view("a");
    const before = { ...simulation.counts };
    simulation.run(60_000);
    expect(simulation.view("a").epoch).toBe(epoch);
    expect(simulation.counts.heartbeats - before.heartbeats).toBe(120);
    expect(simulation.counts.pings - before.pings).toBe(240);
  });

  it.each(["a cell", "a gateway", "either cell"])("two lost heartbeats of %s change nothing but suspicion", (who) => {
    const simulation = running();
    const epochs = [simulation.view("a").epoch, simulation.view("b").epoch];
    for (let phaseMs = 0; phaseMs < 1_000; phaseMs += 90) {
      if (who === "a cell") simulation.freezeCell("b");
      else if (who === "a gateway") simulation.freezeGateway("g1");
      else simulation.cut("a", "b");
      simulation.run(2_000);
      const { cells, gateways } = simulation.group("a").status(simulation.now);
      expect([...cells, ...gateways].filter(({ suspicion }) => suspicion === "missed heartbeats")).toHaveLength(1);
      if (who === "a cell") simulation.thawCell("b");
      else if (who === "a gateway") simulation.thawGateway("g1");
      else simulation.heal();
      simulation.run(5_000 + phaseMs);
      expect(
        simulation
          .group("a")
          .status(simulation.now)
          .cells.every(({ suspicion, missed }) => suspicion === undefined && missed === 0),
      ).toBe(true);
    }
    expect([simulation.view("a").epoch, simulation.view("b").epoch]).toEqual(epochs);
  });
});

describe("failure of a cell", () => {
  it("killed: refused twice, within a period; at once when a gateway or an exchange saw its connection close", () => {
    const simulation = running();
    simulation.killCell("b");
    const byHeartbeat = simulation.until(() => simulation.stateOf("b", "a") === "down", 2_000);
    expect(byHeartbeat).toBeLessThanOrEqual(1_005);
    expect(simulation.history("a").at(-1)).toMatchObject({ id: "b", from: "up", to: "down", cause: "connection refused" });
    simulation.startCell("b");
    simulation.run(2_000);
    simulation.killCell("b");
    simulation.tell("a", (group, now) => group.suspect("b", "closed socket", now));
    expect(simulation.until(() => simulation.stateOf("b", "a") === "down", 2_000)).toBeLessThan(10);
    expect(simulation.history("a").at(-1)).toMatchObject({ id: "b", to: "down", cause: "closed socket" });
  });

  it.each([
    ["closed socket", "closed socket", "and refuses connections"],
    ["connection refused", "connection refused", "twice"],
  ] as const)(
    "killed while no gateway is there: an exchange saw a %s, one probe confirms it at once, and the cause is what was seen",
    (seen, cause, detail) => {
      const simulation = running({ gateways: 0 });
      simulation.killCell("b");
      // Every exchange says so.
      for (let exchange = 0; exchange < 8; exchange += 1) simulation.tell("a", (group, now) => group.suspect("b", seen, now));
      expect(simulation.until(() => simulation.stateOf("b", "a") === "down", 2_000)).toBeLessThan(10);
      expect(simulation.history("a").at(-1)).toMatchObject({ id: "b", from: "up", to: "down", cause, detail });
    },
  );

  it.each(["closed socket", "connection refused", "missed heartbeats"] as const)(
    "a %s that somebody saw is no evidence against a cell that answers",
    (seen) => {
      const simulation = running();
      const { epoch } = simulation.view("a");
      for (let time = 0; time < 10; time += 1) {
        simulation.tell("a", (group, now) => group.suspect("b", seen, now));
        simulation.run(100);
      }
      expect(simulation.group("a").status(simulation.now).cells[1]).toMatchObject({ state: "up", suspicion: undefined });
      expect(simulation.view("a").epoch).toBe(epoch);
    },
  );

  it("a gateway's silent control socket is only a suspicion of silence: a frozen cell is down for its missed heartbeats", () => {
    const simulation = running();
    simulation.freezeCell("b");
    simulation.tell("a", (group, now) => group.suspect("b", "missed heartbeats", now));
    expect(simulation.group("a").status(simulation.now).cells[1]).toMatchObject({ state: "up", suspicion: "missed heartbeats" });
    simulation.until(() => simulation.stateOf("b", "a") === "down", 5_000);
    expect(simulation.history("a").at(-1)).toMatchObject({ id: "b", to: "down", cause: "missed heartbeats", detail: "3 in a row" });
  });

  it("what says more is believed: a refusal after silence, a closed socket after a refusal", () => {
    const simulation = running();
    simulation.freezeCell("b");
    const seen = ["missed heartbeats", "connection refused", "missed heartbeats", "closed socket", "connection refused"] as const;
    const suspicions = seen.map((each) => {
      simulation.tell("a", (group, now) => group.suspect("b", each, now));
      return simulation.group("a").status(simulation.now).cells[1]?.suspicion;
    });
    expect(suspicions).toEqual(["missed heartbeats", "connection refused", "connection refused", "closed socket", "closed socket"]);
  });

  it("a closed connection of a cell that lives is only asked about", () => {
    const simulation = running();
    const { epoch } = simulation.view("a");
    const { heartbeats } = simulation.counts;
    for (let time = 0; time < 20; time += 1) simulation.tell("a", (group, now) => group.suspect("b", "closed socket", now));
    expect(simulation.group("a").status(simulation.now).cells[1]).toMatchObject({ state: "up", suspicion: "closed socket" });
    simulation.run(20);
    expect(simulation.group("a").status(simulation.now).cells[1]?.suspicion).toBeUndefined();
    expect(simulation.counts.heartbeats - heartbeats).toBe(1);
    expect(simulation.view("a").epoch).toBe(epoch);
  });

  it("frozen: down by missed heartbeats in 2.7 to 4 s at 1 s x 3, whatever the moment", () => {
    for (let phaseMs = 0; phaseMs < 1_000; phaseMs += 70) {
      const simulation = running().run(phaseMs);
      simulation.freezeCell("b");
      const ms = simulation.until(() => simulation.stateOf("b", "a") === "down", 5_000);
      expect(ms).toBeGreaterThan(2_700);
      expect(ms).toBeLessThan(4_000);
      expect(simulation.history("a").at(-1)).toMatchObject({ id: "b", to: "down", cause: "missed heartbeats", detail: "3 in a row" });
      simulation.run(10_000);
      simulation.thawCell("b");
      expect(simulation.until(() => simulation.stateOf("b", "a") === "up", 2_000)).toBeLessThanOrEqual(1_005);
      expect(simulation.history("a").at(-1)).toMatchObject({ id: "b", from: "down", to: "up", cause: "returned" });
      // Who was frozen blames nobody else for it.
      expect(simulation.history("b").filter(({ to }) => to === "down")).toEqual([]);
    }
  });

  it("late, and never down: a cell on a busy machine that answers each heartbeat after more than its time; silent it is down as fast as ever", () => {
    for (const latencyMs of [400, 600, 900, 1_300]) {
      const simulation = running({ latencyMs }).run(10_000);
      const { epoch } = simulation.view("a");
      simulation.run(60_000);
      expect(simulation.view("a").epoch).toBe(epoch);
      expect([simulation.stateOf("b", "a"), simulation.stateOf("a", "b")]).toEqual(["up", "up"]);
      simulation.freezeCell("b");
      // What it has answered before is still under way.
      expect(simulation.until(() => simulation.stateOf("b", "a") === "down", 10_000)).toBeLessThan(4_000 + latencyMs);
    }
  });

  it("one that does not accept our signature is down for that reason", () => {
    const simulation = running();
    simulation.cut("a", "b");
    simulation.run(200);
    simulation.tell("a", (group) => group.takeEffects());
    const group = simulation.group("a");
    for (let time = 0; time < 3; time += 1) {
      group.tick(group.nextTick);
      const [sent] = group.takeEffects();
      if (sent?.type !== "heartbeat") throw new Error("no heartbeat");
      group.failed(sent.heartbeat.sequence, "bad signature", group.nextTick - 900);
    }
    expect(group.takeEffects()).toMatchObject([{ type: "view", changes: [{ id: "b", to: "down", cause: "bad signature" }] }]);
  });

  it("killed and started again at once: joining, then up, and its epoch goes on", () => {
    const simulation = running();
    const { epoch } = simulation.view("b");
    simulation.killCell("b");
    simulation.startCell("b");
    simulation.run(1_100);
    expect(simulation.history("a").slice(-2)).toMatchObject([
      { id: "b", from: "up", to: "joining", cause: "restarted" },
      { id: "b", from: "joining", to: "up", cause: "ready" },
    ]);
    expect(simulation.view("b").epoch).toBeGreaterThan(epoch);
  });

  it("the coordinator's death names the next; it takes over again when it returns", () => {
    const simulation = running({ cells: 3 });
    simulation.killCell("a");
    simulation.run(1_100);
    expect([simulation.view("b").coordinator, simulation.view("c").coordinator]).toEqual(["b", "b"]);
    simulation.startCell("a");
    simulation.run(1_100);
    expect(["a", "b", "c"].map((cell) => simulation.view(cell).coordinator)).toEqual(["a", "a", "a"]);
    // A new epoch is above all that its cell has heard of: it fences what an older coordinator assigned.
    const epochs = simulation.history("b").map(({ epoch }) => epoch);
    expect(epochs).toEqual(epochs.toSorted((left, right) => left - right));
  });
});

/** Whether each cell takes the first gateway for one whose process has ended. */
function isGone(simulation: Simulation): (boolean | undefined)[] {
  return ["a", "b"].map((cell) => simulation.view(cell).gateways[0]?.isGone);
}

describe("failure of a gateway", () => {
  it("killed: down in both cells well under a second by its closed sockets", () => {
    const simulation = running();
    simulation.killGateway("g1");
    const ms = simulation.until(() => ["a", "b"].every((cell) => simulation.stateOf("g1", cell) === "down"), 1_000);
    expect(ms).toBeLessThan(400);
    expect(simulation.history("b").at(-1)).toMatchObject({ kind: "gateway", id: "g1", to: "down", cause: "closed socket" });
    simulation.startGateway("g1");
    expect(simulation.until(() => ["a", "b"].every((cell) => simulation.stateOf("g1", cell) === "up"), 1_000)).toBeLessThan(100);
    expect(simulation.history("b").at(-1)).toMatchObject({ id: "g1", from: "down", to: "up", cause: "returned" });
  });

  it("only one whose sockets all closed is gone: one that is frozen, or cut off from every cell, may go on with what it has", () => {
    const ends: Record<string, (simulation: Simulation) => void> = {
      killed: (simulation) => simulation.killGateway("g1"),
      frozen: (simulation) => simulation.freezeGateway("g1"),
      "cut off": (simulation) => simulation.cutApart(["g1"], ["a", "b"]),
    };
    const gone = Object.entries(ends).map(([how, end]) => {
      const simulation = running();
      end(simulation);
      simulation.run(5_000);
      return [how, simulation.stateOf("g1", "a"), isGone(simulation)];
    });
    expect(gone).toEqual([
      ["killed", "down", [true, true]],
      ["frozen", "down", [false, false]],
      ["cut off", "down", [false, false]],
    ]);
    const again = running();
    again.killGateway("g1");
    again.run(1_000);
    again.startGateway("g1");
    again.run(1_000);
    expect([again.stateOf("g1", "a"), isGone(again)]).toEqual(["up", [false, false]]);
  });

  it("one whose socket alone was cut and is made anew never leaves", () => {
    const simulation = running({ cells: 1 });
    const { epoch } = simulation.view("a");
    simulation.reconnectGateway("g1", "a", 200);
    simulation.run(5_000);
    expect(simulation.view("a").epoch).toBe(epoch);
  });

  it("one that a single cell has lost is up, as the other cell sees it", () => {
    const simulation = running();
    const { epoch } = simulation.view("a");
    simulation.cut("g1", "a");
    simulation.run(10_000);
    expect(simulation.group("a").status(simulation.now).gateways[0]?.heardMs).toBeGreaterThan(9_000);
    expect([simulation.stateOf("g1", "a"), simulation.view("a").epoch]).toEqual(["up", epoch]);
  });

  it("frozen: down by missed pings within 4 s, up again with the next one", () => {
    for (let phaseMs = 0; phaseMs < 1_000; phaseMs += 70) {
      const simulation = running().run(phaseMs);
      simulation.freezeGateway("g1");
      const ms = simulation.until(() => ["a", "b"].every((cell) => simulation.stateOf("g1", cell) === "down"), 5_000);
      expect(ms).toBeGreaterThan(2_400);
      expect(ms).toBeLessThan(4_000);
      expect(simulation.history("a").at(-1)).toMatchObject({ id: "g1", to: "down", cause: "missed heartbeats" });
      simulation.thawGateway("g1");
      expect(simulation.until(() => simulation.stateOf("g1", "a") === "up", 2_000)).toBeLessThan(1_100);
    }
  });

  it("a restarted cell waits for the gateways that it knew before it says anything about them", () => {
    const simulation = running({ cells: 1 });
    simulation.killCell("a");
    simulation.killGateway("g2");
    simulation.startCell("a");
    simulation.run(10);
    expect([simulation.stateOf("g1", "a"), simulation.stateOf("g2", "a")]).toEqual(["up", "up"]);
    expect(simulation.until(() => simulation.stateOf("g2", "a") === "down", 5_000)).toBeGreaterThan(3_000);
    expect(simulation.stateOf("g1", "a")).toBe("up");
  });
});

describe("partition", () => {
  it("both sides go on with a coordinator each, and agree again after it", () => {
    const simulation = running();
    simulation.cut("a", "b");
    expect(simulation.until(() => simulation.stateOf("b", "a") === "down" && simulation.stateOf("a", "b") === "down", 5_000)).toBeLessThan(
      4_000,
    );
    expect([simulation.view("a").coordinator, simulation.view("b").coordinator]).toEqual(["a", "b"]);
    // Gateways reach both.
    expect([simulation.isFenced("a"), simulation.isFenced("b")]).toEqual([false, false]);
    simulation.heal();
    simulation.until(() => simulation.stateOf("b", "a") === "up" && simulation.stateOf("a", "b") === "up", 1_100);
    expect(simulation.view("b").coordinator).toBe("a");
  });

  it("a cell cut off from all cells and gateways fences itself, until one of them is back", () => {
    const simulation = running({ cells: 3 });
    simulation.cutApart(["a"], ["b", "c", "g1", "g2"]);
    expect(simulation.until(() => simulation.isFenced("a"), 6_000)).toBeLessThan(4_500);
    expect(simulation.view("a")).toMatchObject({ isFenced: true });
    expect([simulation.isFenced("b"), simulation.isFenced("c")]).toEqual([false, false]);
    simulation.heal();
    expect(simulation.until(() => !simulation.isFenced("a"), 2_000)).toBeLessThan(1_100);
  });

  it.each([
    ["frozen or cut off", (simulation: Simulation) => ["g1", "g2"].forEach((id) => simulation.freezeGateway(id)), 3_000, 4_500],
    ["killed, and not started again", (simulation: Simulation) => ["g1", "g2"].forEach((id) => simulation.killGateway(id)), 5_000, 7_000],
  ])("all gateways lost (%s): cells that hear each other are fenced as well, until one is back", (_, lose, after, before) => {
    const simulation = running();
    lose(simulation);
    const ms = simulation.until(() => simulation.isFenced("a") && simulation.isFenced("b"), 10_000);
    expect(ms).toBeGreaterThan(after);
    expect(ms).toBeLessThan(before);
    expect(simulation.stateOf("b", "a")).toBe("up");
    simulation.startGateway("g1");
    expect(simulation.until(() => !simulation.isFenced("a") && !simulation.isFenced("b"), 3_000)).toBeLessThan(2_500);
  });

  it("a gateway that is started again within a moment, one that another cell hears, and those that left by themselves fence nobody", () => {
    const simulation = running();
    const fenced = (): boolean[] => [simulation.isFenced("a"), simulation.isFenced("b")];
    const leave = (gateway: string): void => {
      for (const cell of ["a", "b"]) simulation.tell(cell, (group, now) => group.gatewayClosed(gateway, now, true));
    };
    simulation.cutApart(["a", "b"], ["g2"]);
    leave("g2");
    simulation.killGateway("g1");
    simulation.run(1_000);
    simulation.startGateway("g1");
    simulation.run(10_000);
    expect(fenced()).toEqual([false, false]);
    simulation.cut("a", "g1");
    simulation.run(10_000);
    expect(simulation.stateOf("g1", "a")).toBe("up");
    expect(fenced()).toEqual([false, false]);
    simulation.cut("b", "g1");
    leave("g1");
    simulation.run(10_000);
    expect(["g1", "g2"].map((id) => simulation.stateOf(id, "b"))).toEqual(["down", "down"]);
    expect(fenced()).toEqual([false, false]);
  });

  it("a link that flaps makes an epoch for each real change, and none below the threshold", () => {
    const simulation = running();
    const { epoch } = simulation.view("a");
    for (let time = 0; time < 10; time += 1) {
      simulation.cut("a", "b");
      simulation.run(1_500);
      simulation.heal();
      simulation.run(1_500);
    }
    expect(simulation.view("a").epoch).toBe(epoch);
    for (let time = 0; time < 5; time += 1) {
      simulation.cut("a", "b");
      simulation.run(6_000);
      simulation.heal();
      simulation.run(3_000);
    }
    expect(
      simulation
        .history("a")
        .slice(-10)
        .map(({ to, cause }) => [to, cause]),
    ).toEqual(
      Array.from({ length: 5 }, () => [
        ["down", "missed heartbeats"],
        ["up", "returned"],
      ]).flat(),
    );
  });
});

describe("clocks", () => {
  it("may differ by minutes: nobody's time is compared with anybody else's", () => {
    const simulation = running({ cells: 3, skewMs: (cell) => [0, 180_000, -240_000][cell] ?? 0 });
    simulation.run(30_000);
    const { epoch } = simulation.view("c");
    simulation.run(30_000);
    expect(simulation.view("c").epoch).toBe(epoch);
    simulation.freezeCell("b");
    expect(simulation.until(() => ["a", "c"].every((cell) => simulation.stateOf("b", cell) === "down"), 5_000)).toBeLessThan(4_000);
    simulation.killGateway("g1");
    expect(simulation.until(() => ["a", "c"].every((cell) => simulation.stateOf("g1", cell) === "down"), 1_000)).toBeLessThan(400);
  });
});

describe("settings", () => {
  it("change everywhere within milliseconds, and rule from then on", () => {
    const simulation = running({ cells: 3, gateways: 0 });
    const { epoch } = simulation.view("c");
    simulation.tell("b", (group, now) => group.changeMap({ heartbeat: { periodMs: 200, missed: 5 } }, now));
    const isNew = (cell: string): boolean => simulation.view(cell).heartbeat.periodMs === 200;
    expect(simulation.until(() => ["a", "b", "c"].every(isNew), 1_000)).toBeLessThan(100);
    expect(simulation.view("c").epoch).toBe(epoch);
    simulation.run(2_000);
    simulation.freezeCell("a");
    const ms = simulation.until(() => simulation.stateOf("a", "c") === "down", 2_000);
    expect(ms).toBeGreaterThan(940);
    expect(ms).toBeLessThan(1_200);
  });

  it("changed on both sides of a cut: one of the two, the same everywhere", () => {
    const simulation = running({ gateways: 0 });
    simulation.cut("a", "b");
    simulation.tell("a", (group, now) => group.changeMap({ heartbeat: { periodMs: 500, missed: 3 } }, now));
    simulation.tell("b", (group, now) => group.changeMap({ heartbeat: { periodMs: 600, missed: 3 } }, now));
    simulation.run(5_000);
    simulation.heal();
    simulation.run(2_000);
    expect(simulation.view("a").heartbeat).toEqual(simulation.view("b").heartbeat);
  });

  it("slower heartbeats make nobody look silent who still beats as before", () => {
    const simulation = running({ heartbeat: { periodMs: 1_000, missed: 3 } });
    const { epoch } = simulation.view("a");
    simulation.tell("a", (group, now) => group.changeMap({ heartbeat: { periodMs: 5_000, missed: 3 } }, now));
    simulation.run(30_000);
    expect(simulation.view("a").epoch).toBe(epoch);
  });
});

describe("draining", () => {
  it("is seen everywhere at once, and hands the coordinator on; so is the return", () => {
    const simulation = running();
    simulation.drain("a", true);
    simulation.until(() => simulation.stateOf("a", "b") === "draining", 100);
    expect(simulation.view("b").coordinator).toBe("b");
    expect(simulation.history("b").at(-1)).toMatchObject({ id: "a", cause: "drained" });
    simulation.drain("a", false);
    simulation.until(() => simulation.stateOf("a", "b") === "up", 100);
    expect(simulation.view("b").coordinator).toBe("a");
    for (const cell of ["a", "b"])
      expect(simulation.history(cell).at(-1)).toMatchObject({ id: "a", from: "draining", to: "up", cause: "returned" });
  });

  it("is refused for the last cell that is up: whether the others are not there, down, joining or draining", () => {
    expect(running({ cells: 1 }).drain("a", true)).toBe("last");
    const simulation = running();
    simulation.drain("b", true);
    simulation.until(() => simulation.stateOf("b", "a") === "draining", 100);
    expect(simulation.drain("a", true)).toBe("last");
    simulation.killCell("b");
    simulation.until(() => simulation.stateOf("b", "a") === "down", 2_000);
    expect(simulation.drain("a", true)).toBe("last");
    simulation.startCell("b");
    simulation.tell("b", (group) => group.catchingUp(0));
    simulation.until(() => simulation.stateOf("b", "a") === "joining", 2_000);
    expect(simulation.drain("a", true)).toBe("last");
    expect(simulation.stateOf("a", "a")).toBe("up");
  });

  it("goes on when the others die meanwhile, and may be asked for again", () => {
    const simulation = running();
    simulation.drain("a", true);
    simulation.killCell("b");
    simulation.until(() => simulation.stateOf("b", "a") === "down", 2_000);
    expect(simulation.drain("a", true)).toBe("done");
    expect(simulation.view("a")).toMatchObject({ coordinator: "a", cells: [{ id: "a", state: "draining" }, { state: "down" }] });
  });

  it("outlives a restart: joining, then draining", () => {
    const simulation = running();
    simulation.drain("b", true);
    simulation.killCell("b");
    simulation.startCell("b");
    simulation.run(2_000);
    expect(simulation.history("a").slice(-2)).toMatchObject([
      { id: "b", to: "joining", cause: "restarted" },
      { id: "b", to: "draining", cause: "drained" },
    ]);
  });
});

describe("a cell whose exchanges catch up", () => {
  it("joins until the last of them has; later ones do not take it back", () => {
    const simulation = running();
    simulation.killCell("b");
    simulation.startCell("b");
    simulation.tell("b", (group) => [0, 1].forEach((exchange) => group.catchingUp(exchange)));
    simulation.run(1_500);
    expect(["a", "b"].map((by) => simulation.stateOf("b", by))).toEqual(["joining", "joining"]);
    simulation.tell("b", (group, now) => group.caughtUp(0, now));
    simulation.run(1_500);
    expect(simulation.stateOf("b", "a")).toBe("joining");
    simulation.tell("b", (group, now) => group.caughtUp(1, now));
    expect(simulation.until(() => simulation.stateOf("b", "a") === "up", 1_000)).toBeLessThan(100);
    const { epoch } = simulation.view("b");
    simulation.tell("b", (group) => group.catchingUp(2));
    simulation.run(5_000);
    expect(simulation.view("b")).toMatchObject({ epoch, cells: [{ state: "up" }, { state: "up" }] });
  });

  it("is up all the same when one of them never says that it has", () => {
    const simulation = running();
    simulation.killCell("b");
    simulation.startCell("b");
    simulation.tell("b", (group) => group.catchingUp(0));
    const ms = simulation.until(() => simulation.stateOf("b", "b") === "up", 60_000);
    expect(ms).toBeGreaterThanOrEqual(joiningMsMax);
    expect(ms).toBeLessThan(joiningMsMax + 1_100);
  });
});

describe("60 members", () => {
  it("4 cells and 56 gateways: 12 heartbeats and 224 pings a second, and everybody agrees", () => {
    const simulation = running({ cells: 4, gateways: 56 });
    const before = { ...simulation.counts };
    simulation.run(10_000);
    expect(simulation.counts.heartbeats - before.heartbeats).toBe(10 * 4 * 3);
    expect(simulation.counts.pings - before.pings).toBe(10 * 4 * 56);
    for (let gateway = 1; gateway <= 20; gateway += 1) simulation.killGateway(`g${gateway}`);
    const news = simulation.counts.heartbeats;
    simulation.until(
      () => ["a", "b", "c", "d"].every((cell) => simulation.view(cell).gateways.filter(({ state }) => state === "down").length === 20),
      1_000,
    );
    // 20 gateways that go at once are one piece of news for each pair of cells.
    expect(simulation.counts.heartbeats - news).toBeLessThanOrEqual(3 * 12);
  });

  it("60 cells: views converge, after the loss of a third too", () => {
    const simulation = new Simulation({ cells: 60, gateways: 0, latencyMs: 20 }).startAll();
    const cells = Array.from({ length: 60 }, (_, index) => cellName(index));
    const isUpEverywhere = (): boolean =>
      cells.every((cell) =>
        simulation
          .group(cell)
          .view()
          .cells.every(({ state }) => state === "up"),
      );
    simulation.run(3_000);
    expect(isUpEverywhere()).toBe(true);
    const before = simulation.counts.heartbeats;
    simulation.run(1_000);
    expect(simulation.counts.heartbeats - before).toBe(60 * 59);
    for (const cell of cells.slice(0, 20)) simulation.killCell(cell);
    simulation.run(1_500);
    for (const cell of cells.slice(20)) {
      const view = simulation.view(cell);
      expect(view.cells.filter(({ state }) => state === "down").map(({ id }) => id)).toEqual(cells.slice(0, 20));
      expect(view.coordinator).toBe(cells[20]);
    }
  });
});
