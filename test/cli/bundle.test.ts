import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, describe, expect, it } from "vitest";
import { makeBundle, modulesFor } from "../../cli/bundle.ts";
import { root } from "../../cli/program.ts";

const directory = mkdtempSync(join(tmpdir(), "tandem-bundle-"));

afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** A checkout whose only source is `source`. */
function checkoutWith(source: string): string {
  const checkout = mkdtempSync(join(directory, "checkout-"));
  mkdirSync(join(checkout, "workers"));
  writeFileSync(join(checkout, "wrangler.toml"), 'main = "workers/index.ts"\ncompatibility_date = "2026-11-01"\n');
  writeFileSync(join(checkout, "workers/index.ts"), source);
  return checkout;
}

/** What `wrangler deploy` would upload, in `outdir`. */
async function deployInto(outdir: string, ...options: readonly string[]): Promise<void> {
  const wrangler = join(root, "node_modules/wrangler/bin/wrangler.js");
  await promisify(execFile)(process.execPath, [wrangler, "deploy", "--dry-run", "--outdir", outdir, ...options], {
    cwd: root,
    env: { ...process.env, CI: "1", NODE_ENV: "", WRANGLER_SEND_METRICS: "false", WRANGLER_LOG_PATH: join(directory, "logs") },
  });
}

describe("wrangler deploy without --env", () => {
  it("is refused in a sentence, and uploads nothing", async () => {
    const outdir = join(directory, "no-cell");
    await expect(deployInto(outdir)).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining("This is no cell. Say which one: npx wrangler deploy --env a") as unknown,
    });
    expect(existsSync(outdir)).toBe(false);
  });
});

describe("the cells' script", () => {
  it("is octet for octet what wrangler deploys", async () => {
    const uploaded = join(directory, "uploaded");
    await deployInto(uploaded, "--env", "a");
    const { modules } = await makeBundle(join(directory, "made"));
    expect(modules).toEqual(["index.js"]);
    const deployed = readFileSync(join(uploaded, "index.js"), "utf8").replace("//# sourceMappingURL=index.js.map\n", "");
    expect(readFileSync(join(directory, "made/index.js"), "utf8") === deployed).toBe(true);
  });

  it("replaces the one that was made before, and only that is embedded", async () => {
    const target = join(directory, "again");
    mkdirSync(target);
    writeFileSync(join(target, "old.js"), "");
    const bundle = await makeBundle(target, checkoutWith("export default {};"));
    expect(modulesFor(bundle, join(directory, "cell-a.capnp"))).toEqual([{ name: "index.js", path: "again/index.js" }]);
  });

  it.each([
    ['import "nowhere";', 'workers/index.ts:1: Could not resolve "nowhere"'],
    ["export default {", "workers/index.ts:1: Expected identifier but found end of file"],
  ])("says where the fault is: %s", async (source, fault) => {
    await expect(makeBundle(join(directory, "none"), checkoutWith(source))).rejects.toThrow(`the cells' script cannot be made: ${fault}`);
  });
});
