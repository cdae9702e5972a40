import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Guard } from "../cli/guard.ts";

const stopMsMax = 5_000;

/** Every process and directory that a run of the bench makes, so that none is left, however it ends. */
export class Programs {
  readonly #running = new Set<ChildProcess>();
  readonly #directories = new Set<string>();
  readonly #guard = new Guard();
  #isStopping = false;

  /** Starts a program in a process group of its own: a terminal's Ctrl-C reaches the bench alone, which then stops in order. */
  async start(command: string, args: readonly string[], options: SpawnOptions = {}): Promise<ChildProcess> {
    if (this.#isStopping) throw new Error("the bench stops");
    const child = spawn(command, args, { stdio: "ignore", ...options, detached: true });
    this.#running.add(child);
    child.once("exit", () => this.#running.delete(child));
    const failed = await Promise.race([once(child, "spawn").then(() => undefined), once(child, "error").then(([error]) => String(error))]);
    const { pid } = child;
    if (failed !== undefined || pid === undefined) {
      this.#running.delete(child);
      throw new Error(`${command} does not start: ${failed}`);
    }
    // The guard kills the whole group when the bench itself was killed.
    child.once("exit", () => this.#guard.remove(-pid));
    await this.#guard.add(-pid);
    return child;
  }

  /** SIGTERM, then SIGKILL to its whole group after the bound. Resolves when the process is gone. */
  async stop(child: ChildProcess, withinMs = stopMsMax): Promise<void> {
    if (hasEnded(child) || child.pid === undefined) return;
    const exited = once(child, "exit");
    child.kill("SIGTERM");
    const force = setTimeout(() => killGroup(child), withinMs);
    await exited;
    clearTimeout(force);
  }

  /** An empty directory that goes with the bench. */
  directory(): string {
    const path = mkdtempSync(join(tmpdir(), "tandem-bench-"));
    this.#directories.add(path);
    return path;
  }

  removeDirectory(path: string): void {
    rmSync(path, { recursive: true, force: true, maxRetries: 5 });
    this.#directories.delete(path);
  }

  /** Ends everything; nothing starts any more. */
  async stopAll(): Promise<void> {
    this.#isStopping = true;
    await Promise.all([...this.#running].map(async (child) => await this.stop(child)));
    for (const path of this.#directories) this.removeDirectory(path);
    this.#guard.close();
  }
}

export function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // It has just ended by itself.
  }
}
