import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Programs } from "./programs.ts";

/** A program of the bench that runs in a process of its own, so that its work is not the bench's: it is told lines and says JSON, a line each. */
export class LineProcess {
  readonly #programs: Programs;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #ended: Promise<never>;

  private constructor(programs: Programs, name: string, child: ChildProcess) {
    if (child.stdout === null) throw new Error("unreachable: it is a pipe");
    this.#programs = programs;
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    this.#ended = once(child, "exit").then(([code]) => Promise.reject(new Error(`${name} ended with ${String(code)}`)));
    // It ends in any case: only while somebody waits for a line is that an error.
    this.#ended.catch(() => undefined);
  }

  static async start(programs: Programs, file: string, args: readonly string[]): Promise<LineProcess> {
    const child = await programs.start(process.execPath, [file, ...args], { stdio: ["pipe", "pipe", "inherit"] });
    return new LineProcess(programs, file, child);
  }

  /** The next thing that it says, taken for a `T`. */
  async next<T>(): Promise<T> {
    const line: IteratorResult<string> = await Promise.race([this.#lines.next(), this.#ended]);
    if (line.done === true) throw new Error("a process of the bench ended");
    return JSON.parse(line.value) as T;
  }

  tell(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  async stop(): Promise<void> {
    await this.#programs.stop(this.#child);
  }
}
