import { statSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { reasonOf } from "../errors.ts";
import { root } from "../program.ts";
import { shownPath } from "../shown-path.ts";
import { makeArchive } from "./archive.ts";

/** `npm run package [-- --version V] [--out DIR]`: makes an archive that runs without this checkout. */
try {
  const { values } = parseArgs({ options: { version: { type: "string" }, out: { type: "string" } } });
  const made = await makeArchive({ checkout: root, directory: values.out ?? join(root, "dist"), version: values.version });
  process.stdout.write(`${shownPath(made)} (${Math.round(statSync(made).size / 1e6)} MB)\n`);
} catch (error) {
  process.stderr.write(`package: ${reasonOf(error)}\n`);
  process.exitCode = 1;
}
