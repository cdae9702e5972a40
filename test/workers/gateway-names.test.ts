import { expect, it } from "vitest";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import type { Listener } from "../../sip/flow/flow.ts";
import { listenersOf } from "../../workers/core-group/gateway-messages.ts";
import { GatewayNames } from "../../workers/core-group/gateway-names.ts";
import { nameTakenSaidMs } from "../../workers/limits.ts";

const line = "two gateways call themselves g1, and take each other's connections away: give one another name";

function advertising(host: string): readonly Listener[] {
  return [{ transport: "UDP", host, port: 5060 }];
}

/** What a hello of a gateway is understood to say. */
function heard(host: string, port = 5060): readonly Listener[] {
  return listenersOf(JSON.stringify({ type: "hello", boot: "one", listeners: [{ transport: "UDP", host, port }] }));
}

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

it("a gateway that calls itself a domain of the map is said, and one with an address or another name is not", () => {
  const names = new GatewayNames();
  const map = { domains: [{ name: "example.test", auth: "digest" }] } as unknown as ClusterMap;
  for (const host of ["gw.example.test", "192.0.2.1", "[2001:db8::1]"])
    expect(names.listens("g1", advertising(host), map, 0)).toBeUndefined();
  const said = names.listens("g1", advertising("Example.TEST"), map, 1_000);
  expect(said).toMatch(/^gateway g1: it advertises example\.test, which is a SIP domain: give its machine another name: /);
  expect(names.listens("g1", advertising("example.test"), map, 2_000)).toBeUndefined();
  expect(names.listens("g1", advertising("example.test"), map, 1_000 + nameTakenSaidMs)).toBe(said);
});

it("a gateway that is started anew, again and again, and one that connects anew are one gateway", () => {
  const names = new GatewayNames();
  for (let start = 0; start < 100; start += 1) {
    for (let connections = 0; connections < 3; connections += 1) expect(names.hello("g1", `boot ${start}`, start)).toBeUndefined();
    expect(names.hello("g2", "one", start)).toBeUndefined();
  }
});

it("a gateway listens at addresses and names: a text that would be lines of a zone is none", () => {
  for (const host of ["gw.example.test", "192.0.2.1", "2001:db8::1", "[2001:db8::1]", "fe80::1%eth0"])
    expect(heard(host)).toEqual(advertising(host));
  for (const host of ["", "x\n@ NS evil.test.", "x y", "x;", "\u001b[2J", "\u009b31m", "x".repeat(256)]) expect(heard(host)).toEqual([]);
  for (const port of [0, -1, 1.5, 65_536]) expect(heard("192.0.2.1", port)).toEqual([]);
});
