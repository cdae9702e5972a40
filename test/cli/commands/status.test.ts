import { expect, it } from "vitest";
import { gatewaysText } from "../../../cli/commands/status.ts";
import type { Status } from "../../../schemas/api-answers.ts";

type Gateway = Status["gateways"][number];

const g1: Gateway = { id: "g1", state: "up", heardMs: 100 };
const none = { datagramsLost: 0, datagramsDropped: 0, datagramsPaced: 0, shed: 0 };

it.each([
  ["one that has counted nothing", { ...g1, ...none, isNative: true }],
  ["one of an earlier release", g1],
])("says nothing of datagrams where there is nothing to say: %s", (_name, gateway) => {
  expect(gatewaysText([gateway])).toBe("GATEWAY  STATE  HEARD      MISSED\ng1       up     0.1 s ago       0\n");
});

it("says of all gateways what they have counted when one has something", () => {
  const g2 = { ...g1, id: "g2", isNative: true, datagramsLost: 120, datagramsDropped: 7, datagramsPaced: 12_345, shed: 1_551 };
  expect(gatewaysText([g1, g2])).toBe(
    [
      "GATEWAY  STATE  HEARD      MISSED  LOST  DROPPED  PACED  SHED  NATIVE",
      "g1       up     0.1 s ago       0     0        0      0     0  ?",
      "g2       up     0.1 s ago       0   120        7  12345  1551  yes",
      "",
    ].join("\n"),
  );
});

it("says which gateway reads and sends datagrams one by one", () => {
  expect(gatewaysText([{ ...g1, ...none, isNative: false }])).toBe(
    "GATEWAY  STATE  HEARD      MISSED  LOST  DROPPED  PACED  SHED  NATIVE\ng1       up     0.1 s ago       0     0        0      0     0  no\n",
  );
});
