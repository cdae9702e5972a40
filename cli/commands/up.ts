import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
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
import { isStatus } from "../status.ts";
import { firstUsers, randomPassword, subscriberRecordOf } from "../subscribers.ts";
import { type ProcessSpec, Supervisor } from "../supervisor.ts";
import { shownPath } from "../shown-path.ts";
import { whatToTry } from "../what-to-try.ts";
import { cellConfigText, readWorkerSettings } from "../workerd-config.ts";

/** The children of a system that was killed end at once; a busy machine may need a moment for it. */
const portPatienceMs = 3_000;

/** Gateways connect within milliseconds, and again within seconds when a cell refuses them at first. */
const connectMsMax = 10_000;
const pollMs = 25;

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
      if (stop.signal.aborted) return;
      this.#reporter.failed();
      throw error;
    } finally {
      await this.#supervisor.stop();
      unwatch();
    }
  }

  async #start(signal: AbortSignal): Promise<void> {
    const { domain } = this.#cluster;
    const secret = this.#state.secret();
    // The first start has both to make: at the same time, though the lines come one after the other.
    const [bundle, tls] = await Promise.all([
      timed(ensureBundle(this.#state.file("bundle"), signal)),
      timed(ensureCertificate(this.#state, domain, this.#settings.host, new Date())),
    ]);
    this.#reporter.step("bundle", bundle.result.fromCache ? "as made before" : "made", bundle.ms);
    this.#reporter.step("certificate", shownPath(tls.result.certificate), tls.ms);
    signal.throwIfAborted();
    const cells = await timed(this.#startCells(bundle.result, secret));
    this.#reporter.step("cells", this.#layout.cells.map(({ id, url }) => `${id} ${url}`).join(", "), cells.ms);
    const gateways = await timed(this.#startGateways(tls.result));
    const api = new ApiClient(
      this.#layout.cells.map(({ url }) => url),
      secret,
    );
    const connected = await timed(this.#untilConnected(api));
    this.#reporter.step("gateways", this.#gatewaysText(), gateways.ms + connected.ms);
    this.#started = true;
    this.#state.writeRun(this.#run());
    const passwords = await this.#ensureSubscribers(api);
    this.#reporter.text(whatToTry(this.#settings, domain, this.#layout, passwords));
    this.#reporter.ready({ ...this.#run(), subscribers: Object.entries(passwords).map(([aor, password]) => ({ aor, password })) });
  }

  #gatewaysText(): string {
    const host = hostInUri(this.#settings.host);
    return this.#layout.gateways.map(({ id, sipPort, tlsPort }) => `${id} ${host}:${sipPort} UDP TCP, ${host}:${tlsPort} TLS`).join("; ");
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

  /** A gateway listens before it has reached a cell; "ready" is to mean that a phone is answered. */
  async #untilConnected(api: ApiClient): Promise<void> {
    const until = performance.now() + connectMsMax;
    for (;;) {
      const status = await api.get("/api/status");
      if (!isStatus(status)) throw new Failure("the cells' answer is no status: are they of another version?");
      const up = new Set([...status.cells, ...status.gateways].filter(({ state }) => state === "up").map(({ id }) => id));
      const missing = [...this.#layout.cells, ...this.#layout.gateways].filter(({ id }) => !up.has(id));
      if (missing.length === 0) return;
      if (performance.now() > until) {
        throw new Failure(`not connected after ${connectMsMax / 1000} s, as the cells see it: ${missing.map(({ id }) => id).join(", ")}`);
      }
      await delay(pollMs);
    }
  }

  /** The first subscribers, made once. Written down before they are sent: a start that is cut off is finished by the next one. */
  async #ensureSubscribers(api: ApiClient): Promise<Passwords["passwords"]> {
    if (this.#settings.auth === "open") return {};
    const known = this.#state.readPasswords();
    const passwords =
      known?.passwords ?? Object.fromEntries(firstUsers.map((user) => [`${user}@${this.#cluster.domain}`, randomPassword()]));
    const start = performance.now();
    if (known?.provisioned !== true) {
      this.#state.writePasswords({ provisioned: false, passwords });
      const records = Object.entries(passwords).map(([aor, password]) => subscriberRecordOf(aor, password));
      await api.put("/api/subscribers", records);
      this.#state.writePasswords({ provisioned: true, passwords });
    }
    const names = Object.keys(passwords).map((aor) => aor.slice(0, aor.lastIndexOf("@")));
    this.#reporter.step("subscribers", names.join(", ") || "as provisioned", performance.now() - start);
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

async function timed<T>(work: Promise<T>): Promise<{ readonly result: T; readonly ms: number }> {
  const start = performance.now();
  const result = await work;
  return { result, ms: performance.now() - start };
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
