import { createHash } from "node:crypto";
import { cpSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { Failure, reasonOf } from "./errors.ts";
import { isListOf, isTable } from "./json.ts";
import { type Program, program, root } from "./program.ts";
import { type BundleModule, readWorkerSettings } from "./workerd-config.ts";

/** The made bundle in a directory: names of its modules, the main one first. */
export type Bundle = { readonly directory: string; readonly modules: readonly string[] };

const mainModule = "index.js";

/** The cells' script of this program in `target`: an archive has it, and a checkout makes it. Throws a {@link Failure}. */
export async function bundleIn(target: string): Promise<Bundle> {
  if (program.cells === undefined) return await makeBundle(target);
  rmSync(target, { recursive: true, force: true });
  cpSync(program.cells, target, { recursive: true });
  return { directory: target, modules: modulesIn(target) };
}

/**
 * Makes the cells' script of a checkout in `target`, octet for octet as `wrangler deploy` uploads it (test/cli/bundle.test.ts compares them).
 * A cell that is started again an hour later finds there what its system was started with, whatever has become of the sources.
 * Throws a {@link Failure}.
 */
export async function makeBundle(target: string, checkout: string = root): Promise<Bundle> {
  const { main, keepNames } = readWorkerSettings(join(checkout, "wrangler.toml"), "a");
  rmSync(target, { recursive: true, force: true });
  const { build, stop } = await import("esbuild");
  try {
    await build({
      entryPoints: [main],
      absWorkingDir: checkout,
      outfile: join(target, mainModule),
      bundle: true,
      format: "esm",
      // These are wrangler's own choices.
      target: "es2024",
      supported: { "import-source": true, using: true },
      conditions: ["workerd", "worker", "browser"],
      define: { "process.env.NODE_ENV": '"production"' },
      external: ["cloudflare:*", "node:*"],
      keepNames,
      logLevel: "silent",
    });
  } catch (error) {
    throw new Failure(`the cells' script cannot be made: ${firstErrorOf(error) ?? reasonOf(error)}`);
  } finally {
    // esbuild works in a process of its own, which would live as long as the system.
    await stop();
  }
  return { directory: target, modules: modulesIn(target) };
}

/** The cells' script of an archive, where that is. */
export function bundleOf({ cells = "" }: Program): Bundle {
  return { directory: cells, modules: modulesIn(cells) };
}

/** Names what cells run: the beginning of a hash over all modules. */
export function codeOfBundle({ directory, modules }: Bundle): string {
  const hash = createHash("sha256");
  for (const name of modules) hash.update(`${name}\n`).update(readFileSync(join(directory, name)));
  return hash.digest("hex").slice(0, 12);
}

/** The modules of a bundle as a configuration file at `configFile` embeds them. */
export function modulesFor(bundle: Bundle, configFile: string): BundleModule[] {
  return bundle.modules.map((name) => ({ name, path: relative(dirname(configFile), join(bundle.directory, name)) }));
}

/** The first fault that esbuild has found in the sources, with its place. */
function firstErrorOf(failure: unknown): string | undefined {
  const errors = isTable(failure) ? failure["errors"] : undefined;
  if (!isListOf(errors, isTable)) return undefined;
  const [first] = errors;
  if (first === undefined) return undefined;
  const { text, location } = first;
  const place = isTable(location) ? `${String(location["file"])}:${String(location["line"])}: ` : "";
  return `${place}${String(text)}`;
}

function modulesIn(directory: string): string[] {
  return [mainModule, ...readdirSync(directory).filter((name) => name !== mainModule)];
}
