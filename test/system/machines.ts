import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Run } from "../../cli/state-directory.ts";
import { inNamespace } from "../../kit/world/namespaces.ts";
import { type Outcome, startTandem, type Tandem, type TandemOptions, type UpEvent } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";
import type { Reached } from "./clients/way.ts";
import { Elsewhere } from "./elsewhere.ts";

const root = join(import.meta.dirname, "../..");
const node = join(root, "node_modules/.bin/node");
const program = join(root, "cli/tandem.ts");
/** A machine that is ten times slower than usual comes so far. */
export const slowMsMax = 120_000;

const joinTriesMax = 3;

/** A host that has joined, as it runs. `readyMs`: from the command to its "ready". */
export type Host = { readonly child: ChildProcess; readonly events: UpEvent[]; readonly errors: () => string; readonly readyMs: number };

/** What is to be typed on another machine, and the token that is read there. */
export type Invitation = { readonly typed: readonly string[]; readonly token: string };

export type Group = {
  readonly coordinator: string;
  readonly epoch: number;
  readonly exchanges: readonly { readonly primary: string; readonly secondary: string; readonly state: string }[];
  readonly members: readonly { readonly id: string; readonly state: string; readonly host?: string }[];
};

/** Machines of one system, which are network namespaces with an address each: a directory for the state of each, and what is typed on them. */
export class Machines {
  readonly directory: string = mkdtempSync(join(tmpdir(), "tandem-machines-"));
  /** Those that have joined, in the order in which they were started. */
  readonly hosts: Host[] = [];
  readonly #addresses: ReadonlyMap<string, string>;
  readonly #elsewhere: Elsewhere[] = [];
  #first: Tandem | undefined;

  constructor(machines: readonly (readonly [name: string, address: string])[]) {
    this.#addresses = new Map(machines);
  }

  stateOf(machine: string): string {
    return join(this.directory, machine);
  }

  addressOf(machine: string): string {
    return this.#addresses.get(machine) ?? "";
  }

  /** What runs on a machine, and how phones there reach it. */
  reached(machine: string): Reached {
    const state = this.stateOf(machine);
    return { state, domain: "example.test", run: JSON.parse(readFileSync(join(state, "run.json"), "utf8")) as Run };
  }

  /** Runs a command on a machine, and gives it a text to read. */
  run(machine: string, words: readonly string[], stdin = ""): Promise<Outcome> {
    return new Promise((done) => {
      const child = inNamespace(machine, node, [program, ...words], "pipe");
      let [out, err] = ["", ""];
      child.stdout?.on("data", (chunk) => void (out += String(chunk)));
      child.stderr?.on("data", (chunk) => void (err += String(chunk)));
      child.stdin?.end(stdin);
      child.once("close", (code) => done({ code: code ?? -1, out, err }));
    });
  }

  /** Makes the system on a machine that is offered to the others, or starts it again. */
  async startFirst(machine: string, options: TandemOptions = {}): Promise<Tandem> {
    const address = this.addressOf(machine);
    this.#first = await startTandem({
      state: this.stateOf(machine),
      host: address,
      spawn: (command, args) => inNamespace(machine, command, args),
      ...options,
      options: ["--listen", address, ...(options.options ?? [])],
    });
    return this.#first;
  }

  /** Starts `tandem join` or `tandem up` on a machine, and waits until it is ready. Throws with what it said when it does not come so far. */
  async startHost(machine: string, words: readonly string[], stdin = "", state = this.stateOf(machine)): Promise<Host> {
    const startedAt = performance.now();
    const places = ["--state", state, "--sip", `${this.addressOf(machine)}:5060`, "--json"];
    const child = inNamespace(machine, node, [program, ...words, ...places], "pipe");
    const events: UpEvent[] = [];
    let errors = "";
    let readyMs = 0;
    child.stderr?.on("data", (chunk) => void (errors += String(chunk)));
    if (child.stdout !== null)
      createInterface({ input: child.stdout }).on("line", (line) => {
        const event = JSON.parse(line) as UpEvent;
        events.push(event);
        if (event.event === "ready") readyMs = performance.now() - startedAt;
      });
    child.stdin?.end(stdin);
    await until(() => readyMs > 0 || child.exitCode !== null, slowMsMax).catch(() => undefined);
    const host = { child, events, errors: () => errors, readyMs };
    // One that has ended is none.
    if (readyMs > 0 || child.exitCode === null) this.hosts.push(host);
    if (readyMs === 0) throw new Error(`${words.join(" ")}: ${errors}\n${events.map((event) => JSON.stringify(event)).join("\n")}`);
    return host;
  }

  /** What `tandem invite` prints: what to type on the other machine, and the token. */
  async invite(machine: string, words: readonly string[] = []): Promise<Invitation> {
    const { out, err, code } = await this.run(machine, ["invite", ...words, "--state", this.stateOf(machine)]);
    if (code !== 0 || err !== "") throw new Error(`invite: ${code} ${err}`);
    const typed = /^ {2}npx tandem (join https:\/\/\S+ --token -)$/m.exec(out)?.[1]?.split(" ") ?? [];
    return { typed, token: /^ {2}(tandem1\.\S+)$/m.exec(out)?.[1] ?? "" };
  }

  /** Joins with a machine as `tandem invite` has said it. A machine that is too busy gives up after ten seconds: then it is typed again. */
  async join(machine: string, { typed, token }: Invitation, name: string): Promise<Host> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.startHost(machine, [...typed, "--name", name], `${token}\n`);
      } catch (error) {
        if (tries === joinTriesMax || !/not connected after|does not serve after/.test(String(error))) throw error;
      }
    }
  }

  /** What `tandem group` says on a machine; undefined: nothing. */
  async group(machine: string, state = this.stateOf(machine)): Promise<Group | undefined> {
    const { code, out } = await this.run(machine, ["group", "--json", "--state", state]);
    return code === 0 ? (JSON.parse(out) as Group) : undefined;
  }

  /** A process on a machine that has phones there. */
  async elsewhere(machine: string): Promise<Elsewhere> {
    const process = await Elsewhere.on(machine);
    this.#elsewhere.push(process);
    return process;
  }

  /** Ends everything on them. */
  async stop(): Promise<void> {
    for (const process of this.#elsewhere) process.close();
    for (const { child } of this.hosts) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill("SIGTERM");
      await once(child, "close");
    }
    await this.#first?.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
