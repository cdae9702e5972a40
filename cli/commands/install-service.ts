import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { type Arguments, usage } from "../arguments.ts";
import { installServiceSpec } from "../command-specs.ts";
import type { Io } from "../io.ts";
import { program } from "../program.ts";
import { checkInstall, install, madeBy, type InstallPorts } from "../service/install.ts";
import { unitOf } from "../service/unit.ts";
import { checkMetrics, settingsOf } from "../settings.ts";

const unitPath = "/etc/systemd/system/tandem.service";
/** What systemd makes for the service, and what commands of root read. */
const statePath = "/var/lib/tandem";

/** Has systemd run this system on this machine, from now on and whenever the machine starts. */
export async function run(args: Arguments, io: Io): Promise<void> {
  // What would be wrong at the start is said now.
  checkMetrics(settingsOf(args));
  const command = [...program.command, "up", "--state", statePath, ...wordsOf(args)];
  const torn = command.find((word) => /\p{Cc}/u.test(word));
  if (torn !== undefined)
    throw usage(installServiceSpec, `${JSON.stringify(torn)}: a line break or another control character has no place in a unit`);
  const unit = unitOf({ command, remarks: [madeBy] });
  if (args.flags.has("print")) return io.out(unit);
  const ports: InstallPorts = {
    isRoot: process.getuid?.() === 0,
    isManaged: existsSync("/run/systemd/system"),
    run: (name, words) => void execFileSync(name, words, { stdio: ["ignore", "ignore", "pipe"], encoding: "utf8" }),
  };
  checkInstall([...program.command, ...files.flatMap((name) => wordOf(args, name))], ports);
  const outcome = install(unitPath, unit, ports);
  if (outcome === "changed") io.out("tandem.service is changed: systemctl restart tandem has it run so\n");
  else io.out(`tandem.service ${outcome === "new" ? "runs, and starts with the machine" : "is as it was, and runs"}\n`);
  io.out(`Its log: journalctl -u tandem. Its state: ${program.name} status --state ${statePath}\n`);
}

/** Paths are kept whole: a service starts elsewhere. */
const files: readonly string[] = ["tls-cert", "tls-key", "acme-ca"];

/** The options as they were typed. */
function wordsOf(args: Arguments): string[] {
  return [...args.values.keys()].flatMap((name) => wordOf(args, name).flatMap((each) => [`--${name}`, each]));
}

function wordOf({ values, lists }: Arguments, name: string): readonly string[] {
  const value = values.get(name);
  const all = lists.get(name) ?? (value === undefined ? [] : [value]);
  return files.includes(name) ? all.map((path) => resolve(path)) : all;
}
