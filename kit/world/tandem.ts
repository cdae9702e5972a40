import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { isListOf, isTable } from "../../cli/json.ts";
import { startOf } from "../../cli/process-table.ts";
import { program as ownProgram } from "../../cli/program.ts";
import type { Run } from "../../cli/state-directory.ts";
import { freePorts } from "./free-ports.ts";
import { until } from "./until.ts";

/** How the command of another checkout is started. */
function commandOf(checkout: string): readonly string[] {
  return [ownProgram.node, join(resolve(checkout), "cli", "tandem.ts")];
}

/** Starts a process whose stdout and stderr are pipes. */
export type Spawn = (command: string, args: readonly string[]) => ChildProcess | Promise<ChildProcess>;

export type TandemOptions = {
  readonly domain?: string;
  readonly auth?: "digest" | "open";
  readonly cells?: number;
  readonly gateways?: number;
  readonly exchanges?: number;
  readonly replication?: "on" | "off";
  /** Address of the listeners; `[::1]` for IPv6. */
  readonly host?: string;
  /** Used, and kept, instead of a directory of its own that goes with the system. */
  readonly state?: string;
  /** Gateways take softphones over WebSocket too, WS and WSS. */
  readonly webSocket?: boolean;
  /** It is offered to others on the loopback: members have sockets of their own, and keys. */
  readonly listen?: boolean;
  /** First of the consecutive ports: two for each gateway, one for each cell, two more for each gateway's WebSockets. Any free ones, else. */
  readonly firstPort?: number;
  readonly restart?: boolean;
  /** Further options of `tandem up`, as they are typed. */
  readonly options?: readonly string[];
  /** File descriptors that each process may have open (`ulimit -n`). */
  readonly descriptors?: number;
  /** The checkout that is started; this one, else. */
  readonly checkout?: string;
  /** The command that is started instead, as the `bin/tandem` of an archive. */
  readonly program?: string;
  /** How `tandem up` is started; as a child of this process, else. */
  readonly spawn?: Spawn;
};

/** One line of `tandem up --json`. */
export type UpEvent = { readonly event: string; readonly [field: string]: unknown };

export type Outcome = { readonly code: number; readonly out: string; readonly err: string };

/** A whole system, started with `tandem up`. Stop it in the end. */
export type Tandem = {
  readonly domain: string;
  readonly state: string;
  /** The process id of `tandem up` itself. */
  readonly pid: number;
  readonly firstPort: number;
  /** From the start of the command to its "ready". */
  readonly readyMs: number;
  /** Passwords of the first subscribers by user; empty with `auth: "open"`. */
  readonly passwords: Readonly<Record<string, string>>;
  /** Everything that it has said so far. */
  readonly events: readonly UpEvent[];
  /** What DIR/run.json says now. */
  readonly run: Run;
  /** Runs another command for this system. */
  cli(...words: string[]): Promise<Outcome>;
  /**
   * Sends a signal (SIGTERM) and waits for the end. Safe to call again. A state directory of its own is removed: such a system is killed when no
   * signal is given, for nobody reads what it would write.
   */
  stop(signal?: NodeJS.Signals): Promise<{ readonly code: number | null; readonly ms: number }>;
};

/** Starts a system on free ports and waits until it is ready. Throws with what it said when it does not start. */
export async function startTandem(options: TandemOptions = {}): Promise<Tandem> {
  const state = options.state ?? mkdtempSync(join(tmpdir(), "tandem-system-"));
  const { cells = 2, gateways = 1, host = "127.0.0.1", webSocket = false, listen = false } = options;
  for (;;) {
    const firstPort =
      options.firstPort ?? (await freePorts((webSocket ? 4 : 2) * gateways + (listen ? 2 * (cells + spareCells) + 1 : cells)));
    const args = ["up", "--json", "--state", state, "--gateways", String(gateways), "--cells", String(cells)];
    args.push("--sip", `${host}:${firstPort}`, "--tls-port", String(firstPort + 1), "--http-port", String(firstPort + 2 * gateways));
    const webSocketPort = firstPort + 2 * gateways + cells;
    if (webSocket) args.push("--ws-port", String(webSocketPort), "--wss-port", String(webSocketPort + 1));
    // The port before is that of the join door.
    if (listen) args.push("--listen", `127.0.0.1:${webSocketPort + (webSocket ? 2 * gateways : 0) + spareCells + 1}`);
    if (options.domain !== undefined) args.push("--domain", options.domain);
    if (options.auth !== undefined) args.push("--auth", options.auth);
    if (options.exchanges !== undefined) args.push("--exchanges", String(options.exchanges));
    if (options.replication !== undefined) args.push("--replication", options.replication);
    if (options.restart === false) args.push("--no-restart");
    args.push(...(options.options ?? []));
    const started = await start(args, { ...options, state, firstPort, ownState: options.state === undefined });
    if (typeof started !== "string") return started;
    // Somebody took one of the ports between finding and using it: other ports will do.
    if (options.firstPort === undefined && started.includes("is in use by another process")) continue;
    if (options.state === undefined) rmSync(state, { recursive: true, force: true });
    throw new Error(started);
  }
}

/** Where a machine listens for SIP that is told nothing else. */
const sipPortDefault = 5060;

export type JoinOptions = Pick<TandemOptions, "program" | "spawn"> & {
  /** What an invitation says is to be typed: `join`, its URL, and the rest. */
  readonly words: readonly string[];
  /** What a person would type after that. */
  readonly options: readonly string[];
  /** Used, and kept. */
  readonly state: string;
};

/** Joins a system by an invitation, and waits until what runs there is ready. `spawn` gives the token. Throws with what it said when it does not start. */
export async function joinTandem({ words, options, state, program, spawn: spawnProcess }: JoinOptions): Promise<Tandem> {
  const started = await start([...words, ...options, "--state", state, "--json"], {
    state,
    firstPort: sipPortDefault,
    ownState: false,
    ...(program === undefined ? {} : { program }),
    ...(spawnProcess === undefined ? {} : { spawn: spawnProcess }),
  });
  if (typeof started !== "string") return started;
  throw new Error(started);
}

/** A test may add cells, whose members' sockets come behind the others. */
const spareCells = 1;

type StartOptions = Pick<TandemOptions, "checkout" | "program" | "descriptors" | "spawn"> & {
  readonly state: string;
  readonly firstPort: number;
  /** The directory goes with the system. */
  readonly ownState: boolean;
};

const spawnChild: Spawn = (command, args) => spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });

/** The running system, or what it said when it did not start. */
async function start(args: readonly string[], options: StartOptions): Promise<Tandem | string> {
  const { checkout, program, spawn: spawnProcess = spawnChild, state, firstPort, ownState, descriptors } = options;
  const startedAt = performance.now();
  const own = program !== undefined ? [program] : checkout !== undefined ? commandOf(checkout) : ownProgram.command;
  const command = [...own, ...args];
  // The shell becomes the program, its process id the program's own.
  if (descriptors !== undefined) command.unshift("/bin/sh", "-c", `ulimit -n ${descriptors} && exec "$@"`, "tandem");
  const [first = "", ...others] = command;
  const child = await spawnProcess(first, others);
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new RangeError("a process without pipes");
  const events: UpEvent[] = [];
  let errors = "";
  stderr.setEncoding("utf8").on("data", (text: string) => void (errors += text));
  const closed = once(child, "close");
  const ready = new Promise<UpEvent>((isReady) => {
    createInterface({ input: stdout }).on("line", (line) => {
      const event = parseEvent(line);
      events.push(event);
      if (event.event === "ready") isReady(event);
    });
  });
  const begun = await Promise.race([ready, closed.then(() => undefined)]);
  if (begun === undefined)
    return `tandem ${args.join(" ")} ended with ${child.exitCode}: ${errors}\n${events.map((event) => JSON.stringify(event)).join("\n")}`;
  const readyMs = performance.now() - startedAt;
  let stopped: Promise<{ code: number | null; ms: number }> | undefined;
  return {
    domain: String(begun["domain"]),
    state,
    pid: child.pid ?? 0,
    firstPort,
    readyMs,
    passwords: passwordsOf(begun),
    events,
    get run(): Run {
      return readRun(state);
    },
    cli: (...words) => outcomeOf([...own, ...words, "--state", state]),
    stop: (signal = ownState ? "SIGKILL" : "SIGTERM") => (stopped ??= stop(child, closed, signal, state, ownState)),
  };
}

/** Ends every process of a system with SIGKILL, all at once: nothing can be written any more. Its state directory stays. */
export async function killEverything(system: Tandem): Promise<void> {
  // The supervisor first: it would start the others again.
  for (const pid of [system.pid, ...childrenOf(system.state)]) process.kill(pid, "SIGKILL");
  await system.stop("SIGKILL");
}

/** Process ids of the cells and gateways that run with a state directory. */
function childrenOf(state: string): number[] {
  if (!existsSync(join(state, "run.json"))) return [];
  const { cells, gateways } = readRun(state);
  return [...cells, ...gateways].map(({ pid }) => pid);
}

/** Longer than the three seconds that stopping may take: a test says by itself how long it took. */
const stopMsMax = 10_000;

async function stop(
  child: ChildProcess,
  closed: Promise<unknown>,
  signal: NodeJS.Signals,
  state: string,
  isStateRemoved: boolean,
): Promise<{ code: number | null; ms: number }> {
  const at = performance.now();
  const children = childrenOf(state);
  child.kill(signal);
  const force = setTimeout(() => child.kill("SIGKILL"), stopMsMax);
  await closed;
  clearTimeout(force);
  const ms = performance.now() - at;
  // Those of a command that was killed end a moment after it; one that was asked to stop has waited for them.
  if (signal === "SIGKILL") await until(() => children.every((pid) => startOf(pid) === undefined));
  if (isStateRemoved) rmSync(state, { recursive: true, force: true, maxRetries: 5 });
  return { code: child.exitCode, ms };
}

/** A list of 10 000 registrations has 2 MB. */
const outputOctetsMax = 64 * 1024 * 1024;

/** Runs `tandem` with these words. */
export function tandem(words: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  return outcomeOf([...ownProgram.command, ...words], environment);
}

function outcomeOf([program = "", ...words]: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  return new Promise((done) => {
    const child = execFile(program, words, { env: { ...process.env, ...environment }, maxBuffer: outputOctetsMax }, (_, out, err) => {
      done({ code: child.exitCode ?? -1, out, err });
    });
  });
}

function readRun(state: string): Run {
  return JSON.parse(readFileSync(join(state, "run.json"), "utf8"));
}

function parseEvent(line: string): UpEvent {
  return JSON.parse(line);
}

function passwordsOf(ready: UpEvent): Record<string, string> {
  const { subscribers } = ready;
  if (!isListOf(subscribers, isTable)) throw new Error("ready names no subscribers");
  return Object.fromEntries(subscribers.map(({ aor, password }) => [String(aor).replace(/@[^@]*$/, ""), String(password)]));
}
