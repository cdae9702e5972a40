import { describe, expect, it } from "vitest";
import type { ClusterMap } from "../../../cluster/map/cluster-map.ts";
import { addressesFault } from "../../../cluster/map/member-addresses.ts";
import type { Member } from "../../../cluster/map/members.ts";
import { groupMap } from "../group/group-map.ts";

const keyOf = (letter: string): string => `${letter.repeat(42)}A`;
const members: readonly Member[] = [
  { id: "h1", kind: "host", host: "h1", key: keyOf("a") },
  { id: "a", kind: "cell", host: "h1", key: keyOf("b") },
  { id: "h2", kind: "host", host: "h2", key: keyOf("c") },
  { id: "b", kind: "cell", host: "h2", key: keyOf("d") },
  { id: "h3", kind: "host", host: "h3", key: keyOf("e") },
  { id: "g3", kind: "gateway", host: "h3", key: keyOf("f") },
];
const map: ClusterMap = {
  ...groupMap(["a", "b"]),
  cells: [
    { id: "a", url: "https://192.0.2.1:8841" },
    { id: "b", url: "https://[2001:db8::2]:8842" },
  ],
  authority: "a certificate",
  members,
};

type Asking = Parameters<typeof addressesFault>[1][number];
const on = (host: string, id: string, kind: Asking["kind"], ...addresses: readonly string[]): Asking => ({ id, kind, host, addresses });

describe("a certificate", () => {
  it.each([
    [[on("h1", "h1", "host", "192.0.2.1"), on("h1", "a", "cell", "192.0.2.1")]],
    // One cell more, on a machine that has one.
    [[on("h1", "c", "cell", "192.0.2.1")]],
    [[on("h2", "h2", "host", "2001:DB8:0::2")]],
    [[on("h4", "h4", "host", "192.0.2.4"), on("h4", "d", "cell", "192.0.2.4"), on("h4", "g4", "gateway")]],
    [[on("h3", "h3", "host"), on("h3", "g3", "gateway")]],
  ])("names the address of its machine: %#", (asked) => {
    expect(addressesFault(map, asked, false)).toBeUndefined();
  });

  it.each([
    [[on("h3", "g3", "gateway", "192.0.2.3")], "g3 is a gateway that nobody connects to, and has an address"],
    [[on("h2", "b", "cell", "192.0.2.1")], "b asks for 192.0.2.1, and the cells of host h2 are at [2001:db8:0:0:0:0:0:2]"],
    [[on("h2", "h2", "host", "2001:db8::2", "192.0.2.9")], "h2 asks for 192.0.2.9, and the cells of host h2 are at [2001:db8:0:0:0:0:0:2]"],
    [[on("h4", "d", "cell", "192.0.2.1")], "d asks for 192.0.2.1, where cell a is"],
    [[on("h4", "h4", "host", "2001:db8:0:0::2")], "h4 asks for [2001:db8:0:0:0:0:0:2], where cell b is"],
    [[on("h4", "h4", "host", "::ffff:192.0.2.1")], "h4 asks for 192.0.2.1, where cell a is"],
    [[on("h4", "d", "cell", "example.test")], "d asks for example.test, which is no IP address"],
    [[on("h1", "a", "cell", "192.0.2.1", "localhost")], "a asks for localhost, which is no IP address"],
    [[on("h4", "d", "cell", "169.254.169.254")], "d asks for 169.254.169.254, which is no address of a machine"],
    [[on("h4", "d", "cell", "ff02::1")], "d asks for ff02::1, which is no address of a machine"],
    [[on("h4", "d", "cell", "192.0.2.257")], "d asks for 192.0.2.257, which is no IP address"],
    [
      [on("h4", "h4", "host", "192.0.2.4"), on("h4", "d", "cell", "192.0.2.5")],
      "host h4 asks for 192.0.2.4 and 192.0.2.5: a machine has one address",
    ],
  ])("names no other one: %#", (asked, fault) => {
    expect(addressesFault(map, asked, false)).toBe(fault);
  });

  it("names none on a machine without a cell", () => {
    const text = "h3 is a host that nobody connects to, and has an address";
    expect(addressesFault(map, [on("h3", "h3", "host", "192.0.2.3")], true)).toBe(text);
  });

  it("names the place of a cell whose key was removed for nobody", () => {
    const without = { ...map, revoked: [keyOf("b")] };
    expect(addressesFault(without, [on("h1", "h1", "host", "192.0.2.1")], false)).toBe("h1 asks for 192.0.2.1, where cell a is");
  });
});
