import { resolve } from "node:path";
import { type Arguments, usage } from "../arguments.ts";
import { upgradeSpec } from "../command-specs.ts";
import { isToBeTaken, statusOf, untilHeard } from "../cell-service.ts";
import { askTandem } from "../control.ts";
import { Failure } from "../errors.ts";
import { HeldCell } from "../held-cell.ts";
import type { Io } from "../io.ts";
import { isListOf, isTable, isText, type Table } from "../json.ts";
import { defaultState } from "../settings.ts";
import { StateDirectory } from "../state-directory.ts";
import { findTarget, typed } from "../target.ts";
import { drain, undrain } from "./drain.ts";

type Process = { readonly name: string; readonly version: string; readonly isLatest: boolean };

/**
 * Has the cells and gateways of this machine run another program, one after the other: each is taken out of service, started anew, and back when it has caught up.
 * Throws a {@link Failure} at the first that does not come back.
 */
export async function run(args: Arguments, io: Io): Promise<void> {
  const archive = args.values.get("to");
  const isBack = args.flags.has("back");
  if ((archive === undefined) !== isBack) throw usage(upgradeSpec, "--to ARCHIVE or --back says what is to run");
  const state = new StateDirectory(resolve(args.values.get("state") ?? defaultState));
  const say = (text: string): void => (args.flags.has("json") ? undefined : io.out(text));
  const { version, folder, isReplicated, processes } = planIn(
    await askTandem(state, "upgrade", archive === undefined ? {} : { archive: resolve(archive) }),
  );
  const held = new HeldCell(
    (text) => io.err(text),
    (cell) => typed(args, `undrain ${cell}`),
  );
  const deaf = held.listen();
  try {
    for (const each of processes) {
      if (each.isLatest) say(`${each.name} runs ${version} already\n`);
      else say(`${each.name}: ${each.version} -> ${await upgradeOne(each.name, { args, io, state, isReplicated, held })}\n`);
    }
  } finally {
    deaf();
  }
  if (args.flags.has("json")) {
    io.out(
      `${JSON.stringify({ version, ...(folder === undefined ? {} : { folder }), processes: processes.map(({ name }) => ({ name, version })) })}\n`,
    );
    return;
  }
  io.out(`All run ${version}.\n`);
  if (folder !== undefined) io.out(`tandem up itself does not, until it is started again by ${folder}/bin/tandem\n`);
}

type Way = {
  readonly args: Arguments;
  readonly io: Io;
  readonly state: StateDirectory;
  /** Without replication nobody can take over what a cell has, and it is away for as long as it starts. */
  readonly isReplicated: boolean;
  readonly held: HeldCell;
};

/** Resolves to the version that it runs then. */
async function upgradeOne(name: string, { args, io, state, isReplicated, held }: Way): Promise<string> {
  const [kind = "", id = ""] = name.split(" ");
  const ofMember = { ...args, positionals: [id], values: new Map([["state", state.path]]) };
  const silent = { ...io, out: () => undefined };
  const from = kind === "cell" ? findTarget(ofMember, io.environment) : undefined;
  const before = from === undefined ? undefined : await statusOf(from.api);
  const isTaken = isReplicated && before !== undefined && isToBeTaken(before, id);
  if (isTaken && from !== undefined) await held.hold({ cell: id, api: from.api });
  let now: unknown;
  try {
    if (isTaken) await drain(ofMember, silent);
    now = await askTandem(state, "upgrade process", { process: name });
  } catch (error) {
    // It runs the program of before again, and is to serve. Where it does not, that is the cause, and no other.
    if (isTaken) await undrain(ofMember, silent).catch(() => undefined);
    throw error;
  }
  if (isTaken) await undrain(ofMember, silent);
  // Where another cell has not heard of it in time, it says so when it is to go itself. One that was out of service before is so again.
  else if (from !== undefined) await untilHeard(from.api, id, ["up", "draining"]);
  held.release();
  return isTable(now) ? String(now["version"]) : "?";
}

function planIn(answer: unknown): {
  readonly version: string;
  readonly folder: string | undefined;
  readonly isReplicated: boolean;
  readonly processes: readonly Process[];
} {
  const { version, folder, isReplicated, processes } = isTable(answer) ? answer : ({} as Table);
  if (!isText(version) || !isListOf(processes, isProcess))
    throw new Failure("the running tandem has answered something else: is it of another version?");
  return { version, folder: isText(folder) ? folder : undefined, isReplicated: isReplicated !== false, processes };
}

function isProcess(value: unknown): value is Process {
  return isTable(value) && isText(value["name"]) && isText(value["version"]) && typeof value["isLatest"] === "boolean";
}
