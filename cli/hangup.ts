import { closeSync, openSync, readFileSync, readlinkSync } from "node:fs";
import { basename } from "node:path";
import { parentOf } from "./process-table.ts";

/** What tells that SIGHUP was to be ignored when this process was started. */
export type StartedBy = {
  /** The command that the shell ran last: bash and zsh put it into `_`. */
  readonly command: string | undefined;
  /** Open flags of stdin, octal, as /proc/PID/fdinfo/0 has them. */
  readonly stdin: { readonly path: string; readonly flags: string } | undefined;
  readonly stdout: string | undefined;
  /** Ignored signals of those who started it, nearest first: hexadecimal masks, as /proc/PID/status has them. */
  readonly ignoredByParents: readonly string[];
};

const hangup = 1n;
/** npm, its shell, and the shell or script that started npm. */
const parentsMax = 3;
/** fcntl.h: write only. GNU nohup opens /dev/null so for a program that would read from a terminal. */
const writeOnly = 1;

/**
 * Whether somebody wants this process to live on when its terminal is gone: nohup, `trap '' HUP`. Node sets ignored signals back before any
 * script runs, and so does npm for what it runs: nothing is left to see of it but traces.
 */
export function ignoresHangup({ command, stdin, stdout, ignoredByParents }: StartedBy): boolean {
  if (command !== undefined && basename(command) === "nohup") return true;
  if (stdout !== undefined && basename(stdout) === "nohup.out") return true;
  if (stdin?.path === "/dev/null" && (Number.parseInt(stdin.flags, 8) & 3) === writeOnly) return true;
  return ignoredByParents.some((mask) => (BigInt(`0x${mask}`) & hangup) !== 0n);
}

/** Whether this process has a terminal, which may be closed: then SIGHUP says that it was. */
export function hasTerminal(): boolean {
  const terminal = attempt(() => openSync("/dev/tty", "r"));
  if (terminal !== undefined) closeSync(terminal);
  return terminal !== undefined;
}

/** {@link StartedBy} of this process. Without /proc only the shell's word is known. */
export function startedBy(): StartedBy {
  const path = attempt(() => readlinkSync("/proc/self/fd/0"));
  const flags = attempt(() => /^flags:\s*([0-7]+)/m.exec(readFileSync("/proc/self/fdinfo/0", "utf8"))?.[1]);
  const ignoredByParents: string[] = [];
  let pid: number | undefined = process.ppid;
  for (let steps = 0; steps < parentsMax && pid !== undefined && pid > 1; steps += 1) {
    const mask = ignoredBy(pid);
    if (mask !== undefined) ignoredByParents.push(mask);
    pid = parentOf(pid);
  }
  return {
    command: process.env["_"],
    stdin: path === undefined || flags === undefined ? undefined : { path, flags },
    stdout: attempt(() => readlinkSync("/proc/self/fd/1")),
    ignoredByParents,
  };
}

function ignoredBy(pid: number): string | undefined {
  return attempt(() => /^SigIgn:\s*([0-9a-f]+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
