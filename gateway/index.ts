import { closeSync, openSync } from "node:fs";
import { type Invocation, readInvocation } from "./config/config.ts";
import { changeText } from "./config/config-change.ts";
import { GatewayError, UsageError } from "./errors.ts";
import { usageText } from "./config/flags.ts";
import { Gateway } from "./gateway.ts";
import { stderrLog } from "./log.ts";
import { loadNative, wantsNative } from "./native/native.ts";

/** How often a parent is looked for. */
const parentCheckMs = 250;

/** The process: `npx node gateway/index.ts --config FILE`. Exit codes: 0 stopped, 1 it failed, 2 usage; 1 and 2 with one line on stderr. */
async function main(args: readonly string[]): Promise<void> {
  if (args.includes("--help")) {
    process.stdout.write(usageText);
    return;
  }
  // A signal that comes before there is anything to reload would end it.
  const reloads = new Reloads(args);
  let invocation: Invocation;
  let gateway: Gateway;
  try {
    invocation = readInvocation(args);
    const log = stderrLog(invocation.config.name, invocation.json);
    // For whoever suspects that code, and to compare.
    const native = wantsNative(process.env["TANDEM_NATIVE"]) ? loadNative((reason) => log("native-missing", { reason })) : undefined;
    gateway = new Gateway(invocation.config, log, native);
    await gateway.start(unfit);
  } catch (error) {
    if (!(error instanceof UsageError) && !(error instanceof GatewayError)) throw error;
    process.stderr.write(`gateway: ${lineOf(error)}\n`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
    return;
  }
  stopWith(gateway, invocation);
  const { name } = invocation.config;
  const ready = { event: "ready", gateway: name, pid: process.pid, listeners: gateway.listeners };
  process.stdout.write(invocation.json ? `${JSON.stringify(ready)}\n` : `gateway ${name} ready\n`);
  reloads.serve(gateway, invocation);
}

/** What somebody wrote into a file may hold line ends. */
function lineOf(error: Error): string {
  return error.message.replaceAll(/\s*[\r\n]+\s*/g, " ");
}

/** SIGHUP has the gateway read its file and certificates again. In a terminal it means the end, as for any program whose terminal is closed. */
class Reloads {
  readonly #args: readonly string[];
  #isAsked = false;
  #reload: (() => void) | undefined;

  constructor(args: readonly string[]) {
    this.#args = args;
    if (hasTerminal()) return;
    process.on("SIGHUP", () => {
      if (this.#reload === undefined) this.#isAsked = true;
      else this.#reload();
    });
  }

  /** From now on, and at once when it was asked for meanwhile. */
  serve(gateway: Gateway, invocation: Invocation): void {
    this.#reload = () => this.#carryOut(gateway, invocation);
    if (this.#isAsked) this.#reload();
  }

  #carryOut(gateway: Gateway, { config: { name }, json }: Invocation): void {
    const say = (event: string, details: string): void =>
      void process.stdout.write(json ? `${JSON.stringify({ event, gateway: name, details })}\n` : `gateway ${name} ${event}: ${details}\n`);
    try {
      say("reloaded", changeText(gateway.reload(readInvocation(this.#args).config)));
    } catch (error) {
      if (!(error instanceof UsageError) && !(error instanceof GatewayError)) throw error;
      say("not reloaded", lineOf(error));
    }
  }
}

/** Whether this process has a terminal that may be closed. Those that `tandem up` starts have none. */
function hasTerminal(): boolean {
  try {
    closeSync(openSync("/dev/tty", "r"));
    return true;
  } catch {
    return false;
  }
}

/** What its configuration says only cells can tell to be wrong. */
function unfit(reason: string): void {
  process.stderr.write(`gateway: ${reason}\n`);
  process.exit(1);
}

/** Stops on SIGTERM and SIGINT, and with its parent. */
function stopWith(gateway: Gateway, { parentPid, supervised }: Invocation): void {
  let isStopping = false;
  const stop = (): void => {
    if (isStopping) return;
    isStopping = true;
    // Whatever still hangs after this is not worth waiting for: phones and cells notice the end by themselves.
    setTimeout(() => process.exit(0), 500).unref();
    gateway.stop().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  if (supervised) {
    process.stdin.on("end", stop).on("error", stop).on("close", stop);
    process.stdin.resume();
  }
  if (parentPid !== undefined) {
    // A direct parent that died leaves us to another one at once, even while it is a zombie.
    const isChild = process.ppid === parentPid;
    setInterval(() => {
      if (isChild ? process.ppid !== parentPid : !isAlive(parentPid)) stop();
    }, parentCheckMs).unref();
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it is there, and somebody else's.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

await main(process.argv.slice(2));
