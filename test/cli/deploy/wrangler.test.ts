import { describe, expect, it } from "vitest";
import { wranglerOf, wranglerProgram } from "../../../cli/deploy/wrangler.ts";

/** A program in place of wrangler. */
function saying(script: string, environment: NodeJS.ProcessEnv = {}, ms?: number): Promise<string> {
  return wranglerOf(
    [process.execPath, "-e", script, "--"],
    { PATH: process.env["PATH"], ...environment },
    ms,
  )({
    words: ["deploy", "--env", "a"],
    environment: { CLOUDFLARE_API_TOKEN: "the token of one" },
    cwd: ".",
  });
}

describe("wrangler, as it is run", () => {
  it("is that of this checkout", async () => {
    expect(
      await wranglerOf(wranglerProgram(), { ...process.env, WRANGLER_LOG: "log" })({ words: ["--version"], environment: {}, cwd: "." }),
    ).toMatch(/^\d+\.\d+\.\d+\s*$/m);
  });

  it("is told the token of its account, and no other secret", async () => {
    const environment = { TANDEM_SECRET: "s", CLOUDFLARE_API_TOKEN_TWO: "t", CLOUDFLARE_API_TOKEN: "other" };
    const said = await saying("console.log(JSON.stringify([process.argv.slice(1), process.env]))", environment);
    const [words, variables] = JSON.parse(said) as [readonly string[], NodeJS.ProcessEnv];
    expect(words).toEqual(["deploy", "--env", "a"]);
    expect(variables).toMatchObject({ CLOUDFLARE_API_TOKEN: "the token of one", CI: "1" });
    expect(Object.keys(variables)).not.toEqual(expect.arrayContaining(["TANDEM_SECRET"]));
    expect(Object.keys(variables)).not.toEqual(expect.arrayContaining(["CLOUDFLARE_API_TOKEN_TWO"]));
  });

  it.each([
    [
      "in its own words",
      "console.error('noise\\n\\n\\u001b[31mX [ERROR] Authentication error [code: 10000]\\u001b[0m\\n  for /accounts\\n'); process.exit(1)",
      "Authentication error [code: 10000] for /accounts",
    ],
    ["by its code when it has none", "process.exit(3)", "it ended with 3"],
    ["by the signal that has ended it", "process.kill(process.pid, 'SIGTERM'); setInterval(() => {}, 1000)", "it was ended by SIGTERM"],
  ])("says why it has failed: %s", async (_what, script, reason) => {
    await expect(saying(script)).rejects.toThrow(reason);
  });

  it("is ended when it does not end", async () => {
    await expect(saying("setInterval(() => {}, 1000)", {}, 500)).rejects.toThrow("it was ended by SIGKILL");
  });

  it("says that it cannot be started", async () => {
    await expect(wranglerOf(["/none/wrangler"], {})({ words: [], environment: {}, cwd: "." })).rejects.toThrow(
      "wrangler cannot be started: ",
    );
  });
});
