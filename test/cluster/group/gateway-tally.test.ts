import { expect, it } from "vitest";
import { type GatewayTally, tallyOf, tallyText } from "../../../cluster/group/gateway-tally.ts";

const tally: GatewayTally = { isNative: true, datagramsLost: 1, datagramsDropped: 2, datagramsPaced: 3, shed: 4 };

it("comes as it was sent, whatever a later release adds", () => {
  expect(tallyOf(JSON.parse(tallyText(tally)))).toEqual(tally);
  expect(tallyOf({ type: "tally", ...tally, more: "?" })).toEqual(tally);
  const withNoise = { ...tally, noise: 5, noisySources: 6 };
  expect(tallyOf(JSON.parse(tallyText(withNoise)))).toEqual(withNoise);
  expect(tallyOf({ type: "tally", ...withNoise, noise: -1 })).toEqual(tally);
});

it.each([
  { type: "load" },
  { datagramsLost: -1 },
  { shed: 0.5 },
  { datagramsPaced: "3" },
  { datagramsDropped: undefined },
  { isNative: 1 },
])("is none with %j", (change) => {
  expect(tallyOf({ type: "tally", ...tally, ...change })).toBeUndefined();
});
