import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { signatureAgeSecondsMax } from "../cluster/limits.ts";
import { pairOf, type ClusterMap } from "../cluster/map/cluster-map.ts";
import { ApiClient } from "./api-client.ts";
import { type Bundle, makeBundle, modulesFor, root } from "./bundle.ts";
import { type TlsFiles, ensureCertificate, ownCertificate } from "./certificate.ts";
import { ClockWatch } from "./clock-watch.ts";
import { clusterMapOf, flushMs } from "./cluster.ts";
import { type Broken, setBrokenAside } from "./databases.ts";
import { DiskWatch } from "./disk-watch.ts";
import { descriptorsMax, softphonesFew, softphonesMaxFor } from "./descriptors.ts";
import { Failure } from "./errors.ts";
import { makeFirstSubscribers, planFirstSubscribers, subscribersText } from "./first-subscribers.ts";
import { gatewayConfigText } from "./gateway-config.ts";
import { isListOf, isTable, isText } from "./json.ts";
import { type Layout, advertisedHostOf, httpHostOf, placesOf } from "./layout.ts";
import type { Reporter } from "./reporter.ts";
import type { Settings } from "./settings.ts";
import { shownPath } from "./shown-path.ts";
import type { ClusterSettings, Passwords, Run, StateDirectory } from "./state-directory.ts";
import { isStatus } from "./status.ts";
import { type ProcessSpec, Supervisor } from "./supervisor.ts";
import { cellConfigText, objectsOf, readWorkerSettings } from "./workerd-config.ts";

/** Gateways connect within milliseconds, and again within seconds when a cell refuses them at first. */
const connectMsMax = 10_000;
const pollMs = 25;
/** 100 000 records come within a few seconds; a peer that is not there is not waited for any longer. */
const refillMsMax = 10_000;

export type LocalSystemOptions = {
  readonly settings: Settings;
  readonly cluster: ClusterSettings;
  readonly layout: Layout;
  /** Made and locked by the caller. */
  readonly state: StateDirectory;
  readonly reporter: Reporter;
  /** Another map for a cell than the usual one: with a relay's URL for that of another cell, with other times. */
  readonly mapFor?: (cell: string, map: ClusterMap) => ClusterMap;
  /** Puts modules around the cells' script: the bench counts what it does. */
  readonly wrap?: (bundle: Bundle) => Bundle;
};

/** A flush that is due may come so much later. */
const flushedLateMs = 100;

type BrokenOfCell = Broken & { readonly cell: string };

/** One system on this machine: its processes, and the files that say what runs. */
export class LocalSystem {
  readonly #options: LocalSystemOptions;
  readonly #supervisor: Supervisor;
  /** Process ids by process name. */
  readonly #pids = new Map<string, number>();
  readonly #diskWatch: DiskWatch;
  readonly #clockWatch = new ClockWatch({ wasSetBack: (byMs) => this.#renewCells(byMs) });
  /** As it was at the start: the cells go on with it, whatever becomes of its file. */
  #secret = "";
  #started = false;
  /** Cells by objects whose databases could not be read since the start. */
  readonly #brokenIn = new Map<string, Set<string>>();
  /** By cell: exchanges that are to be filled by their peers. */
  readonly #refilling = new Map<string, Set<number>>();

  constructor(options: LocalSystemOptions) {
    this.#options = options;
    this.#diskWatch = new DiskWatch({ rooms: options.layout.cells.map(({ id }) => roomOf(options.state.file("cells", id))) });
    this.#supervisor = new Supervisor({
      restart: options.settings.restart,
      reporter: options.reporter,
      onStarted: (name, pid) => {
        this.#pids.set(name, pid);
        if (this.#started) options.state.writeRun(this.run);
      },
    });
  }

  /** Starts everything and waits until a phone would be answered. The first subscribers' passwords by address-of-record. */
  async start(signal: AbortSignal): Promise<Passwords["passwords"]> {
    const { state, layout, reporter } = this.#options;
    const secret = state.secret();
    this.#secret = secret;
    planFirstSubscribers(state, this.#options.cluster.domain, reporter);
    // The first start has both to make: at the same time, though the lines come one after the other.
    const [bundle, tls] = await Promise.all([timed(makeBundle(state.file("bundle"))), timed(this.#certificate())]);
    reporter.step("bundle", "made", bundle.ms);
    reporter.step("certificate", tls.result.text, tls.ms);
    signal.throwIfAborted();
    const cells = await timed(this.#startCells(bundle.result, secret));
    await this.#untilRefilled();
    reporter.step("cells", layout.cells.map(({ id, url }) => `${id} ${url}`).join(", "), cells.ms);
    const gateways = await timed(this.#startGateways(tls.result.files));
    const api = new ApiClient(
      layout.cells.map(({ url }) => url),
      secret,
    );
    const connected = await timed(this.#untilConnected(api, cells.result));
    reporter.step("gateways", this.#gatewaysText(), gateways.ms + connected.ms);
    this.#started = true;
    this.#clockWatch.start();
    state.writeRun(this.run);
    return await this.#ensureSubscribers(api);
  }

  /** Starts a process that has died again: `cell a`, `gateway g1`. Throws a {@link Failure} when it does not serve. */
  startAgain(name: string): Promise<void> {
    return this.#supervisor.startAgain(name);
  }

  /**
   * Stops everything within 3 s: the gateways first, and the cells when what they had answered is on their disks. A registration that was answered a
   * moment before would not be there after the next start.
   */
  async stop(): Promise<void> {
    this.#clockWatch.stop();
    await this.#supervisor.stop(this.#started ? { prefix: "gateway ", pauseMs: flushMs + flushedLateMs } : undefined);
    this.#diskWatch.stop();
  }

  /** Does not wait for anything to end by itself. */
  kill(): void {
    this.#supervisor.kill();
    this.#clockWatch.stop();
    this.#diskWatch.stop();
  }

  async #certificate(): Promise<{ readonly files: TlsFiles; readonly text: string }> {
    const { cluster, state, settings } = this.#options;
    const host = advertisedHostOf(settings);
    if (settings.tls === undefined) {
      const files = await ensureCertificate(state, cluster.domain, host, new Date());
      return { files, text: shownPath(files.certificate) };
    }
    const { files, unnamed } = ownCertificate(settings.tls.certificate, settings.tls.key, [cluster.domain, host], new Date());
    const lack = unnamed.length === 0 ? "" : `, does not name ${unnamed.join(" or ")}`;
    return { files, text: `${shownPath(files.certificate)}${lack}` };
  }

  #gatewaysText(): string {
    return this.#options.layout.gateways
      .map(({ id, listeners }) => {
        const texts = Array.from(placesOf(listeners), ([place, here]) => `${place} ${here.map(({ transport }) => transport).join(" ")}`);
        return `${id} ${texts.join(", ")}`;
      })
      .join("; ");
  }

  /** Returns the names of the processes that serve. */
  async #startCells(bundle: Bundle, secret: string): Promise<ReadonlySet<string>> {
    const { cluster, settings, layout, mapFor, wrap } = this.#options;
    const map = clusterMapOf(cluster, settings, layout);
    const script = wrap === undefined ? bundle : wrap(bundle);
    const workerd = workerdBinary();
    const descriptors = descriptorsMax();
    const softphonesMax = descriptors === undefined ? undefined : softphonesMaxFor(descriptors, map.exchangeCount);
    if (softphonesMax !== undefined && softphonesMax < softphonesFew) {
      const cause = `each cell may open ${descriptors} files (ulimit -Hn)`;
      this.#options.reporter.step("softphones", `at most ${softphonesMax} at each cell: ${cause}`, 0);
    }
    const broken: BrokenOfCell[] = [];
    const specs = layout.cells.map(({ id, port, url }): ProcessSpec => {
      const storage = this.#options.state.file("cells", id);
      const room = roomOf(storage);
      mkdirSync(room, { recursive: true });
      const file = this.#options.state.file(`cell-${id}.capnp`);
      const worker = readWorkerSettings(join(root, "wrangler.toml"), id);
      const text = cellConfigText({
        cell: id,
        host: httpHostOf(settings),
        port,
        settings: worker,
        modules: modulesFor(script, file),
        storage,
        room,
        texts: {
          CELL: id,
          CLUSTER: JSON.stringify(mapFor?.(id, map) ?? map),
          ...(softphonesMax === undefined ? {} : { SOFTPHONES_MAX: String(softphonesMax) }),
        },
        fromEnvironment: ["TANDEM_SECRET"],
      });
      this.#options.state.write(`cell-${id}.capnp`, text);
      const look = (): BrokenOfCell[] =>
        setBrokenAside(storage, objectsOf(id, worker.objects, map), new Date()).map((each) => ({ ...each, cell: id }));
      broken.push(...look());
      let isFirst = true;
      return {
        name: `cell ${id}`,
        command: [workerd, "serve", file, "config"],
        environment: { TANDEM_SECRET: secret },
        readiness: { url: `${url}/` },
        prepare: () => {
          // At the start all have been looked at, before the first line: what it promises may be broken in the next cell.
          if (!isFirst) this.#sayWhatIsBroken(look(), map);
          isFirst = false;
        },
      };
    });
    this.#sayWhatIsBroken(broken, map);
    this.#diskWatch.start();
    return await this.#supervisor.startSome(specs);
  }

  /** Says of databases that were set aside what follows from it. */
  #sayWhatIsBroken(all: readonly BrokenOfCell[], map: ClusterMap): void {
    const { reporter, state } = this.#options;
    for (const { object = "", cell } of all) this.#brokenIn.set(object, (this.#brokenIn.get(object) ?? new Set()).add(cell));
    for (const [index, { object, keptAs, reason, cell }] of all.entries()) {
      const whose = object === undefined ? "a file of the runtime" : `the database of ${object.replace(/-(?=\d)/, " ")}`;
      const exchange = Number(/^exchange-(\d+)$/.exec(object ?? "")?.[1] ?? Number.NaN);
      const cells = this.#brokenIn.get(object ?? "") ?? new Set();
      const { primary, secondary } = Number.isNaN(exchange) ? { primary: cell, secondary: cell } : pairOf(map, exchange);
      const isLost = !Number.isNaN(exchange) && [primary, secondary].every((each) => cells.has(each) || map.replication.enabled === false);
      const other = primary === cell ? secondary : primary;
      // How to go on is said once, with the last of them.
      const isSaidLater = all.slice(index + 1).some((each) => each.object === object);
      const next = Number.isNaN(exchange)
        ? "it is made again"
        : !isLost
          ? `what was in it comes from cell ${other}`
          : isSaidLater
            ? `that of cell ${other} cannot be read either`
            : "no other has what was in it: phones register again by themselves; import the subscribers, or stop and put a backup of the cells in place";
      if (!Number.isNaN(exchange) && !isLost) this.#refilling.set(cell, (this.#refilling.get(cell) ?? new Set()).add(exchange));
      reporter.event(`cell ${cell}`, "set aside", `${whose} cannot be read (${reason}) and is kept as ${shownPath(keptAs)}; ${next}`);
      const known = isLost ? state.readPasswords() : undefined;
      // The first subscribers are known: those are put again.
      if (known !== undefined) state.writePasswords({ ...known, provisioned: false });
    }
  }

  async #startGateways(tls: TlsFiles): Promise<void> {
    const program = join(root, "gateway", "index.ts");
    const { layout, settings, state } = this.#options;
    const specs = layout.gateways.map((gateway): ProcessSpec => {
      const name = `gateway-${gateway.id}.toml`;
      this.#options.state.write(name, gatewayConfigText(gateway, layout.cells, state.file("secret"), tls, settings));
      return {
        name: `gateway ${gateway.id}`,
        command: [process.execPath, program, "--config", state.file(name), "--supervised"],
        environment: {},
        readiness: { line: /^gateway \S+ ready$/ },
      };
    });
    await Promise.all(specs.map((spec) => this.#supervisor.start(spec)));
  }

  /** Nobody is to be refused for what is on its way: an exchange whose database was set aside has what its peer knows, before gateways come. */
  async #untilRefilled(): Promise<void> {
    const until = performance.now() + refillMsMax;
    for (const [cell, exchanges] of this.#refilling) {
      await untilTogether(this.#apiOf(cell), exchanges, until);
      exchanges.clear();
    }
  }

  /** Starts the cells again, each when the one before has everything back: their timers stand (see {@link ClockWatch}). */
  async #renewCells(byMs: number): Promise<void> {
    // Cells whose clocks are further apart do not speak with each other before all are renewed.
    const areHeard = byMs < signatureAgeSecondsMax * 1000;
    const cause = `the clock was set back by ${Math.round(byMs / 1000)} s, and its timers stand for as long`;
    for (const { id } of this.#options.layout.cells) {
      const api = this.#apiOf(id);
      const together = new Set(areHeard ? togetherIn(await api.get("/cell/summary").catch(() => undefined)) : []);
      const isServing =
        this.#supervisor.renew(`cell ${id}`, cause) && (await untilTogether(api, together, performance.now() + refillMsMax));
      if (isServing) continue;
      // The others are all that serves: they go on as they are.
      this.#options.reporter.event(`cell ${id}`, "not renewed", `${cause}: start all cells again, one after the other`);
      return;
    }
  }

  #apiOf(cell: string): ApiClient {
    const urls = this.#options.layout.cells.filter(({ id }) => id === cell).map(({ url }) => url);
    return new ApiClient(urls, this.#secret, "cell");
  }

  /** A gateway listens before it has reached a cell; "ready" is to mean that a phone is answered. */
  async #untilConnected(api: ApiClient, serving: ReadonlySet<string>): Promise<void> {
    const until = performance.now() + connectMsMax;
    for (;;) {
      const status = await api.get("/api/status");
      if (!isStatus(status)) throw new Failure("the cells' answer is no status: are they of another version?");
      // A cell that was out of service when the system stopped is so when it starts, and serves.
      const up = new Set(
        [...status.cells, ...status.gateways].filter(({ state }) => state === "up" || state === "draining").map(({ id }) => id),
      );
      const { cells, gateways } = this.#options.layout;
      const missing = [...cells.filter(({ id }) => serving.has(`cell ${id}`)), ...gateways].filter(({ id }) => !up.has(id));
      if (missing.length === 0) return;
      if (performance.now() > until) {
        throw new Failure(`not connected after ${connectMsMax / 1000} s, as the cells see it: ${missing.map(({ id }) => id).join(", ")}`);
      }
      await delay(pollMs);
    }
  }

  /** The first subscribers, made once. */
  async #ensureSubscribers(api: ApiClient): Promise<Passwords["passwords"]> {
    if (this.#options.settings.auth === "open") return {};
    const start = performance.now();
    const passwords = (await makeFirstSubscribers(this.#options.state, api)) ?? {};
    const printed = Object.keys(passwords);
    const answer = await api.get("/api/subscribers").catch(() => undefined);
    const all = isListOf(answer, isText) ? answer : printed;
    this.#options.reporter.step("subscribers", subscribersText(all, printed), performance.now() - start);
    return passwords;
  }

  /** What DIR/run.json says. */
  get run(): Run {
    const pid = (name: string): number => {
      const known = this.#pids.get(name);
      if (known === undefined) throw new Error(`${name} was never started`);
      return known;
    };
    return {
      domain: this.#options.cluster.domain,
      cells: this.#options.layout.cells.map(({ id, url }) => ({ id, pid: pid(`cell ${id}`), url })),
      gateways: this.#options.layout.gateways.map(({ id, listeners }) => ({ id, pid: pid(`gateway ${id}`), listeners })),
    };
  }
}

/** Where a cell finds out whether its disk has room. */
function roomOf(storage: string): string {
  return join(storage, "room");
}

/** The exchanges of a cell whose peers have what they have, and the other way round. */
function togetherIn(summary: unknown): number[] {
  const exchanges = isTable(summary) ? summary["exchanges"] : undefined;
  if (!isListOf(exchanges, isTable)) return [];
  return exchanges.filter(({ pair }) => pair === "together").map(({ exchange }) => Number(exchange));
}

/** Waits until a cell answers, and all of these exchanges, which are taken out, are together with their peers. False: it does not answer. */
async function untilTogether(api: ApiClient, exchanges: Set<number>, until: number): Promise<boolean> {
  let isServing = false;
  while ((!isServing || exchanges.size > 0) && performance.now() < until) {
    // It may be the cell that does not start.
    const summary = await api.get("/cell/summary").catch(() => undefined);
    isServing = summary !== undefined;
    for (const exchange of togetherIn(summary)) exchanges.delete(exchange);
    if (!isServing || exchanges.size > 0) await delay(pollMs);
  }
  return isServing;
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
