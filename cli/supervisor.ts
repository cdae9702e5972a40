import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { ChildLines, isWarning } from "./child-lines.ts";
import { Failure, reasonOf } from "./errors.ts";
import { Guard } from "./guard.ts";
import type { ProcessState } from "./process-state.ts";
import type { Reporter } from "./reporter.ts";
import { untilAnswers } from "./until-answers.ts";

/** A process to keep running. */
export type ProcessSpec = {
  /** `cell a`, `gateway g1`: how messages call it. */
  readonly name: string;
  /** Program and arguments. The process id is the program's own. */
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Called before each start of it, the first one and those after a death. */
  readonly prepare?: () => void;
  /** When it serves: an HTTP URL answers 200, or it prints such a line on stdout. */
  readonly readiness: { readonly url: string } | { readonly line: RegExp };
};

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

type Running = {
  /** How it is started the next time. */
  spec: ProcessSpec;
  readonly lines: ChildLines;
  /** The present process, or the one that died last. */
  child: Child | undefined;
  pid: number;
  /** ms since the epoch. */
  startedAt: number;
  /** Deaths in a row, each soon after its start. */
  failures: number;
  /** What it last said on stderr, and when: the cause, when it ends right after. */
  lastWords: string;
  lastWordsAt: number;
  restartTimer: NodeJS.Timeout | undefined;
  /** It is ended, and not started again. */
  isOver: boolean;
  /** It was told to stop, and is there to be started. */
  isStopped: boolean;
  /** It serves. */
  isReady: boolean;
  starts: number;
  /** When it last became what it is. */
  changedAt: number;
  /** What it said last, of whichever start. */
  said: string;
  saidAt: number;
  /** Why it is ended, to be started again at once. */
  renewedFor: string | undefined;
  /** Set while it is started: its ready line came. */
  onReadyLine: (() => void) | undefined;
  /** Set while something was asked of it: takes each line of stdout, and says whether that was the answer. */
  onLine: ((line: string) => boolean) | undefined;
};

/** A process that does not serve by then is taken for hung. */
const readyMsMax = 10_000;
/** The first restart is immediate, the next waits this long, then twice as long, up to the maximum. */
const backoffMsMin = 250;
const backoffMsMax = 10_000;
/** A process that lived this long starts with a clean slate. */
const stableMs = 30_000;
/** workerd waits for its open WebSockets on SIGTERM: then SIGKILL. All within the 3 s that stopping may take. */
const politeMs = 1_000;

/** A process that was killed a moment ago has not ended yet. */
const dyingMsMax = 2_000;

/** What was said longer ago has nothing to do with a death. */
const lastWordsMs = 1_000;

export type SupervisorOptions = {
  readonly restart: boolean;
  readonly reporter: Reporter;
  /** Called with every new process id of a process. */
  readonly onStarted: (name: string, pid: number) => void;
};

/** Processes that are stopped before the others, by how their names begin, and how long the others go on after that, ms. */
export type StoppedBefore = { readonly prefix: string; readonly pauseMs: number };

/** Starts processes, keeps them running, and stops them all; none outlives this process, whatever ends it. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #guard = new Guard();
  readonly #all = new Map<string, Running>();
  #stopping: Promise<void> | undefined;

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  /**
   * Starts processes of which some can do the work of others. Throws a {@link Failure} when none serves; one that does not is said, and tried again.
   * Returns the names of those that serve.
   */
  async startSome(specs: readonly ProcessSpec[]): Promise<ReadonlySet<string>> {
    const { restart, reporter } = this.#options;
    const outcomes = await Promise.allSettled(specs.map((spec) => this.start(spec)));
    const serving = new Set(specs.filter((_, index) => outcomes[index]?.status === "fulfilled").map(({ name }) => name));
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome.status === "fulfilled") continue;
      if (serving.size === 0 || !(outcome.reason instanceof Failure)) throw outcome.reason;
      const running = this.#all.get(specs[index]?.name ?? "");
      if (running === undefined) continue;
      reporter.event(running.spec.name, "failed", `${reasonOf(outcome.reason)}; the others go on without it`);
      running.failures += 1;
      if (restart && this.#stopping === undefined) this.#restart(running);
    }
    return serving;
  }

  /** Starts a process and waits until it serves. Throws a {@link Failure} with the cause when it does not. */
  async start(spec: ProcessSpec): Promise<void> {
    const running: Running = {
      spec,
      lines: new ChildLines(),
      child: undefined,
      pid: 0,
      startedAt: 0,
      failures: 0,
      lastWords: "",
      lastWordsAt: 0,
      restartTimer: undefined,
      isOver: false,
      isStopped: false,
      isReady: false,
      starts: 0,
      changedAt: Date.now(),
      said: "",
      saidAt: 0,
      renewedFor: undefined,
      onReadyLine: undefined,
      onLine: undefined,
    };
    this.#all.set(spec.name, running);
    try {
      this.#watch(running, await this.#launch(running));
    } catch (error) {
      throw new Failure(`${spec.name} does not start: ${reasonOf(error)}`);
    }
  }

  /** Starts a process that has died again, where nothing else does. Throws a {@link Failure} when it lives, or does not serve. */
  async startAgain(name: string): Promise<void> {
    const running = this.#all.get(name);
    if (running === undefined) throw new Error(`${name} was never started`);
    const { child } = running;
    if (child !== undefined && !hasExited(child) && !(await exits(child, dyingMsMax))) throw new Failure(`${name} is running`);
    try {
      this.#watch(running, await this.#launch(running));
    } catch (error) {
      throw new Failure(`${name} does not start: ${reasonOf(error)}`);
    }
  }

  /** Ends a process, which is then started again like one that has died, but for what is said of it. False: it does not run, or is not started again. */
  renew(name: string, cause: string): boolean {
    const running = this.#all.get(name);
    if (running?.child === undefined || hasExited(running.child) || !this.#options.restart) return false;
    running.renewedFor = cause;
    // Nothing is written at SIGTERM that is not at SIGKILL: what a cell has acknowledged is at its peer.
    return running.child.kill("SIGKILL");
  }

  /** Sends a signal to a process, and resolves to the line of its stdout that answers it. Undefined: it does not run, has ended, or says nothing in time. */
  async ask(name: string, signal: NodeJS.Signals, answer: RegExp, msMax: number): Promise<string | undefined> {
    const running = this.#all.get(name);
    const child = running?.child;
    if (running === undefined || child === undefined || hasExited(child) || running.onReadyLine !== undefined) return undefined;
    let timer: NodeJS.Timeout | undefined;
    const over = new AbortController();
    try {
      return await Promise.race([
        new Promise<string>((answered) => {
          running.onLine = (line) => {
            const isAnswer = answer.test(line);
            if (isAnswer) answered(line);
            return isAnswer;
          };
          child.kill(signal);
        }),
        new Promise<undefined>((late) => {
          timer = setTimeout(late, msMax, undefined);
        }),
        once(child, "exit", { signal: over.signal }).then(
          () => undefined,
          () => undefined,
        ),
      ]);
    } finally {
      clearTimeout(timer);
      over.abort();
      running.onLine = undefined;
    }
  }

  /** Stops a process until it is told to start: SIGTERM, then SIGKILL after a second. Throws a {@link Failure} when there is nothing to stop. */
  async stopOne(name: string): Promise<void> {
    const running = this.#known(name);
    if (running.isStopped) throw new Failure(`${name} is stopped already`);
    running.isStopped = true;
    clearTimeout(running.restartTimer);
    await this.#terminate((each) => each === name);
    running.isReady = false;
    running.changedAt = Date.now();
    this.#options.reporter.event(name, "stopped", "as it was told");
  }

  /** Starts a process that was stopped, or that waits to be started again. Throws a {@link Failure} when it runs, or does not serve. */
  async startOne(name: string): Promise<void> {
    const running = this.#known(name);
    const { child } = running;
    if (child !== undefined && !hasExited(child)) throw new Failure(`${name} runs already`);
    clearTimeout(running.restartTimer);
    running.isStopped = false;
    running.failures = 0;
    try {
      this.#watch(running, await this.#launch(running));
    } catch (error) {
      running.isStopped = true;
      throw new Failure(`${name} does not start, and is stopped: ${reasonOf(error)}`);
    }
    this.#options.reporter.event(name, "started", `process ${running.pid}, as it was told`);
  }

  /**
   * Ends a process and starts it as it is to run from now on. `isAtOnce`: without SIGTERM before SIGKILL. Throws a {@link Failure} when it does not serve; it is
   * stopped then.
   */
  async replace(spec: ProcessSpec, isAtOnce: boolean): Promise<void> {
    const running = this.#known(spec.name);
    running.isStopped = true;
    clearTimeout(running.restartTimer);
    if (isAtOnce) running.child?.kill("SIGKILL");
    await this.#terminate((name) => name === spec.name);
    running.spec = spec;
    await this.startOne(spec.name);
  }

  /** Goes on trying to start a process that does not serve, as if it had died. */
  keepTrying(name: string): void {
    const running = this.#known(name);
    if (!running.isStopped || !this.#options.restart || this.#stopping !== undefined) return;
    running.isStopped = false;
    this.#restart(running);
  }

  isStopped(name: string): boolean {
    return this.#all.get(name)?.isStopped ?? false;
  }

  /** All of them, as they are now. */
  get processes(): readonly ProcessState[] {
    return [...this.#all.values()].map((running): ProcessState => {
      const { spec, child, pid, starts, said, saidAt, changedAt } = running;
      const lives = child !== undefined && !hasExited(child);
      const state = running.isStopped ? "stopped" : !lives ? "down" : running.isReady ? "up" : "starting";
      return { name: spec.name, state, ...(lives ? { pid } : {}), since: changedAt, starts, said, saidAt };
    });
  }

  #known(name: string): Running {
    const running = this.#all.get(name);
    if (running === undefined || running.isOver) throw new Failure(`there is no process ${name} here`);
    return running;
  }

  /** Ends a process for good: SIGTERM, then SIGKILL after a second. It is not started again. */
  async end(name: string): Promise<void> {
    const running = this.#all.get(name);
    if (running === undefined) return;
    running.isOver = true;
    clearTimeout(running.restartTimer);
    await this.#terminate((each) => each === name);
    this.#all.delete(name);
  }

  /**
   * Stops everything: SIGTERM, then SIGKILL for what is still there after a second. `before`: what is stopped before the rest, and how long the rest
   * has then for what it has taken.
   */
  stop(before?: StoppedBefore): Promise<void> {
    this.#stopping ??= this.#stopAll(before);
    return this.#stopping;
  }

  /** Does not wait for that second. */
  kill(): void {
    this.#signal("SIGKILL");
  }

  async #stopAll(before: StoppedBefore | undefined): Promise<void> {
    for (const running of this.#all.values()) clearTimeout(running.restartTimer);
    const ended = this.#end(() => true);
    if (before !== undefined) {
      await this.#terminate((name) => name.startsWith(before.prefix));
      await Promise.race([ended, delay(before.pauseMs, undefined, { ref: false })]);
    }
    await this.#terminate(() => true);
    await ended;
    this.#guard.close();
  }

  /** SIGTERM, and SIGKILL after a second. */
  async #terminate(isMeant: (name: string) => boolean): Promise<void> {
    this.#signal("SIGTERM", isMeant);
    const escalation = setTimeout(() => this.#signal("SIGKILL", isMeant), politeMs);
    await this.#end(isMeant);
    clearTimeout(escalation);
  }

  async #end(isMeant: (name: string) => boolean): Promise<void> {
    await Promise.all(
      [...this.#all].map(async ([name, { child }]) => {
        if (isMeant(name) && child !== undefined && !hasExited(child)) await new Promise((exited) => child.once("exit", exited));
      }),
    );
  }

  #signal(signal: NodeJS.Signals, isMeant: (name: string) => boolean = () => true): void {
    for (const [name, { child }] of this.#all) {
      if (child === undefined || hasExited(child) || !isMeant(name)) continue;
      child.kill(signal);
      // A gateway also ends when its input does; this is for one that has not come so far as to handle signals.
      child.stdin.destroy();
    }
  }

  /** Spawns and waits until it serves; throws the cause when it ends before, or hangs. */
  async #launch(running: Running): Promise<Child> {
    if (this.#isToEnd(running)) throw new Failure("it is being stopped");
    const { spec } = running;
    running.lastWords = "";
    spec.prepare?.();
    // The shell waits for one line and then becomes the program: when that line comes, the guard knows the process id already.
    // What the program writes is for this user alone: databases have secrets.
    const child: Child = spawn("/bin/sh", ["-c", 'umask 077; read -r go && exec "$@"', spec.name, ...spec.command], {
      detached: true,
      env: { ...process.env, ...spec.environment },
      stdio: ["pipe", "pipe", "pipe"],
    });
    running.child = child;
    running.startedAt = running.changedAt = Date.now();
    running.isReady = false;
    running.starts += 1;
    child.stdin.on("error", () => undefined);
    const { pid } = child;
    if (pid === undefined) throw await new Promise<Error>((failed) => child.once("error", failed));
    running.pid = pid;
    child.once("exit", () => this.#guard.remove(pid));
    this.#forward(running, child);
    await this.#guard.add(pid);
    child.stdin.write("go\n");
    this.#options.onStarted(spec.name, pid);
    await this.#untilReady(running, child);
    // A start that was overtaken by a stop must not look like a success.
    if (this.#isToEnd(running)) throw new Failure("it is being stopped");
    running.isReady = true;
    running.changedAt = Date.now();
    return child;
  }

  #isToEnd({ isOver, isStopped }: Running): boolean {
    return isOver || isStopped || this.#stopping !== undefined;
  }

  #forward(running: Running, child: Child): void {
    const { reporter } = this.#options;
    const { spec } = running;
    createInterface({ input: child.stderr }).on("line", (line) => {
      const shown = running.lines.shown(line, Date.now());
      if (shown === undefined) return;
      running.lastWords = running.said = shown;
      running.lastWordsAt = running.saidAt = Date.now();
      reporter.line(spec.name, shown, isWarning(shown));
    });
    createInterface({ input: child.stdout }).on("line", (line) => {
      if ("line" in spec.readiness && spec.readiness.line.test(line)) running.onReadyLine?.();
      else if (running.onLine?.(line) !== true && line.trim() !== "") reporter.line(spec.name, line);
    });
  }

  async #untilReady(running: Running, child: Child): Promise<void> {
    const { readiness } = running.spec;
    const settled = new AbortController();
    try {
      await Promise.race([
        "url" in readiness
          ? untilAnswers(readiness.url, settled.signal)
          : new Promise<void>((ready) => {
              running.onReadyLine = ready;
            }),
        new Promise<never>((_, fail) => {
          // "close", not "exit": what it wrote last has been read then.
          child.once("close", (code, signal) => fail(new Error(`${endOf(code, signal)}${lastWordsOf(running)}`)));
        }),
        new Promise<never>((_, fail) => {
          const timer = setTimeout(
            () => fail(new Error(`it does not serve after ${readyMsMax / 1000} s${lastWordsOf(running)}`)),
            readyMsMax,
          );
          settled.signal.addEventListener("abort", () => clearTimeout(timer));
        }),
      ]);
    } catch (error) {
      child.kill("SIGKILL");
      throw error;
    } finally {
      settled.abort();
      running.onReadyLine = undefined;
    }
  }

  #died(running: Running, code: number | null, signal: NodeJS.Signals | null): void {
    running.isReady = false;
    running.changedAt = Date.now();
    if (this.#isToEnd(running)) return;
    const { reporter, restart } = this.#options;
    running.failures = Date.now() - running.startedAt > stableMs ? 0 : running.failures;
    const { renewedFor } = running;
    running.renewedFor = undefined;
    if (renewedFor !== undefined) {
      reporter.event(running.spec.name, "ended", `process ${running.pid}: ${renewedFor}`);
      this.#restart(running);
      return;
    }
    const cause = `process ${running.pid} ${endOf(code, signal)}${lastWordsOf(running)}`;
    if (!restart) {
      reporter.event(running.spec.name, "died", `${cause}; not started again (--no-restart)`);
      return;
    }
    reporter.event(running.spec.name, "died", cause);
    this.#restart(running);
  }

  #restart(running: Running): void {
    const { failures } = running;
    running.failures += 1;
    const delayMs = failures === 0 ? 0 : Math.min(backoffMsMin * 2 ** (failures - 1), backoffMsMax);
    running.restartTimer = setTimeout(() => void this.#relaunch(running), delayMs);
  }

  async #relaunch(running: Running): Promise<void> {
    const { reporter } = this.#options;
    const { name } = running.spec;
    try {
      const child = await this.#launch(running);
      reporter.event(name, "restarted", `process ${running.pid}, serving after ${Date.now() - running.startedAt} ms`);
      this.#watch(running, child);
    } catch (error) {
      if (this.#isToEnd(running)) return;
      reporter.event(name, "failed", reasonOf(error));
      this.#restart(running);
    }
  }

  /** From now on the end of this process is a death. It may have ended a moment ago. */
  #watch(running: Running, child: Child): void {
    if (hasExited(child)) this.#died(running, child.exitCode, child.signalCode);
    else child.once("exit", (code, signal) => this.#died(running, code, signal));
  }
}

/** True when it ends within the time. */
async function exits(child: Child, withinMs: number): Promise<boolean> {
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(), withinMs);
  try {
    await once(child, "exit", { signal: timeout.signal });
    return true;
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
  }
}

function hasExited(child: Child): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function endOf(code: number | null, signal: NodeJS.Signals | null): string {
  return signal === null ? `ended with code ${code ?? 0}` : `was ended by ${signal}`;
}

function lastWordsOf(running: Running): string {
  return running.lastWords === "" || Date.now() - running.lastWordsAt > lastWordsMs ? "" : ` (last words: ${running.lastWords})`;
}
