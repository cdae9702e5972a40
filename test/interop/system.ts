import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Account, PhoneTransport } from "./clients/phone.ts";
import { freePorts } from "../../kit/world/free-ports.ts";
import { Program } from "./program.ts";

const project = join(import.meta.dirname, "..", "..");
const nodeProgram = join(project, "node_modules", ".bin", "node");
const tandemProgram = join(project, "cli", "tandem.mjs");

export interface Listener {
  readonly host: string;
  readonly port: number;
}

export interface Subscriber {
  readonly user: string;
  readonly password: string;
}

/** One element of what `tandem registrations --json` prints. */
interface Registration {
  readonly aor: string;
  readonly contact: string;
  readonly transport: string;
  readonly expiresSeconds: number;
}

/** A whole Tandem on this machine, as phones and operators see it. */
export interface System {
  readonly domain: string;
  readonly udp: Listener;
  readonly tcp: Listener;
  readonly tls: Listener;
  /** One URL for each cell. */
  readonly ws: readonly string[];
  /** The gateway's URL. */
  readonly gatewayWs: string;
  readonly caFile: string;
  addSubscribers(subscribers: readonly Subscriber[]): Promise<void>;
  registrations(): Promise<readonly Registration[]>;
  /** Ends it with SIGTERM. Rejects when it is not gone after 5 s, or did not end with 0. */
  stop(): Promise<void>;
}

/** run.json, as far as it is needed here. */
interface Run {
  readonly domain: string;
  readonly cells: readonly { readonly url: string }[];
  readonly gateways: readonly { readonly listeners: readonly (Listener & { readonly transport: string })[] }[];
}

/** Starts `tandem up` with a state directory and ports of its own, and waits until it says that it is ready: 60 s at most. */
export async function startSystem(options: { auth: "digest" | "open" }): Promise<System> {
  const state = await mkdtemp(join(tmpdir(), "tandem-interop-"));
  const port = await freePorts(5);
  const listen = [
    "--sip",
    `127.0.0.1:${port}`,
    "--tls-port",
    String(port + 1),
    "--http-port",
    String(port + 2),
    "--ws-port",
    String(port + 4),
  ];
  const command = ["up", "--state", state, ...listen, "--domain", "example.test", "--auth", options.auth, "--json"];
  const program = new Program(nodeProgram, [tandemProgram, ...command], { name: "tandem up", cwd: project });
  try {
    await program.line(/^ready$|"event":"ready"/, { withinMs: 60_000 });
    const run = JSON.parse(await readFile(join(state, "run.json"), "utf8")) as Run;
    return systemOf(program, state, run);
  } catch (error) {
    await program.stop();
    await rm(state, { recursive: true, force: true });
    throw error;
  }
}

/** An account of a subscriber at a system, over a transport. For WebSocket the server is the first cell's, and a page is told its own. */
export function accountOf(system: System, subscriber: Subscriber, transport: PhoneTransport): Account {
  const cell = new URL(system.ws[0] ?? "ws://127.0.0.1:1/");
  const servers = { UDP: system.udp, TCP: system.tcp, TLS: system.tls, WS: { host: cell.hostname, port: Number(cell.port) } };
  return { ...subscriber, domain: system.domain, transport, server: servers[transport], caFile: system.caFile };
}

function systemOf(program: Program, state: string, run: Run): System {
  const listenerOf = (transport: string): Listener => {
    const all = run.gateways.flatMap(({ listeners }) => listeners);
    const found = all.find((listener) => listener.transport.toUpperCase() === transport);
    if (found === undefined) throw new Error(`run.json names no ${transport} listener: ${JSON.stringify(all)}`);
    return { host: found.host, port: found.port };
  };
  return {
    domain: run.domain,
    udp: listenerOf("UDP"),
    tcp: listenerOf("TCP"),
    tls: listenerOf("TLS"),
    ws: run.cells.map(({ url }) => new URL("/", url.replace(/^http/, "ws")).href),
    gatewayWs: webSocketUrlOf(listenerOf("WS")),
    caFile: join(state, "tls", "ca.pem"),
    addSubscribers: async (subscribers) => {
      const file = join(state, "subscribers.csv");
      const rows = subscribers.map(({ user, password }) => `${user}@${run.domain},${password}\n`);
      await writeFile(file, `aor,password\n${rows.join("")}`);
      await tandem(["subscriber", "import", file, "--state", state]);
    },
    registrations: async () => JSON.parse(await tandem(["registrations", "--json", "--state", state])) as Registration[],
    stop: async () => {
      const exit = await program.stop(5000);
      await rm(state, { recursive: true, force: true });
      if (exit.code !== 0) throw new Error(`tandem up ended with ${exit.code ?? exit.signal}, 0 was expected\n${program.lines.tail()}`);
    },
  };
}

function webSocketUrlOf({ host, port }: Listener): string {
  return `ws://${host}:${port}/`;
}

/** What a command of `tandem` prints. Rejects with what it says when it fails. */
async function tandem(command: readonly string[]): Promise<string> {
  const program = new Program(nodeProgram, [tandemProgram, ...command], { name: `tandem ${command[0]}`, cwd: project });
  const { code } = await program.exit(20_000);
  const text = program.lines.events.join("\n");
  if (code !== 0) throw new Error(`tandem ${command.join(" ")} ended with ${code}: ${text}`);
  return text;
}
