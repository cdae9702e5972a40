import type { ChildProcess } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ApiClient } from "../../cli/api-client.ts";
import { Failure, printable } from "../../cli/errors.ts";
import { isText } from "../../cli/json.ts";
import { Membership } from "../../cli/membership.ts";
import { program as ownProgram } from "../../cli/program.ts";
import { type Run, StateDirectory } from "../../cli/state-directory.ts";
import type { PhoneTransport, Target } from "../phone/link.ts";
import type { Machine, MachineNetwork } from "./machine-network.ts";
import { untilMembersUp } from "./members-up.ts";
import { inNamespace } from "./namespaces.ts";
import { joinTandem, type Outcome, startTandem, type Tandem } from "./tandem.ts";
import { comesTrue } from "./until.ts";

/** A removed host hears of it within seconds, and stops what it runs. */
const endedMsMax = 30_000;
const sipPort = 5060;
/** How many hosts have a gateway beside their cell. */
const hostsWithGateway = 2;

export type MachineSystemOptions = {
  /** Where the states of its hosts are kept: a new directory. */
  readonly directory: string;
  readonly domain: string;
  readonly exchanges: number;
  readonly network: MachineNetwork;
  /** The `bin/tandem` of an archive that all hosts run; absent: this program. */
  readonly program?: string;
  /** What happens to its processes. */
  readonly say: (text: string) => void;
};

/** A machine with its `tandem`, as it was when it was ready. */
type Host = {
  readonly name: string;
  readonly machine: Machine;
  readonly state: StateDirectory;
  readonly child: ChildProcess;
  readonly tandem: Tandem;
  readonly run: Run;
};

/** How long a machine took from its command to "ready". */
export type Arrival = { readonly host: string; readonly servingMs: number };

/**
 * A system on several machines, each of which has a cell, and the first ones a gateway: the first machine makes it, and the others join by what `tandem invite`
 * prints. Whoever uses this is on the machine of the phones.
 */
export class MachineSystem {
  readonly domain: string;
  /** That of the phones. */
  readonly host: string;
  readonly #options: MachineSystemOptions;
  readonly #command: readonly string[];
  readonly #hosts: Host[] = [];
  readonly #children: ChildProcess[] = [];

  constructor(options: MachineSystemOptions) {
    this.#options = options;
    this.domain = options.domain;
    this.host = options.network.phones.address;
    this.#command = options.program === undefined ? ownProgram.command : [options.program];
  }

  async start(signal: AbortSignal): Promise<void> {
    for (const [index, machine] of this.#options.network.hosts.entries()) {
      signal.throwIfAborted();
      this.#hosts.push(index === 0 ? await this.#first(machine) : await this.#another(machine, index));
    }
  }

  /** Ends what runs still. Its directories stay. */
  async stop(): Promise<void> {
    await Promise.all(this.#hosts.map(({ tandem }) => tandem.stop()));
    this.kill();
  }

  /** Ends everything without waiting for it. */
  kill(): void {
    for (const host of this.#hosts) killAll(host);
    for (const child of this.#children) child.kill("SIGKILL");
  }

  get arrivals(): readonly Arrival[] {
    return this.#hosts.map(({ name, tandem }) => ({ host: name, servingMs: Math.round(tandem.readyMs) }));
  }

  get hosts(): readonly string[] {
    return this.#hosts.map(({ name }) => name);
  }

  /** The state directory of a host. */
  stateOf(host: string): StateDirectory {
    return this.#host(host).state;
  }

  addressOf(host: string): string {
    return this.#host(host).machine.address;
  }

  /** What its run.json says: as it was before, where it does not run any more. */
  runOf(host: string): Run {
    const { state, run } = this.#host(host);
    return state.readRun() ?? run;
  }

  get cells(): readonly { readonly id: string }[] {
    return this.#hosts.flatMap(({ run }) => run.cells);
  }

  /** The certificate authorities that phones are told to trust, PEM: each machine with a gateway has its own. */
  get ca(): string {
    const withGateway = this.#hosts.filter(({ run }) => run.gateways.length > 0);
    return withGateway.map(({ state }) => readFileSync(state.file("tls", "ca.pem"), "utf8")).join("\n");
  }

  /** Where the phones of a transport send to: the gateways, or for WebSocket the doors of the cells. */
  targets(transport: PhoneTransport): Target[] {
    if (transport === "ws") {
      return this.#hosts.flatMap(({ run }) =>
        run.cells.map(({ id, url }) => ({ name: `cell ${id}`, host: new URL(url).hostname, port: Number(new URL(url).port) })),
      );
    }
    return this.#hosts
      .flatMap(({ run }) => run.gateways)
      .flatMap(({ id, listeners }) =>
        listeners
          .filter((one) => one.transport.toLowerCase() === transport)
          .map(({ host, port }) => ({ name: `gateway ${id}`, host, port })),
      );
  }

  /** The API of some cells, asked in this order by the last host, which is there through everything. */
  api(...ids: readonly string[]): ApiClient {
    const { name, state } = this.#host(this.#hosts.at(-1)?.name ?? "");
    return new ApiClient(this.#urls(ids), new Membership(state, name).identity());
  }

  /** What a cell answers another cell: it asks itself. */
  cellApi(id: string): ApiClient {
    const host = this.#hosts.find(({ run }) => run.cells.some((cell) => cell.id === id));
    if (host === undefined) throw new Failure(`there is no cell ${id}`);
    return new ApiClient(this.#urls([id]), new Membership(host.state, id).identity(), "cell");
  }

  /** Waits until every cell and gateway, but for those that are lost, is up in the eyes of the cells. False: not within 15 s. */
  async untilUp(lost: readonly string[]): Promise<boolean> {
    const asked = this.cells.filter(({ id }) => !lost.includes(id));
    return await untilMembersUp(
      asked.map(({ id }) => this.api(id)),
      lost,
    );
  }

  /** Does on a host what an operator does there with this command. Returns what it prints, and throws with what it says when it fails. */
  async command(host: string, ...words: readonly string[]): Promise<string> {
    const { machine, state } = this.#host(host);
    const [command = "", ...first] = this.#command;
    const child = this.#spawn(machine, command, [...first, ...words, "--state", state.path]);
    const { code, out, err } = await outcomeOf(child);
    if (code !== 0) throw new Failure(`tandem ${words.join(" ")} on ${host}: ${err.trim()}`);
    return out;
  }

  /** All processes of a host are killed at once, and nobody starts them again. */
  killHost(host: string): void {
    killAll(this.#host(host));
  }

  /** Waits until the `tandem` of a host has ended by itself. False: not in time. */
  async untilEnded(host: string): Promise<boolean> {
    const { child } = this.#host(host);
    return await comesTrue(() => child.exitCode !== null || child.signalCode !== null, endedMsMax);
  }

  async #first(machine: Machine): Promise<Host> {
    const { domain, exchanges, network, program } = this.#options;
    const [state, { address }] = [this.#newState(1), machine];
    let child: ChildProcess | undefined;
    const tandem = await startTandem({
      domain,
      auth: "open",
      cells: 1,
      gateways: 1,
      exchanges,
      host: address,
      firstPort: sipPort,
      state: state.path,
      options: ["--listen", address, "--http-host", address, "--trusted", network.subnet],
      spawn: (command, args) => (child = this.#spawn(machine, command, args, "h1")),
      ...(program === undefined ? {} : { program }),
    });
    return hostOf(machine, state, tandem, child);
  }

  /** Invited on the first host, as a person does it. */
  async #another(machine: Machine, index: number): Promise<Host> {
    const { network, program } = this.#options;
    const name = `h${index + 1}`;
    const role = index < hostsWithGateway ? "both" : "cell";
    const printed = await this.command(this.#hosts[0]?.name ?? "", "invite", "--role", role);
    const words = /^ {2}.* (join https:\/\/\S+ --token -)$/m.exec(printed)?.[1]?.split(" ");
    const token = /^ {2}(tandem1\.\S+)$/m.exec(printed)?.[1];
    if (words === undefined || token === undefined) throw new Failure(`tandem invite prints something else: ${printed}`);
    const state = this.#newState(index + 1);
    let child: ChildProcess | undefined;
    const tandem = await joinTandem({
      words,
      options: ["--name", name, "--http-host", machine.address, "--trusted", network.subnet],
      state: state.path,
      spawn: (command, args) => {
        child = this.#spawn(machine, command, args, name);
        child.stdin?.end(`${token}\n`);
        return child;
      },
      ...(program === undefined ? {} : { program }),
    });
    return hostOf(machine, state, tandem, child);
  }

  #newState(number: number): StateDirectory {
    mkdirSync(this.#options.directory, { recursive: true, mode: 0o700 });
    return new StateDirectory(join(this.#options.directory, `h${number}`));
  }

  /** It ends when this process does. `saysAs`: what it says of its processes is passed on under this name. */
  #spawn({ namespace }: Machine, command: string, args: readonly string[], saysAs?: string): ChildProcess {
    const child = inNamespace(namespace, command, args, "pipe", true);
    this.#children.push(child);
    child.once("close", () => void this.#children.splice(this.#children.indexOf(child), 1));
    if (saysAs !== undefined && child.stdout !== null) {
      createInterface({ input: child.stdout }).on("line", (line) => {
        const text = newsIn(line);
        if (text !== undefined) this.#options.say(`${saysAs}: ${text}`);
      });
    }
    return child;
  }

  #host(name: string): Host {
    const host = this.#hosts.find((each) => each.name === name);
    if (host === undefined) throw new Failure(`there is no host ${name}`);
    return host;
  }

  #urls(ids: readonly string[]): readonly string[] {
    return ids.flatMap((id) =>
      this.#hosts.flatMap(({ run }) => run.cells.filter((cell) => cell.id === id).map(({ url, membersUrl }) => membersUrl ?? url)),
    );
  }
}

function hostOf(machine: Machine, state: StateDirectory, tandem: Tandem, child: ChildProcess | undefined): Host {
  const name = state.readCluster()?.host;
  if (name === undefined || child === undefined) throw new Failure(`${state.path} is of no host`);
  return { name, machine, state, child, tandem, run: tandem.run };
}

/** The `tandem` process first: it would start the others again. */
function killAll({ tandem, state, child }: Host): void {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const { cells = [], gateways = [] } = state.readRun() ?? {};
  for (const pid of [tandem.pid, ...[...cells, ...gateways].map((each) => each.pid)]) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has ended by itself.
    }
  }
}

/** What a line of `tandem up --json` says of a process; undefined: it is of the start, or what a process wrote. */
function newsIn(line: string): string | undefined {
  const { event, process: name, cause }: Record<string, unknown> = JSON.parse(line);
  if (!isText(event) || !isText(name) || event === "line") return undefined;
  return printable(`${name} ${event}${isText(cause) && cause !== "" ? `: ${cause}` : ""}`);
}

function outcomeOf(child: ChildProcess): Promise<Outcome> {
  return new Promise((done) => {
    let [out, err] = ["", ""];
    child.stdout?.on("data", (chunk) => void (out += String(chunk)));
    child.stderr?.on("data", (chunk) => void (err += String(chunk)));
    child.stdin?.end();
    child.once("close", (code) => done({ code: code ?? -1, out, err }));
  });
}
