import { expect, it } from "vitest";
import { GatewayNames } from "../../workers/core-group/gateway-names.ts";
import { nameTakenSaidMs } from "../../workers/limits.ts";

const line = "two gateways call themselves g1, and take each other's connections away: give one another name";

it("two gateways of one name are said when the first comes back after the second, and not again for a while", () => {
  const names = new GatewayNames();
  expect(names.hello("g1", "one", 0)).toBeUndefined();
  expect(names.hello("g1", "two", 1_000)).toBeUndefined();
  expect(names.hello("g1", "one", 2_000)).toBe(line);
  for (let at = 3_000; at < 2_000 + nameTakenSaidMs; at += 1_000) {
    expect(names.hello("g1", at % 2_000 === 0 ? "one" : "two", at)).toBeUndefined();
  }
  expect([names.hello("g1", "two", 63_000), names.hello("g1", "one", 64_000)]).toContain(line);
});

it("a gateway that is started anew, again and again, and one that connects anew are one gateway", () => {
  const names = new GatewayNames();
  for (let start = 0; start < 100; start += 1) {
    for (let connections = 0; connections < 3; connections += 1) expect(names.hello("g1", `boot ${start}`, start)).toBeUndefined();
    expect(names.hello("g2", "one", start)).toBeUndefined();
  }
});
