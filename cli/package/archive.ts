import { execFileSync } from "node:child_process";
import { createWriteStream, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { protocolVersion } from "../../cluster/protocol-version.ts";
import { makeBundle } from "../bundle.ts";
import { Failure } from "../errors.ts";
import { type ProgramFile, commitOf, programFileName, program, programFileOf } from "../program.ts";
import { licenseFiles } from "./licenses.ts";
import { unitOf } from "../service/unit.ts";
import { type TarFile, tarOf } from "./tar.ts";

export type ArchiveOptions = {
  /** With its packages installed. */
  readonly checkout: string;
  /** Where the archive goes. */
  readonly directory: string;
  /** Another one than that of the checkout. */
  readonly version?: string | undefined;
  /** Of gzip, 9 when absent: tests take less. */
  readonly level?: number;
};

/**
 * Makes `tandem-VERSION-linux-ARCH.tar.gz` and returns its path. It runs where there is glibc and a shell: it has Node, workerd, the cells' script and the code of
 * commands and gateways. A commit makes the same octets each time, with the same packages. Throws a {@link Failure}.
 */
export async function makeArchive({ checkout, directory, version: asked, level = 9 }: ArchiveOptions): Promise<string> {
  if (process.platform !== "linux") throw new Failure("archives are made on Linux, with the programs that are installed there");
  const { version } = programFileOf(readFileSync(join(checkout, "package.json"), "utf8"));
  const own = { version: asked ?? version, commit: commitOf(checkout), protocol: protocolVersion };
  if (!/^\d+\.\d+\.\d+(?:-[\w.-]+)?$/.test(own.version)) throw new Failure(`${own.version}: a version has three numbers, as 1.2.3`);
  const name = `tandem-${own.version}-linux-${process.arch}`;
  const work = mkdtempSync(join(tmpdir(), "tandem-package-"));
  try {
    const files = await filesOf(checkout, own, work);
    mkdirSync(directory, { recursive: true });
    const [made, unfinished] = [join(directory, `${name}.tar.gz`), join(directory, `.${name}.tar.gz.${process.pid}`)];
    const inFolder = files.map((file) => ({ ...file, path: `${name}/${file.path}` }));
    await pipeline(Readable.from(tarOf(inFolder, secondsOf(checkout))), createGzip({ level }), createWriteStream(unfinished));
    renameSync(unfinished, made);
    return made;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** `work`: a folder that goes afterwards. */
async function filesOf(checkout: string, own: ProgramFile, work: string): Promise<TarFile[]> {
  const part = (path: string, from: string, isProgram = false): TarFile => ({ path, isProgram, from: join(checkout, from) });
  const native = `gateway/native/linux-${process.arch}.node`;
  const cells = await makeBundle(join(work, "cells"), checkout);
  return [
    part("bin/tandem", "cli/package/tandem.sh", true),
    part("LICENSE", "LICENSE"),
    { path: "tandem.service", isProgram: false, content: Buffer.from(archiveUnit()) },
    part("lib/wrangler.toml", "wrangler.toml"),
    { path: "lib/node", isProgram: true, from: realpathSync(join(checkout, "node_modules/.bin/node")) },
    { path: "lib/workerd", isProgram: true, from: realpathSync(program.workerd()) },
    ...(existsSync(join(checkout, native)) ? [part(`lib/${basename(native)}`, native)] : []),
    { path: "lib/package.json", isProgram: false, content: Buffer.from('{"type":"module"}\n') },
    { path: `lib/${programFileName}`, isProgram: false, content: Buffer.from(`${JSON.stringify(own)}\n`) },
    ...cells.modules.map((module): TarFile => ({ path: `lib/cells/${module}`, isProgram: false, from: join(cells.directory, module) })),
    ...(await codeOf(checkout)),
    ...licenseFiles(checkout),
  ];
}

/** Commands and gateways, each in one file, with what they share in others. */
async function codeOf(checkout: string): Promise<TarFile[]> {
  const { build, stop } = await import("esbuild");
  const entries = { tandem: "cli/tandem.ts", gateway: "gateway/index.ts" };
  try {
    const { outputFiles } = await build({
      entryPoints: entries,
      absWorkingDir: checkout,
      outdir: join(checkout, "lib"),
      write: false,
      bundle: true,
      // What only some commands need is read when one of them is called.
      splitting: true,
      format: "esm",
      platform: "node",
      target: "node24",
      keepNames: true,
      // Comments in the code name files as a checkout has them, wherever its packages are.
      preserveSymlinks: true,
      // An archive has the cells' script already, and makes none.
      external: ["esbuild"],
      // Packages in CommonJS ask for modules of Node by this.
      banner: { js: 'import { createRequire as requireOf } from "node:module";\nconst require = requireOf(import.meta.url);' },
      logLevel: "silent",
    });
    return outputFiles.map(({ path, contents }) => ({ path: `lib/${basename(path)}`, isProgram: false, content: contents }));
  } finally {
    await stop();
  }
}

/** When the commit was made, seconds since the epoch; 0 without git. */
function secondsOf(checkout: string): number {
  if (commitOf(checkout) === "") return 0;
  return Number(execFileSync("git", ["log", "-1", "--format=%ct"], { cwd: checkout, encoding: "utf8" }));
}

/** For who unpacks the archive in /opt and copies the unit by hand. */
export function archiveUnit(): string {
  return unitOf({
    command: ["/opt/tandem/bin/tandem", "up", "--state", "/var/lib/tandem"],
    more: "$TANDEM_OPTIONS",
    environmentFile: "/etc/tandem/options",
    remarks: [
      "# Runs Tandem under systemd. Copy it to /etc/systemd/system and unpack the archive in /opt, with /opt/tandem as a link to it.",
      "# Options of `tandem up` stand in /etc/tandem/options, for example: TANDEM_OPTIONS=--sip 192.0.2.10 --domain example.org",
    ],
  });
}
