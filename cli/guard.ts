import { type ChildProcess, spawn } from "node:child_process";

/**
 * Reads `+ PID` and `- PID` lines; at the end of its input kills what is left. Its input ends when the supervisor does, however that
 * ended: `kill -9` too. It is a shell because it must be small, and in a session of its own so that nothing that is aimed at the
 * supervisor's terminal or process group takes the guard first.
 */
const script = `
pids=
while read -r verb pid; do
  case $verb in
    +) pids="$pids $pid" ;;
    -) left=; for one in $pids; do [ "$one" = "$pid" ] || left="$left $one"; done; pids=$left ;;
  esac
done
[ -z "$pids" ] || kill -9 $pids 2>/dev/null
`;

/**
 * Kills the guarded processes when this process ends without having stopped them, so that none is ever an orphan. workerd has no way
 * to notice the end of its parent, and a parent's-death signal is Linux only and bound to a thread.
 */
export class Guard {
  #shell: ChildProcess | undefined;
  readonly #pids = new Set<number>();
  #closed = false;

  /** Resolves when the guard has been told of the process: it may do its work now. */
  async add(pid: number): Promise<void> {
    this.#pids.add(pid);
    await this.#tell(`+ ${pid}\n`);
  }

  remove(pid: number): void {
    if (this.#pids.delete(pid)) void this.#tell(`- ${pid}\n`);
  }

  /** Lets the guard end. What is still guarded now is killed. */
  close(): void {
    this.#closed = true;
    this.#shell?.stdin?.end();
  }

  #tell(line: string): Promise<void> {
    const shell = this.#shell ?? this.#start();
    return new Promise((told) => {
      if (shell.stdin === null || !shell.stdin.writable) return told();
      shell.stdin.write(line, () => told());
    });
  }

  /** Starts the shell; also when someone killed it: it is told everything again. */
  #start(): ChildProcess {
    const shell = spawn("/bin/sh", ["-c", script, "tandem-guard"], { detached: true, stdio: ["pipe", "ignore", "ignore"] });
    this.#shell = shell;
    shell.stdin?.on("error", () => undefined);
    shell.once("error", () => undefined);
    shell.once("exit", () => {
      this.#shell = undefined;
      if (this.#closed) return;
      for (const pid of this.#pids) void this.#tell(`+ ${pid}\n`);
    });
    shell.unref();
    return shell;
  }
}
