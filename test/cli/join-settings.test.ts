import { describe, expect, it } from "vitest";
import { parseArguments } from "../../cli/arguments.ts";
import { joinSettingsOf, joinSpec } from "../../cli/join-settings.ts";

describe("what join was asked for", () => {
  it.each([
    ["https://192.0.2.10", "https://192.0.2.10:8840"],
    ["https://192.0.2.10/", "https://192.0.2.10:8840"],
    ["https://[2001:db8::1]", "https://[2001:db8::1]:8840"],
    ["https://192.0.2.10:443", "https://192.0.2.10:443"],
    ["https://h1.example.test:9000/", "https://h1.example.test:9000"],
  ])("%s means the door %s", (typed, url) => {
    expect(joinSettingsOf(parseArguments(joinSpec, [typed, "--token", "-"])).url).toBe(url);
  });

  it("says of its gateways that they are where it reaches the others", () => {
    expect(joinSpec.options.find(({ name }) => name === "sip")?.help).toContain("reaches URL");
  });
});
