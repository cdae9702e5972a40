import { describe, expect, it } from "vitest";
import { runCommand } from "./captured-io.ts";

/** What npm makes of `npm start ...`: the words that are left, and its configuration. */
const npm = { npm_lifecycle_event: "start", npm_config_yes: "", npm_config_user_agent: "npm/11" };

describe("npm start without --", () => {
  it.each<[string, string[], Record<string, string>, string]>([
    ["--sip 192.168.1.10", ["192.168.1.10"], { npm_config_sip: "true" }, "--sip 192.168.1.10"],
    ["--sip=192.168.1.10", [], { npm_config_sip: "192.168.1.10" }, "--sip 192.168.1.10"],
    ["--tls-port 5 --json", ["5"], { npm_config_tls_port: "true", npm_config_json: "true" }, "--tls-port 5 --json"],
    ["--no-restart", [], { npm_config_restart: "" }, "--no-restart"],
    ["--state 'my state'", ["my state"], { npm_config_state: "true" }, "--state 'my state'"],
    [
      "--sip A --advertise B",
      ["A", "B"],
      { npm_config_sip: "true", npm_config_advertise: "true" },
      "--sip ADDRESS[:PORT] --advertise HOST",
    ],
    ["--sip A extra", ["A", "extra"], { npm_config_sip: "true" }, "--sip ADDRESS[:PORT]"],
  ])("%s: says in one line how it is meant", async (_, words, taken, meant) => {
    expect(await runCommand(["up", ...words], { environment: { ...npm, ...taken } })).toEqual({
      code: 2,
      out: "",
      err: `tandem: npm keeps options for itself unless -- comes before them: npm start -- ${meant}\n`,
    });
  });

  it.each<[string, string[], Record<string, string>]>([
    ["another script of npm's", ["up", "--cells", "0"], { npm_lifecycle_event: "test", npm_config_sip: "true" }],
    ["another command", ["status", "--url", "x"], { npm_config_sip: "true" }],
    ["npm's own configuration", ["up", "--cells", "0"], { npm_config_restart: "true", npm_config_json: "" }],
  ])("%s is none of it", async (_, words, taken) => {
    const { code, err } = await runCommand(words, { environment: { ...npm, ...taken } });
    expect(code).toBe(2);
    expect(err).not.toContain("npm");
  });
});
