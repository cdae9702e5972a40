import { createHash } from "node:crypto";
import { createReadStream, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { protocolVersion } from "../cluster/protocol-version.ts";
import { Failure, reasonOf } from "./errors.ts";
import { unpack } from "./package/untar.ts";
import { type Program, type ProgramFile, program, programIn, programVersion, root, versionIn, versionText } from "./program.ts";
import type { StateDirectory } from "./state-directory.ts";

/** A program that processes may run, and the folder that it was unpacked to; undefined: it is the one of `tandem up` itself. */
export type KnownProgram = { readonly program: Program; readonly version: ProgramFile; readonly folder: string | undefined };

/** A program that does not say its version by then does not run here. */
const versionMsMax = 30_000;
const folderName = "programs";

/** Which program each process of this machine runs: that of `tandem up`, until it is upgraded. */
export class LocalPrograms {
  readonly #state: StateDirectory;
  readonly #own: KnownProgram = { program, version: programVersion(), folder: undefined };
  readonly #by = new Map<string, KnownProgram>();
  /** What all have run before the last upgrade. */
  #before: KnownProgram | undefined;
  #latest: KnownProgram = this.#own;

  constructor(state: StateDirectory) {
    this.#state = state;
  }

  /** What all are to run. */
  get latest(): KnownProgram {
    return this.#latest;
  }

  /** Of a process: `cell a`. One that is new runs the latest. */
  of(name: string): KnownProgram {
    const known = this.#by.get(name) ?? this.#latest;
    this.#by.set(name, known);
    return known;
  }

  set(name: string, known: KnownProgram): void {
    this.#by.set(name, known);
  }

  /** From now on all are to run what they ran before the last upgrade. Throws a {@link Failure}. */
  back(): void {
    if (this.#before === undefined) throw new Failure("nothing was upgraded since tandem up was started: there is no way back");
    [this.#before, this.#latest] = [this.#latest, this.#before];
  }

  /** Unpacks an archive beside the state, and checks that it runs here. From then on all are to run it. Throws a {@link Failure}; nothing has changed then. */
  async prepare(archive: string): Promise<void> {
    this.#state.makeDirectory(folderName);
    try {
      this.#upgradeTo(await this.#checked(archive));
    } finally {
      this.#forgetUnused();
    }
  }

  #upgradeTo(next: KnownProgram): void {
    if (this.#latest.folder === next.folder) return;
    // Of an upgrade that has stopped half-way the way back stays the same.
    const isDone = [...this.#by.values()].every((known) => known.folder === this.#latest.folder);
    if (isDone || next.folder === this.#before?.folder) this.#before = this.#latest;
    this.#latest = next;
  }

  async #checked(archive: string): Promise<KnownProgram> {
    const folder = await this.#unpacked(archive);
    const lib = join(folder, "lib");
    const version = versionIn(lib);
    await checkRuns(folder, version);
    if (version.protocol !== protocolVersion) {
      throw new Failure(
        `${versionText(version)} speaks version ${version.protocol} of the protocol, and this system ${protocolVersion}: stop the system, and start it by ${join(folder, "bin", "tandem")}`,
      );
    }
    return { program: programIn(lib), version, folder };
  }

  /** The folder that an archive was unpacked to, now or before: its name says what is in it. */
  async #unpacked(archive: string): Promise<string> {
    const into = this.#state.file(folderName, `new-${process.pid}`);
    rmSync(into, { recursive: true, force: true });
    try {
      const digest = (await digestOf(archive)).slice(0, 16);
      const known = readdirSync(this.#state.file(folderName)).find((name) => name.endsWith(`-${digest}`));
      if (known !== undefined) return this.#state.file(folderName, known);
      mkdirSync(into, { mode: 0o755 });
      await unpack(archive, into);
      const [only = "", ...others] = readdirSync(into);
      if (others.length > 0 || !existsSync(join(into, only, "lib", "tandem.js"))) throw new Failure(`${archive}: is no archive of tandem`);
      const folder = this.#state.file(folderName, `${only}-${digest}`);
      renameSync(join(into, only), folder);
      return folder;
    } finally {
      rmSync(into, { recursive: true, force: true });
    }
  }

  /** Each takes 300 MB: those that nobody runs, or would go back to, go. */
  #forgetUnused(): void {
    // `tandem up` itself may run one of them.
    const used = [root, ...[...this.#by.values(), this.#latest, this.#before].map((known) => known?.folder ?? root)].map((folder) =>
      basename(folder),
    );
    for (const name of readdirSync(this.#state.file(folderName))) {
      if (!used.includes(name)) rmSync(this.#state.file(folderName, name), { recursive: true, force: true });
    }
  }
}

async function digestOf(archive: string): Promise<string> {
  const hash = createHash("sha256");
  try {
    await pipeline(createReadStream(archive), hash);
  } catch (error) {
    throw new Failure(`${archive}: cannot be read: ${reasonOf(error)}`);
  }
  return hash.digest("hex");
}

/** Its own Node and code run on this machine, and workerd as well. */
async function checkRuns(folder: string, version: ProgramFile): Promise<void> {
  const run = promisify(execFile);
  try {
    const { stdout } = await run(join(folder, "bin", "tandem"), ["--version"], { timeout: versionMsMax });
    if (stdout.trim() !== versionText(version)) throw new Failure(`it says that it is ${stdout.trim()}`);
    await run(join(folder, "lib", "workerd"), ["--version"], { timeout: versionMsMax });
  } catch (error) {
    throw new Failure(`${versionText(version)} does not run on this machine: ${reasonOf(error)}`);
  }
}
