import { expect, it } from "vitest";
import { collectorOf, isFormer, nobodyYet } from "../../../cluster/calls/collector.ts";
import type { MemberState, View } from "../../../cluster/group/view.ts";
import { testMap } from "../../actors/exchange/harness.ts";

const map = { ...testMap(), cells: ["a", "b", "c"].map((id) => ({ id, url: `http://${id}.invalid` })) };

function viewOf(...states: readonly MemberState[]): View {
  const cells = states.map((state, index) => ({ id: "abc".charAt(index), state }));
  return { cell: "a", epoch: 1, coordinator: "a", cells, gateways: [], heartbeat: map.heartbeat, isFenced: false };
}

it("is the first cell of a map that names none, and its copy the live one behind it", () => {
  expect(collectorOf(map, viewOf("up", "up", "up"))).toEqual({ cell: "a", since: { epoch: 1, writer: "" }, others: ["b", "c"] });
  expect(collectorOf(map, viewOf("up", "down", "draining"))?.others).toEqual(["c"]);
  expect(collectorOf(map, viewOf("up", "joining", "down"))?.others).toEqual([]);
  expect(collectorOf(map, viewOf("up", "draining", "up"))?.others).toEqual(["c", "b"]);
});

it("is whom the map names, since the version that named it", () => {
  const since = { epoch: 5, writer: "b" };
  const named = { ...map, singletons: [{ name: "call-records", owners: ["b"], since }] };
  expect(collectorOf(named, viewOf("up", "up", "up"))).toEqual({ cell: "b", since, others: ["c", "a"] });
  expect(collectorOf({ ...map, singletons: [{ name: "call-records", owners: [], since }] }, viewOf("up", "up", "up"))).toBeUndefined();
});

it("is former when a later one is known, and not when it is the same", () => {
  const [first, later] = [
    { cell: "a", since: { epoch: 1, writer: "" } },
    { cell: "b", since: { epoch: 1, writer: "b" } },
  ];
  expect([isFormer(first, later), isFormer(later, first), isFormer(first, first), isFormer(nobodyYet, first)]).toEqual([
    true,
    false,
    false,
    true,
  ]);
});
