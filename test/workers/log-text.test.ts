import { expect, it } from "vitest";
import { heartbeatTexts } from "../../workers/core-group/log-text.ts";
import { groupMap } from "../cluster/group/group-map.ts";

const map = groupMap(["a", "b"]);

it("says the heartbeat of a newer map when it is another, and else nothing", () => {
  expect(heartbeatTexts(map, { ...map, version: 25, writer: "a" })).toEqual([]);
  expect(heartbeatTexts(map, { ...map, version: 26, writer: "a", heartbeat: { periodMs: 700, missed: 3 } })).toEqual([
    "map 26 of cell a: a heartbeat every 700 ms, down when 3 are missed",
  ]);
  expect(heartbeatTexts(map, { ...map, version: 27, writer: "b", heartbeat: { periodMs: 1_000, missed: 4 } })).toEqual([
    "map 27 of cell b: a heartbeat every 1000 ms, down when 4 are missed",
  ]);
});
