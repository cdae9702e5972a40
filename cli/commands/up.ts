import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { ApiClient } from "../api-client.ts";
import type { Arguments } from "../arguments.ts";
import { type Bundle, ensureBundle, modulesFor, root } from "../bundle.ts";
import { type TlsFiles, ensureCertificate } from "../certificate.ts";
import { clusterMapOf, clusterSettingsOf } from "../cluster.ts";
import { onEnd } from "../ending.ts";
import { Failure } from "../errors.ts";
import { gatewayConfigText } from "../gateway-config.ts";
import type { Io } from "../io.ts";
import { isTable } from "../json.ts";
import { type Layout, checkPorts, hostInUri, layoutOf } from "../layout.ts";
import { type Reporter, humanReporter, jsonReporter } from "../reporter.ts";
import { type Settings, settingsOf } from "../settings.ts";
import { type ClusterSettings, type Passwords, type Run, StateDirectory } from "../state-directory.ts";
import { firstUsers, randomPassword, subscriberRecordOf } from "../subscribers.ts";
import { type ProcessSpec, Supervisor } from "../supervisor.ts";
import { whatToTry } from "../what-to-try.ts";
import { cellConfigText, readWorkerSettings } from "../workerd-config.ts";

/** The children of a system that was killed end at once; a busy machine may need a moment for it. */
const portPatienceMs = 3_000;

/** Runs a whole system until it is told to stop. Throws when it cannot start; nothing is left running then. */
export async function run(args: Arguments, io: Io): Promise<void> {
  const settings = settingsOf(args);
  const state = new StateDirectory(settings.state);
  const cluster = clusterSettingsOf(settings, state.readCluster());
  const layout = layoutOf(settings, cluster.cells);
  state.create();
  const wasKilled = state.lock();
  try {
    await checkPorts(settings.host, layout, wasKilled ? portPatienceMs : 0);
    state.writeCluster(cluster);
    const reporter = settings.json ? jsonReporter(io, () => new Date()) : humanReporter(io, () => new Date());
    await new System(settings, cluster, layout, state, reporter).run();
  } finally {
    state.removeRun();
    state.unlock();
  }
}

/** One system: its processes, and the files that say what runs. */
class System {
  readonly #settings: Settings;
  readonly #cluster: ClusterSettings;
  readonly #layout: Layout;
  readonly #state: StateDirectory;
  readonly #reporter: Reporter;
  readonly #supervisor: Supervisor;
  /** Process ids by process name. */
  readonly #pids = new Map<string, number>();
  #started = false;

  constructor(settings: Settings, cluster: ClusterSettings, layout: Layout, state: StateDirectory, reporter: Reporter) {
    this.#settings = settings;
    this.#cluster = cluster;
    this.#layout = layout;
    this.#state = state;
    this.#reporter = reporter;
    this.#supervisor = new Supervisor({
      restart: settings.restart,
      reporter,
      onStarted: (name, pid) => {
        this.#pids.set(name, pid);
        if (this.#started) state.writeRun(this.#run());
      },
    });
  }

  /** Starts everything, then waits for the end: a signal, or that of the launcher. */
  async run(): Promise<void> {
    const stop = new AbortController();
    const ended = new Promise<void>((end) => stop.signal.addEventListener("abort", () => end()));
    const unwatch = onEnd((cause) => {
      if (stop.signal.aborted) return this.#supervisor.kill();
      this.#reporter.event("tandem", "stops", cause);
      stop.abort();
      void this.#supervisor.stop();
    });
    try {
      await this.#start(stop.signal);
      await ended;
    } catch (error) {
      if (!stop.signal.aborted) throw error;
    } finally {
      await this.#supervisor.stop();
      unwatch();
    }
  }

  async #start(signal: AbortSignal): Promise<void> {
    const { domain } = this.#cluster;
    const secret = this.#state.secret();
    // The first start has both to make: at the same time, though the lines come one after the other.
    const certificate = ensureCertificate(this.#state, domain, this.#settings.host, new Date());
    const bundle = await this.#step(
      "bundle",
      () => ensureBundle(this.#state.file("bundle"), signal),
      (made) => (made.fromCache ? "as made before" : "made"),
    );
    const tls = await this.#step(
      "certificate",
      () => certificate,
      (files) => files.certificate,
    );
    signal.throwIfAborted();
    const host = hostInUri(this.#settings.host);
    await this.#step(
      "cells",
      () => this.#startCells(bundle, secret),
      () => this.#layout.cells.map(({ id, url }) => `${id} ${url}`).join(", "),
    );
    await this.#step(
      "gateways",
      () => this.#startGateways(tls),
      () => this.#layout.gateways.map(({ id, sipPort, tlsPort }) => `${id} ${host}:${sipPort} UDP TCP, ${host}:${tlsPort} TLS`).join("; "),
    );
    this.#started = true;
    this.#state.writeRun(this.#run());
    const passwords =
      this.#settings.auth === "open"
        ? {}
        : await this.#step(
            "subscribers",
            () => this.#ensureSubscribers(secret),
            (known) => Object.keys(known).join(", ") || "as provisioned",
          );
    this.#reporter.text(whatToTry(this.#settings, domain, this.#layout, passwords));
    this.#reporter.ready({ ...this.#run(), subscribers: Object.entries(passwords).map(([aor, password]) => ({ aor, password })) });
  }

  async #step<T>(name: string, work: () => Promise<T>, detail: (result: T) => string): Promise<T> {
    const start = performance.now();
    const result = await work();
    this.#reporter.step(name, detail(result), performance.now() - start);
    return result;
  }

  async #startCells(bundle: Bundle, secret: string): Promise<void> {
    const map = JSON.stringify(clusterMapOf(this.#cluster, this.#settings, this.#layout));
    const workerd = workerdBinary();
    const specs = this.#layout.cells.map(({ id, port, url }): ProcessSpec => {
      const storage = this.#state.file("cells", id);
      mkdirSync(storage, { recursive: true });
      const file = this.#state.file(`cell-${id}.capnp`);
      const text = cellConfigText({
        cell: id,
        host: this.#settings.host,
        port,
        settings: readWorkerSettings(join(root, "wrangler.toml"), id),
        modules: modulesFor(bundle, file),
        storage,
        texts: { CELL: id, CLUSTER: map },
        fromEnvironment: ["TANDEM_SECRET"],
      });
      this.#state.write(`cell-${id}.capnp`, text);
      return {
        name: `cell ${id}`,
        command: [workerd, "serve", file, "config"],
        environment: { TANDEM_SECRET: secret },
        readiness: { url: `${url}/` },
      };
    });
    await Promise.all(specs.map((spec) => this.#supervisor.start(spec)));
  }

  async #startGateways(tls: TlsFiles): Promise<void> {
    const program = join(root, "gateway", "index.ts");
    const specs = this.#layout.gateways.map((gateway): ProcessSpec => {
      const name = `gateway-${gateway.id}.toml`;
      this.#state.write(name, gatewayConfigText(gateway, this.#layout.cells, this.#state.file("secret"), tls));
      return {
        name: `gateway ${gateway.id}`,
        command: [process.execPath, program, "--config", this.#state.file(name), "--supervised"],
        environment: {},
        readiness: { line: /^gateway \S+ ready$/ },
      };
    });
    await Promise.all(specs.map((spec) => this.#supervisor.start(spec)));
  }

  /** The first subscribers, made once. Written down before they are sent: a start that is cut off is finished by the next one. */
  async #ensureSubscribers(secret: string): Promise<Passwords["passwords"]> {
    const known = this.#state.readPasswords();
    if (known?.provisioned === true) return known.passwords;
    const passwords =
      known?.passwords ?? Object.fromEntries(firstUsers.map((user) => [`${user}@${this.#cluster.domain}`, randomPassword()]));
    this.#state.writePasswords({ provisioned: false, passwords });
    const api = new ApiClient(
      this.#layout.cells.map(({ url }) => url),
      secret,
    );
    await api.put(
      "/api/subscribers",
      Object.entries(passwords).map(([aor, password]) => subscriberRecordOf(aor, password)),
    );
    this.#state.writePasswords({ provisioned: true, passwords });
    return passwords;
  }

  #run(): Run {
    const pid = (name: string): number => {
      const known = this.#pids.get(name);
      if (known === undefined) throw new Error(`${name} was never started`);
      return known;
    };
    return {
      domain: this.#cluster.domain,
      cells: this.#layout.cells.map(({ id, url }) => ({ id, pid: pid(`cell ${id}`), url })),
      gateways: this.#layout.gateways.map(({ id, listeners }) => ({ id, pid: pid(`gateway ${id}`), listeners })),
    };
  }
}

/** workerd's own program: the file behind its JavaScript wrapper, whose process id would be the wrapper's. */
function workerdBinary(): string {
  let exports: unknown;
  try {
    exports = createRequire(import.meta.url)("workerd");
  } catch {
    exports = undefined;
  }
  const path = isTable(exports) ? exports["default"] : undefined;
  if (typeof path !== "string") throw new Failure("workerd is not installed for this machine: run npm ci");
  return path;
}
