import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { Failure, reasonOf } from "../errors.ts";

/** The first line of a unit that may be replaced. */
export const madeBy = "# Made by tandem install-service, which writes it again.";

export type InstallPorts = {
  readonly isRoot: boolean;
  /** systemd runs this machine. */
  readonly isManaged: boolean;
  /** Runs a program to its end. Throws with its words where it fails. */
  readonly run: (program: string, words: readonly string[]) => void;
};

/** Where programs are that a service may not read (`ProtectHome`). */
const hidden: readonly string[] = ["/home/", "/root/", "/run/user/"];

/** Throws a {@link Failure} in a line where a unit cannot be installed. */
export function checkInstall(programs: readonly string[], { isRoot, isManaged }: InstallPorts): void {
  if (!isManaged) throw new Failure("systemd does not run this machine: tandem install-service --print shows the unit");
  if (!isRoot) throw new Failure("a service is installed by root: type it with sudo, or --print shows the unit");
  const unseen = programs.find((path) => hidden.some((folder) => path.startsWith(folder)));
  if (unseen !== undefined)
    throw new Failure(`a service may not read ${unseen}: make an archive (npm run package), and unpack that below /opt`);
}

/** Writes a unit, has systemd read it, and starts it now and with the machine. Resolves to what there was before. */
export function install(path: string, unit: string, { run }: InstallPorts): "new" | "changed" | "same" {
  const before = existsSync(path) ? readFileSync(path, "utf8") : undefined;
  if (before !== undefined && !before.startsWith(madeBy)) throw new Failure(`${path} is somebody else's: move it away first`);
  mkdirSync(dirname(path), { recursive: true });
  if (before !== unit) writeFileSync(path, unit, { mode: 0o644 });
  for (const words of [["daemon-reload"], ["enable", "tandem.service"], ["start", "tandem.service"]]) {
    try {
      run("systemctl", words);
    } catch (error) {
      throw new Failure(`systemctl ${words.join(" ")}: ${reasonOf(error)}; journalctl -u tandem has more`);
    }
  }
  return before === undefined ? "new" : before === unit ? "same" : "changed";
}
