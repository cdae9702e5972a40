import { describe, expect, it } from "vitest";
import { parseHeartbeat } from "../../../cluster/group/heartbeat.ts";
import { joinedIn, OwnReport, saidOf, singleIn } from "../../../cluster/group/own-report.ts";
import { settingsOf } from "../../../cluster/group/settings.ts";
import { groupMap } from "./group-map.ts";

const map = {
  ...groupMap(["a", "b", "c"]),
  exchangeCount: 2,
  assignments: [
    { primary: "a", secondary: "b", joining: "c" },
    { primary: "b", secondary: "a" },
  ],
};

describe("what a cell says of itself in its heartbeats", () => {
  it("is nothing of what there is none of, and news are told apart", () => {
    const report = new OwnReport();
    expect(saidOf(report.all)).toEqual({});
    expect([report.setCopied(0, "c"), report.setCopied(0, "c"), report.setFit("call-records", false)]).toEqual([true, false, true]);
    report.setSingle(1, true);
    expect(saidOf(report.all)).toEqual({ single: [1], unfit: ["call-records"], copies: [{ exchange: 0, cell: "c" }] });
    expect([report.setCopied(0, undefined), report.setFit("call-records", true)]).toEqual([true, true]);
    report.setSingle(1, false);
    expect(saidOf(report.all)).toEqual({});
  });

  it("forgets with the next map what it said of a replica that this cell has no more", () => {
    const report = new OwnReport();
    report.setSingle(0, true);
    report.setSingle(1, true);
    const [first] = map.assignments;
    report.mapChanged(map, { ...map, assignments: [first ?? { primary: "a", secondary: "b" }, { primary: "b", secondary: "c" }] }, "a");
    expect(report.all.single).toEqual([0]);
  });

  it("comes through a heartbeat, and is left out where it is something else", () => {
    const said = {
      cell: "a",
      boot: "a1",
      sequence: 1,
      state: "up",
      epoch: 1,
      gateways: [],
      settings: settingsOf(map),
    };
    const read = (copies: unknown): unknown => parseHeartbeat({ ...said, copies }, () => undefined)?.copies;
    expect(read([{ exchange: 0, cell: "c" }])).toEqual([{ exchange: 0, cell: "c" }]);
    expect([read(["0 c"]), read([{ exchange: -1, cell: "c" }]), read(7)]).toEqual([undefined, undefined, undefined]);
  });
});

describe("one replica alone knows all", () => {
  it("when a cell that has one says so, not by the word of a cell that had one once, or of what there is not", () => {
    const said = [
      { id: "a", single: [0, 9] },
      { id: "c", single: [1] },
    ];
    expect(singleIn(map, said)).toEqual(new Set([0]));
  });
});

describe("a joining cell knows all", () => {
  it("when the primary says so of the cell that the map names", () => {
    const copies = [{ exchange: 0, cell: "c" }];
    expect(joinedIn(map, [{ id: "a", copies }])).toEqual(new Set([0]));
  });

  it("not by the word of another cell, of an earlier joining cell, or of what does not move", () => {
    const others = [
      { id: "b", copies: [{ exchange: 0, cell: "c" }] },
      { id: "a", copies: [{ exchange: 0, cell: "d" }] },
      { id: "b", copies: [{ exchange: 1, cell: "c" }] },
      { id: "a", copies: [{ exchange: 9, cell: "c" }] },
    ];
    expect(joinedIn(map, others).size).toBe(0);
  });
});
