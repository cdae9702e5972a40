import { expect, it } from "vitest";
import { callReason } from "../../../cluster/calls/call-reason.ts";

const call = { caller: "alice@example.test", callee: "bob@example.test", status: 200, start: 0, ring: 1_000, end: 33_000 } as const;

it.each([
  ["alice hung up", { cause: "callerHungUp" }],
  ["bob hung up", { cause: "calleeHungUp" }],
  ["cancelled by the caller", { cause: "cancelled", status: 487 }],
  ["busy", { cause: "refused", status: 486 }],
  ["declined", { cause: "refused", status: 603 }],
  ["refused with 499", { cause: "refused", status: 499 }],
  ["the other side failed (502)", { cause: "refused", status: 502 }],
  ["no answer for 32 s", { cause: "unanswered", status: 408 }],
  ["bob's phone could not be reached", { cause: "unreachable", status: 408 }],
  ["bob was not registered", { cause: "nobody", status: 480 }],
  ["there is no user bob", { cause: "nobody", status: 404 }],
  ["too much to do at that moment (503)", { cause: "denied", status: 503 }],
  ["nothing more was heard of it", { cause: "vanished" }],
] as const)("says %s", (words, changes) => {
  expect(callReason({ ...call, ...changes })).toBe(words);
});

it("says something of everybody, a number too", () => {
  expect(callReason({ ...call, cause: "calleeHungUp", callee: "+4930123" })).toBe("+4930123 hung up");
  expect(callReason({ ...call, cause: "callerHungUp", caller: "" })).toBe("somebody hung up");
});
