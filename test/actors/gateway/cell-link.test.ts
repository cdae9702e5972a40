import { describe, expect, it } from "vitest";
import { CellLink, type CellConnectionEvents } from "../../../actors/gateway/cell-link.ts";
import { reconnectMsMin } from "../../../actors/gateway/limits.ts";
import type { ProcessPorts } from "../../../actors/gateway/ports.ts";
import { VirtualTime } from "../virtual-time.ts";

/** A link to cell a, its clock, and connections that a test opens and loses. */
class Rig {
  readonly time = new VirtualTime();
  readonly told: string[] = [];
  /** What became of each connection: what was sent on it, and how it ended. */
  readonly connections: string[][] = [];
  events: CellConnectionEvents | undefined;
  readonly link: CellLink;

  constructor() {
    const ports: ProcessPorts = {
      now: () => this.time.now,
      wallAt: (moment: number) => moment,
      timer: (run) => this.time.timer(run),
      afterThisTurn: (run) => run(),
      random: () => 0,
      log: () => {},
      connect: (_target, events) => {
        const happened: string[] = [];
        this.connections.push(happened);
        this.events = events;
        return {
          send: (data) => void happened.push(String(data)),
          close: () => void happened.push("closed"),
          cut: () => void happened.push("cut"),
        };
      },
    };
    this.link = new CellLink({ cell: "a", url: "http://127.0.0.1:8801", exchange: 0 }, ports, {
      opened: () => void this.told.push("opened"),
      binary: (octets) => void this.told.push(`${octets.length} octets`),
      text: (text) => void this.told.push(text),
      down: (reason, loss) => void this.told.push(`${loss}: ${reason}`),
    });
    this.link.start();
  }
}

describe("a link to a cell", () => {
  it("says once that the cell is away, tries ever more rarely, and says that it is back", () => {
    const rig = new Rig();
    for (const ms of [0, reconnectMsMin, 2 * reconnectMsMin, 4 * reconnectMsMin]) {
      rig.events?.lost("nobody listens", "connection refused");
      const before = rig.connections.length;
      rig.time.pass(ms - 1);
      expect(rig.connections).toHaveLength(before);
      rig.time.pass(1);
      expect(rig.connections).toHaveLength(before + 1);
    }
    rig.events?.opened();
    expect([rig.told, rig.link.isUp]).toEqual([["connection refused: nobody listens", "opened"], true]);
  });

  it("begins at once again only when something has come: a cell that accepts and closes is not asked in a tight loop", () => {
    const rig = new Rig();
    rig.events?.opened();
    rig.events?.lost("closed", "closed socket");
    rig.time.pass(0);
    rig.events?.opened();
    rig.events?.lost("closed", "closed socket");
    rig.time.pass(reconnectMsMin - 1);
    expect(rig.connections).toHaveLength(2);
    rig.time.pass(1);
    rig.events?.opened();
    rig.events?.text("hello");
    rig.events?.lost("closed", "closed socket");
    rig.time.pass(0);
    expect(rig.connections).toHaveLength(4);
  });

  it("gives a silent cell up after the last ping has had its time, and cuts what has not left", () => {
    const rig = new Rig();
    rig.events?.opened();
    for (let beat = 0; beat < 3; beat += 1) rig.link.beat(3);
    expect(rig.link.pingsMissed).toBe(3);
    rig.time.pass(499);
    rig.link.check(3, 500, rig.time.now);
    expect(rig.link.isUp).toBe(true);
    rig.time.pass(1);
    rig.link.check(3, 500, rig.time.now);
    expect([rig.connections[0], rig.told.at(-1)]).toEqual([["ping", "ping", "ping", "cut"], "missed heartbeats: missed 3 pings"]);
  });

  it("takes anything that comes for a sign of life, and passes a pong on to nobody", () => {
    const rig = new Rig();
    rig.events?.opened();
    const signs = rig.link.signsOfLife;
    for (const come of [() => rig.events?.text("pong"), () => rig.events?.binary(new Uint8Array(3))]) {
      rig.link.beat(3);
      come();
      expect(rig.link.pingsMissed).toBe(0);
    }
    expect([rig.told, rig.link.signsOfLife]).toEqual([["opened", "3 octets"], signs + 2]);
  });

  it("says of each other version once that it is one, and makes no haste for a cell that is there", () => {
    const rig = new Rig();
    for (const version of ["5", "5", "6"]) {
      rig.events?.lost(`it speaks ${version}`, "another version");
      rig.time.pass(10_000);
    }
    expect(rig.told).toEqual(["another version: it speaks 5", "another version: it speaks 6"]);
    rig.events?.opened();
    const before = rig.connections.length;
    rig.link.hurry();
    expect(rig.connections).toHaveLength(before);
    rig.events?.lost("closed", "closed socket");
    rig.link.hurry();
    expect(rig.connections).toHaveLength(before + 1);
  });

  it("that was stopped closes in order, one that was abandoned is cut; neither comes back", () => {
    for (const [end, how] of [
      ["stop", "closed"],
      ["abandon", "cut"],
    ] as const) {
      const rig = new Rig();
      rig.events?.opened();
      rig.link[end]();
      rig.time.pass(60_000);
      rig.link.hurry();
      rig.link.send("more");
      expect(rig.connections).toEqual([[how]]);
    }
  });
});
