import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, describe, expect, it } from "vitest";
import { root } from "../../cli/program.ts";
import { workerSettingsOf } from "../../cli/workerd-config.ts";
import { exampleWranglerToml } from "../../cli/wrangler-example.ts";
import { type DeployedCell, wranglerFileOf, wranglerTomlOf } from "../../cli/wrangler-file.ts";

const directory = mkdtempSync(join(tmpdir(), "tandem-wrangler-"));

afterAll(() => rmSync(directory, { recursive: true, force: true }));

const a: DeployedCell = { id: "a", script: "tandem-a", bound: [] };
const b: DeployedCell = { id: "b", script: "tandem-b", bound: [] };
const bound: readonly DeployedCell[] = [
  { ...a, bound: [b], locationHint: "weur", jurisdiction: "eu" },
  { ...b, bound: [a] },
];

/** What wrangler would upload of a cell, as it says it: bindings and variables. */
async function dryRun(name: string, toml: string, cell: string): Promise<string> {
  // Paths of a file are relative to it.
  const file = join(directory, `${name}.toml`);
  writeFileSync(file, toml.replace('main = "workers/index.ts"', `main = ${JSON.stringify(join(root, "workers/index.ts"))}`));
  const wrangler = join(root, "node_modules/wrangler/bin/wrangler.js");
  const words = [wrangler, "deploy", "--dry-run", "--config", file, "--env", cell, "--outdir", join(directory, name)];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, words, {
    cwd: directory,
    env: {
      ...process.env,
      CI: "1",
      NODE_ENV: "",
      NO_COLOR: "1",
      WRANGLER_SEND_METRICS: "false",
      WRANGLER_LOG_PATH: join(directory, "logs"),
    },
  });
  expect(stderr).toBe("");
  return stdout;
}

describe("wrangler.toml", () => {
  it("is what cli/wrangler-file.ts makes: npm run reference writes it anew", () => {
    expect(readFileSync(join(root, "wrangler.toml"), "utf8")).toBe(exampleWranglerToml());
  });

  it.each(["a", "b"])("lets cell %s reach the others at their public addresses, and replaces code at once", (cell) => {
    const { compatibilityFlags, variables } = workerSettingsOf(exampleWranglerToml(), cell);
    expect(compatibilityFlags).toContain("global_fetch_strictly_public");
    expect(variables["LOCATION_HINT"]).toMatch(/^[a-z-]+$/);
    expect(exampleWranglerToml()).not.toContain("deferred");
  });

  it("has the cells of one account bound to each other, where they are to be", async () => {
    const toml = wranglerTomlOf(bound, "{}");
    expect(Object.keys(wranglerFileOf(toml).env ?? {})).toEqual(["a", "b"]);
    const said = await dryRun("one-account", toml, "a");
    expect(said).toMatch(/env\.CELL_B \(tandem-b\)\s+Worker/);
    expect(said).toMatch(/env\.LOCATION_HINT \("weur"\)/);
    expect(said).toMatch(/env\.JURISDICTION \("eu"\)/);
    expect(said).toMatch(/env\.VERSION_METADATA/);
  });

  it("binds nothing where each has an account of its own", async () => {
    const said = await dryRun("two-accounts", wranglerTomlOf([a, b], "{}"), "b");
    expect(said).toContain("env.EXCHANGE");
    expect(said).not.toContain("CELL_A");
  });

  it("takes no map that would end its text", () => {
    expect(() => wranglerTomlOf([a], '{"x": "\'\'\'"}')).toThrow("three apostrophes");
  });
});
