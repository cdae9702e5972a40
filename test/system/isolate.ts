/**
 * Prints how much memory one isolate takes that holds two exchanges with so many registrations, and the CPU time until it has read them from its disk:
 *
 *     npx node test/system/isolate.ts [COUNT...]
 *
 * A cell is one isolate, as its objects would share one on Cloudflare. It is started alone, with what it had on its disk, and asked what it has.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WebSocket } from "ws";
import { ApiClient } from "../../cli/api-client.ts";
import { isListOf, isTable, type Table } from "../../cli/json.ts";
import { program } from "../../cli/program.ts";
import { StateDirectory } from "../../cli/state-directory.ts";
import { freePorts } from "../../kit/world/free-ports.ts";
import { startTandem } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";
import { wayOf } from "./clients/way.ts";
import { registerMany } from "./many-phones.ts";
import { residentKilobytes } from "./memory.ts";

const patienceMs = 120_000;
const mebibyte = 1024 * 1024;
const counts = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [0, 20_000];

/** What an isolate says of itself to a debugger. */
class Inspector {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, (result: Table) => void>();
  #asked = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on("message", (data: Buffer) => {
      const { id, result }: { id?: number; result?: Table } = JSON.parse(data.toString());
      if (id !== undefined) this.#waiting.get(id)?.(result ?? {});
    });
  }

  /** The isolate of the service that has the cell's script. */
  static async open(port: number): Promise<Inspector> {
    const targets: unknown = await (await fetch(`http://127.0.0.1:${port}/json`)).json();
    if (!isListOf(targets, isTable)) throw new Error("workerd names no isolates");
    const found = targets.map((target) => String(target["webSocketDebuggerUrl"]));
    const [url = ""] = found;
    if (found.length !== 1) throw new Error(`not one isolate: ${found.join(", ")}`);
    const socket = new WebSocket(url);
    await once(socket, "open");
    return new Inspector(socket);
  }

  async ask(method: string): Promise<Table> {
    this.#asked += 1;
    const id = this.#asked;
    return await new Promise((done) => {
      this.#waiting.set(id, done);
      this.#socket.send(JSON.stringify({ id, method }));
    });
  }

  /** Octets that are in use when all garbage is gone: of V8's heap, and of what it holds outside. */
  async used(): Promise<number> {
    await this.ask("HeapProfiler.collectGarbage");
    const { usedSize, embedderHeapUsedSize = 0, backingStorageSize = 0 } = await this.ask("Runtime.getHeapUsage");
    return Number(usedSize) + Number(embedderHeapUsedSize) + Number(backingStorageSize);
  }

  close(): void {
    this.#socket.close();
  }
}

/** CPU time of a process since its start (proc(5)), ms. */
function cpuMsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1")
    .replace(/^.*\) /s, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

async function measure(count: number): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "tandem-isolate-"));
  const system = await startTandem({ state: directory, auth: "open", exchanges: 2 });
  try {
    if (count > 0) await registerMany(wayOf(system, "UDP"), count);
  } finally {
    await system.stop();
  }
  const state = new StateDirectory(directory);
  const inspectorPort = await freePorts(1);
  const options = ["serve", state.file("cell-a.capnp"), "config", `--inspector-addr=127.0.0.1:${inspectorPort}`];
  const cell = spawn(program.workerd(), options, { env: { TANDEM_SECRET: state.secret() }, stdio: "inherit" });
  const ended = once(cell, "exit");
  try {
    const pid = cell.pid ?? 0;
    // Two ports for the gateway stand before those of the cells.
    const api = new ApiClient([`http://127.0.0.1:${system.firstPort + 2}`], state.secret());
    await until(async () => {
      const status = await api.get("/api/status").catch(() => undefined);
      return isTable(status) && status["registrations"] === count && status["uncounted"] === undefined;
    }, patienceMs);
    const [cpuMs, resident] = [cpuMsOf(pid), residentKilobytes(pid) / 1024];
    const inspector = await Inspector.open(inspectorPort);
    const used = await inspector.used();
    inspector.close();
    process.stdout.write(
      `${count} registrations: ${(used / mebibyte).toFixed(1)} MiB in use in the isolate, ${cpuMs} ms of CPU since the start, ${resident.toFixed(0)} MiB resident\n`,
    );
  } finally {
    cell.kill("SIGKILL");
    await ended;
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

for (const count of counts) await measure(count);
