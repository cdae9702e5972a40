import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Failure, reasonOf } from "../errors.ts";
import { root } from "../program.ts";
import { purposeOf, type Step } from "./plan.ts";
import type { System } from "./system.ts";
import { wranglerTextOf } from "./wrangler-text.ts";
import type { Wrangler } from "./wrangler.ts";

/** Has wrangler check whatever a plan uploads, without an account. Throws a {@link Failure} that says what it does not take. */
export async function tryUploads(system: System, steps: readonly Step[], wrangler: Wrangler, say: (text: string) => void): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "tandem-deploy-"));
  const main = join(root, "workers", "index.ts");
  const fileOf = (isFirst: boolean): string => join(directory, isFirst ? "first.toml" : "wrangler.toml");
  try {
    for (const isFirst of [true, false]) writeFileSync(fileOf(isFirst), wranglerTextOf(system, main, { isBound: !isFirst }).text);
    for (const step of steps) {
      if (step.kind !== "deploy") continue;
      const words = ["deploy", "--dry-run", "--env", step.cell.id, "--tag", step.tag, "--config", fileOf(step.isFirst)];
      try {
        await wrangler({
          words: [...words, "--outdir", join(directory, "uploaded")],
          environment: { WRANGLER_LOG_PATH: join(directory, "logs") },
          cwd: directory,
        });
      } catch (error) {
        throw new Failure(`wrangler does not take ${purposeOf(step)}: ${reasonOf(error)}`);
      }
      say(`wrangler takes ${purposeOf(step)}\n`);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
