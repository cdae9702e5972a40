import { describe, expect, it } from "vitest";
import { JoinTries } from "../../cli/join-tries.ts";
import { joinTriesInAllMax, joinTriesMs, joinTriesPerSourceMax } from "../../cli/limits.ts";

describe("tries at a join door", () => {
  it("have a bound for each source, until the next minute", () => {
    const tries = new JoinTries();
    const outcomes = Array.from({ length: joinTriesPerSourceMax + 2 }, () => tries.take("192.0.2.1", 1_000));
    expect(outcomes.filter(Boolean)).toHaveLength(joinTriesPerSourceMax);
    expect(tries.take("192.0.2.2", 1_000)).toBe(true);
    expect(tries.take("192.0.2.1", 1_000 + joinTriesMs - 1)).toBe(false);
    expect(tries.take("192.0.2.1", 1_000 + joinTriesMs)).toBe(true);
  });

  it("have a bound for all sources together", () => {
    const tries = new JoinTries();
    const outcomes = Array.from({ length: joinTriesInAllMax + 5 }, (_, n) => tries.take(`2001:db8:0:${n.toString(16)}::1`, 0));
    expect(outcomes.filter(Boolean)).toHaveLength(joinTriesInAllMax);
  });

  it("are counted by the network of an IPv6 address: whoever has one there has all of them", () => {
    const tries = new JoinTries();
    for (let n = 0; n < joinTriesPerSourceMax; n += 1) expect(tries.take(`2001:db8:1:2:3::${n.toString(16)}`, 0)).toBe(true);
    expect(["2001:db8:1:2::1", "2001:0db8:0001:0002::"].map((address) => tries.take(address, 0))).toEqual([false, false]);
    expect(["2001:db8:1:3::1", "fe80::1%eth0", "::ffff:192.0.2.1", ""].map((address) => tries.take(address, 0))).toEqual([
      true,
      true,
      true,
      true,
    ]);
  });
});
