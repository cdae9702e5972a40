import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Failure } from "../errors.ts";
import { makeArchive } from "../package/archive.ts";
import { unpack } from "../package/untar.ts";
import { program, programVersion, root } from "../program.ts";

/** The `bin/tandem` of an archive, which is unpacked once. Throws a {@link Failure}. */
export async function programOf(archive: string, directory: string): Promise<string> {
  const into = join(directory, "program-before");
  if (!existsSync(into)) {
    const unfinished = `${into}.new`;
    rmSync(unfinished, { recursive: true, force: true });
    mkdirSync(unfinished, { recursive: true });
    await unpack(archive, unfinished);
    renameSync(unfinished, into);
  }
  const [only = ""] = readdirSync(into);
  return join(into, only, "bin", "tandem");
}

/** An archive of this checkout that says another version, which is made once. Throws a {@link Failure}. */
export async function archiveOfCheckout(directory: string): Promise<string> {
  if (program.cells !== undefined)
    throw new Failure("upgrade: say with --to ARCHIVE what the machines are upgraded to; a checkout makes one by itself");
  const into = join(directory, "program-after");
  const [made] = existsSync(into) ? readdirSync(into).filter((name) => name.endsWith(".tar.gz")) : [];
  if (made !== undefined) return join(into, made);
  const { version } = programVersion();
  return await makeArchive({ checkout: root, directory: into, version: `${version}-drill`, level: 1 });
}
