import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { Failure, reasonOf } from "./errors.ts";
import type { BundleModule } from "./workerd-config.ts";

/** The checkout that this command belongs to. */
export const root = resolve(import.meta.dirname, "..");

/** The made bundle in a directory: names of its modules, the main one first. */
export type Bundle = { readonly directory: string; readonly modules: readonly string[]; readonly fromCache: boolean };

const wranglerTimeoutMs = 60_000;
/** Bundles of older sources that are kept, for whoever goes back and forth between two branches. */
const keptBundles = 4;

/**
 * The cells' script as wrangler deploys it, in `target`. It is made once per state of the sources and kept in node_modules/.cache, then
 * copied: a cell that is started again an hour later gets what its system was started with, whatever has become of the sources.
 * Throws a {@link Failure}.
 */
export async function ensureBundle(target: string, signal: AbortSignal): Promise<Bundle> {
  const cache = join(root, "node_modules", ".cache", "tandem");
  const made = join(cache, `bundle-${sourcesHash()}`);
  const fromCache = existsSync(made);
  if (!fromCache) {
    try {
      mkdirSync(cache, { recursive: true });
    } catch (error) {
      throw new Failure(`${cache}: cannot be made: ${reasonOf(error)}`);
    }
    await makeBundle(cache, made, signal);
    prune(cache, made);
  }
  rmSync(target, { recursive: true, force: true });
  cpSync(made, target, { recursive: true });
  return { directory: target, modules: modulesIn(target), fromCache };
}

/** The modules of a bundle as a configuration file at `configFile` embeds them. */
export function modulesFor(bundle: Bundle, configFile: string): BundleModule[] {
  return bundle.modules.map((name) => ({ name, path: relative(dirname(configFile), join(bundle.directory, name)) }));
}

/** Changes with everything that a bundle is made of. */
function sourcesHash(): string {
  const hash = createHash("sha256");
  for (const part of ["package-lock.json", "wrangler.toml", "workers", "actors", "cluster", "sip"]) {
    const path = join(root, part);
    if (!existsSync(path)) throw new Failure(`${path} is missing: this is not a whole checkout`);
    for (const file of statSync(path).isDirectory() ? filesIn(path) : [path]) {
      const content = readFileSync(file);
      hash.update(`${relative(root, file)}\n${content.length}\n`).update(content);
    }
  }
  return hash.digest("hex").slice(0, 16);
}

function filesIn(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted();
}

async function makeBundle(cache: string, made: string, signal: AbortSignal): Promise<void> {
  // Renamed when it is whole: two systems that start at once cannot see each other's half.
  const fresh = mkdtempSync(join(cache, "making-"));
  try {
    await runWrangler(join(fresh, "out"), cache, signal);
    for (const name of readdirSync(join(fresh, "out"))) {
      if (name === "README.md" || name.endsWith(".map")) rmSync(join(fresh, "out", name), { recursive: true });
    }
    modulesIn(join(fresh, "out"));
    try {
      renameSync(join(fresh, "out"), made);
    } catch (error) {
      if (!existsSync(made)) throw error;
    }
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

/** `wrangler deploy --dry-run`: nothing leaves this machine, nothing is asked. */
function runWrangler(out: string, cache: string, signal: AbortSignal): Promise<void> {
  const require = createRequire(import.meta.url);
  let wrangler: string;
  try {
    wrangler = join(dirname(require.resolve("wrangler/package.json")), "bin", "wrangler.js");
  } catch {
    throw new Failure("wrangler is not installed: run npm ci");
  }
  const args = [wrangler, "deploy", "--dry-run", "--env", "a", "--config", join(root, "wrangler.toml"), "--outdir", out];
  const env = {
    ...process.env,
    CI: "1",
    NO_COLOR: "1",
    WRANGLER_SEND_METRICS: "false",
    WRANGLER_HIDE_BANNER: "true",
    WRANGLER_LOG_PATH: join(cache, "logs"),
  };
  return new Promise((done, fail) => {
    execFile(
      process.execPath,
      args,
      { cwd: root, env, signal, timeout: wranglerTimeoutMs, killSignal: "SIGKILL" },
      (error, stdout, stderr) => {
        if (error === null) return done();
        const lines = stripVTControlCharacters(`${stderr}\n${stdout}`)
          .split("\n")
          .filter((line) => line.trim() !== "");
        // esbuild says "Build failed with 2 errors:" first, and then file, line and reason of each.
        const cause =
          lines.find((line) => /: ERROR: /.test(line)) ?? lines.find((line) => /error/i.test(line)) ?? lines[0] ?? error.message;
        fail(new Failure(`the cells' script cannot be made: ${cause.trim()}`));
      },
    );
  });
}

/** wrangler names the main module after `main`, and the others (WebAssembly, texts) by their hash. */
function modulesIn(directory: string): string[] {
  const names = readdirSync(directory).toSorted();
  if (!names.includes("index.js")) throw new Failure("the cells' script has no index.js: wrangler made something else");
  return ["index.js", ...names.filter((name) => name !== "index.js")];
}

function prune(cache: string, keep: string): void {
  const bundles = readdirSync(cache)
    .filter((name) => name.startsWith("bundle-"))
    .map((name) => join(cache, name))
    .filter((path) => path !== keep)
    .map((path) => ({ path, at: statSync(path).mtimeMs }))
    .toSorted((one, other) => other.at - one.at);
  for (const { path } of bundles.slice(keptBundles - 1)) rmSync(path, { recursive: true, force: true });
}
