import { describe, expect, it } from "vitest";
import { JoinTries, sourceOf } from "../../cli/join-tries.ts";
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

  it.each([
    ["192.0.2.1", "192.0.2.1"],
    ["2001:db8::1", "2001:db8:0:0"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2"],
    ["2001:0db8:0001:0002::", "2001:db8:1:2"],
    ["::1", "0:0:0:0"],
    ["fe80::1%eth0", "fe80:0:0:0"],
  ])("are of an address, or of the network of an IPv6 one: %s", (address, source) => {
    expect(sourceOf(address)).toBe(source);
  });
});
