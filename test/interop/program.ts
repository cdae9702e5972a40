import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { Timeline } from "./timeline.ts";

/** How a program ended: its exit code, or the signal that ended it. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A real program that a test started: its lines of output are a timeline, and stopping it ends this process and no other. */
export class Program {
  readonly name: string;
  /** Lines of stdout and stderr, in the order they came. */
  readonly lines: Timeline<string> = new Timeline();
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;

  constructor(command: string, args: readonly string[], options: { name?: string; cwd?: string; env?: NodeJS.ProcessEnv } = {}) {
    this.name = options.name ?? command;
    this.#child = spawn(command, args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: ["pipe", "pipe", "pipe"],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream !== null) createInterface({ input: stream }).on("line", (line) => this.lines.push(line));
    }
    // A program that is gone already closes its stdin: writing then is no error of the test, its exit is reported instead.
    this.#child.stdin?.on("error", () => undefined);
    this.exited = new Promise((resolve) => {
      this.#child.once("error", (error) => {
        this.lines.close(`${this.name} could not be started: ${error.message}`);
        resolve({ code: 127, signal: null });
      });
      this.#child.once("close", (code, signal) => {
        this.lines.close(`${this.name} ended with ${code ?? signal}`);
        resolve({ code, signal });
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  get running(): boolean {
    return this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  write(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** The match of `pattern` in the first line from `since` on that has one. */
  async line(pattern: RegExp, options: { since?: number; withinMs?: number } = {}): Promise<RegExpExecArray> {
    return await this.lines.first(`${this.name} prints ${pattern}`, (line) => pattern.exec(line) ?? undefined, options);
  }

  /** How it ended, when it does so by itself within the bound; else it is stopped and this rejects. */
  async exit(withinMs: number): Promise<Exit> {
    const exit = await this.#exitWithin(withinMs);
    if (exit !== undefined) return exit;
    await this.stop();
    throw new Error(`${this.name} still ran after ${withinMs} ms\n${this.lines.tail()}`);
  }

  kill(signal: NodeJS.Signals): void {
    if (this.running) this.#child.kill(signal);
  }

  /** Asks with SIGTERM, insists with SIGKILL after the bound. Resolves when the process is gone, with what ended it. */
  async stop(withinMs = 5000): Promise<Exit> {
    this.kill("SIGTERM");
    const exit = await this.#exitWithin(withinMs);
    if (exit !== undefined) return exit;
    this.kill("SIGKILL");
    return await this.exited;
  }

  async #exitWithin(withinMs: number): Promise<Exit | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(resolve, withinMs, undefined);
    });
    const exit = await Promise.race([this.exited, late]);
    clearTimeout(timer);
    return exit;
  }
}
