import { expect, it } from "vitest";
import { SheddingGateways } from "../../workers/core-group/shedding-gateways.ts";
import { overloadKnownMs } from "../../cluster/limits.ts";

it("says of each gateway what it last said of itself, until it takes that back or is silent", () => {
  const gateways = new SheddingGateways();
  gateways.said("g1", 0.4, 0);
  gateways.said("g2", 7, 0);
  expect(gateways.shares(0)).toEqual({ g1: 0.4, g2: 1 });
  gateways.said("g1", 0, 1_000);
  expect(gateways.shares(overloadKnownMs)).toEqual({ g2: 1 });
  expect(gateways.shares(overloadKnownMs + 1)).toEqual({});
});
