import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { freePorts } from "../kit/world/free-ports.ts";
import type { Programs } from "./programs.ts";
import type { System, SystemOptions } from "./system.ts";
import type { Run } from "../cli/state-directory.ts";

const ownCheckout = resolve(import.meta.dirname, "..");
const domain = "bench.test";

/** Starts two cells and a gateway, as `npm start` does. Counted are both cells and the gateway; their supervisor is a watcher. */
export async function startTandem(programs: Programs, options: SystemOptions = {}): Promise<System> {
  const state = options.state ?? programs.directory();
  const { cells = 2, gatewayWebSocket = false } = options;
  const port = await freePorts(3 + cells);
  const door = gatewayWebSocket ? ["--ws-port", String(port + 2 + cells)] : [];
  const listen = [...door, "--sip", `127.0.0.1:${port}`, "--tls-port", String(port + 1), "--http-port", String(port + 2)];
  const { checkout = ownCheckout } = options;
  const command = [
    programOf(checkout),
    "up",
    "--json",
    "--no-restart",
    "--state",
    state,
    "--domain",
    domain,
    "--auth",
    options.auth ?? "open",
  ];
  const size = ["--cells", String(cells), ...(options.exchanges === undefined ? [] : ["--exchanges", String(options.exchanges)])];
  const replication = ["--replication", options.isReplicated === false ? "off" : "on"];
  const launch = [...command, ...listen, ...size, ...replication];
  const child = await programs.start(process.execPath, launch, { stdio: ["ignore", "pipe", "pipe"] });
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error("unreachable: both are pipes");
  const said: string[] = [];
  await new Promise<void>((ready, failed) => {
    createInterface({ input: stderr }).on("line", (line) => said.push(line));
    createInterface({ input: stdout }).on("line", (line) => {
      said.push(line);
      if (line.includes('"event":"ready"')) ready();
    });
    child.once("close", (code) => failed(new Error(`tandem up ended with ${code}: ${said.slice(-5).join("\n")}`)));
  });
  if (options.users !== undefined) await importSubscribers(checkout, state, options.users);
  const run = JSON.parse(readFileSync(join(state, "run.json"), "utf8")) as Run;
  const parts = { cells: run.cells.map(({ pid }) => pid), gateways: run.gateways.map(({ pid }) => pid) };
  return {
    name: checkout !== ownCheckout ? "other" : options.isReplicated === false ? "tandem alone" : "tandem",
    domain,
    sip: { host: "127.0.0.1", port },
    tls: { host: "127.0.0.1", port: port + 1, ca: readFileSync(join(state, "tls", "ca.pem"), "utf8") },
    webSockets: gatewayWebSocket ? [`ws://127.0.0.1:${port + 2 + cells}`] : run.cells.map(({ url }) => webSocketOf(url)),
    processes: () => [...parts.cells, ...parts.gateways],
    parts,
    watchers: child.pid === undefined ? [] : [child.pid],
    kill: (webSocket) => {
      const cell = run.cells.find(({ url }) => webSocketOf(url) === webSocket);
      if (cell === undefined) throw new Error(`no cell has ${webSocket}`);
      process.kill(cell.pid, "SIGKILL");
    },
    stop: async () => {
      await programs.stop(child);
      if (options.state === undefined) programs.removeDirectory(state);
    },
  };
}

function webSocketOf(url: string): string {
  return url.replace(/^http/, "ws");
}

function programOf(checkout: string): string {
  return join(checkout, "cli/tandem.ts");
}

async function importSubscribers(checkout: string, state: string, users: readonly string[]): Promise<void> {
  const file = join(state, "subscribers.csv");
  writeFileSync(file, `aor,password\n${users.map((user) => `${user}@${domain},bench\n`).join("")}`);
  await new Promise<void>((done, failed) => {
    execFile(process.execPath, [programOf(checkout), "subscriber", "import", file, "--state", state], (error, _, text) =>
      error === null ? done() : failed(new Error(text)),
    );
  });
}
