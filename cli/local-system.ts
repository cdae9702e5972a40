import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { signatureAgeSecondsMax } from "../cluster/limits.ts";
import { pairOf, type ClusterMap } from "../cluster/map/cluster-map.ts";
import { ApiClient, type Credentials } from "./api-client.ts";
import { Authority } from "./authority.ts";
import { type Bundle, makeBundle, modulesFor, root } from "./bundle.ts";
import { type TlsFiles, ensureCertificate, ownCertificate } from "./certificate.ts";
import { ClockWatch } from "./clock-watch.ts";
import { clusterMapOf, flushMs } from "./cluster.ts";
import type { ControlHandlers } from "./control.ts";
import { type Broken, setBrokenAside } from "./databases.ts";
import { DiskWatch } from "./disk-watch.ts";
import { descriptorsMax, softphonesFew, softphonesMaxFor } from "./descriptors.ts";
import { Failure, reasonOf } from "./errors.ts";
import { makeFirstSubscribers, planFirstSubscribers, subscribersText } from "./first-subscribers.ts";
import { gatewayConfigText } from "./gateway-config.ts";
import { isListOf, isTable, isText } from "./json.ts";
import { LocalCells } from "./local-cells.ts";
import { type CellOfLayout, type Layout, advertisedHostsOf, httpHostOf, membersUrlOf, placesOf } from "./layout.ts";
import { LocalMembers } from "./local-members.ts";
import type { MemberFiles } from "./membership.ts";
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
/** How often certificates are looked at: they are renewed ten days before they end. */
const certificateLookMs = 3_600_000;
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
  /** Another script for a cell than the one of this checkout: with modules around it, for the bench counts what it does, or of a release before. */
  readonly wrap?: (bundle: Bundle, cell: string) => Bundle;
  /** Idle objects sleep, as on Cloudflare: the bench counts how long they are awake. */
  readonly mayEvict?: boolean;
  /** Another time between two looks at the certificates: a test does not wait for an hour. */
  readonly certificateLookMs?: number;
};

/** A flush that is due may come so much later. */
const flushedLateMs = 100;

type BrokenOfCell = Broken & { readonly cell: string };

/** One system on this machine: its processes, and the files that say what runs. */
export class LocalSystem {
  readonly #options: LocalSystemOptions;
  readonly #supervisor: Supervisor;
  /** Those that run here now. */
  readonly cells: LocalCells;
  /** Process ids by process name. */
  readonly #pids = new Map<string, number>();
  readonly #diskWatch: DiskWatch;
  readonly #clockWatch = new ClockWatch({ wasSetBack: (byMs) => this.#clockWasSetBack(byMs) });
  #certificateTimer: NodeJS.Timeout | undefined;
  #isRenewing = false;
  /** As it was at the start: the cells go on with it, whatever becomes of its file. */
  #secret = "";
  /** Those of this machine, in a system with an authority. */
  readonly #members: LocalMembers | undefined;
  /** What cells run; made at the start. */
  #script: Bundle = { directory: "", modules: [] };
  #started = false;
  /** Cells by objects whose databases could not be read since the start. */
  readonly #brokenIn = new Map<string, Set<string>>();
  /** By cell: exchanges that are to be filled by their peers. */
  readonly #refilling = new Map<string, Set<number>>();

  constructor(options: LocalSystemOptions) {
    this.#options = options;
    const { cluster, state, layout } = options;
    this.#members = cluster.host === undefined ? undefined : new LocalMembers(state, cluster.host, layout);
    this.#diskWatch = new DiskWatch({ rooms: options.layout.cells.map(({ id }) => this.#roomOf(id)) });
    this.#supervisor = new Supervisor({
      restart: options.settings.restart,
      reporter: options.reporter,
      onStarted: (name, pid) => {
        this.#pids.set(name, pid);
        if (this.#started) options.state.writeRun(this.run);
      },
    });
    this.cells = this.#newCells();
  }

  #newCells(): LocalCells {
    const { settings, cluster, layout, state, reporter } = this.#options;
    return new LocalCells(layout.cells, {
      settings,
      state,
      reporter,
      supervisor: this.#supervisor,
      api: () => this.#api,
      apiAt: (cell) => new ApiClient([membersUrlOf(cell)], this.#credentials),
      summaryOf: (cell) => this.#summaryOf(cell),
      host: cluster.host,
      members: this.#members,
      deployed: (cells) => this.#mapWith(cells),
      specOf: (cell, map) => this.#specOf(cell, map),
      changed: (cells) => {
        this.#diskWatch.watch(cells.map(({ id }) => this.#roomOf(id)));
        if (this.#started) state.writeRun(this.run);
      },
    });
  }

  get #api(): ApiClient {
    return new ApiClient(this.cells.all.map(membersUrlOf), this.#credentials);
  }

  /** What this process asks cells with. */
  get #credentials(): Credentials {
    return this.#members?.identity ?? this.#secret;
  }

  /** The map that a system with these cells is started with. */
  #mapWith(cells: readonly CellOfLayout[]): ClusterMap {
    const { cluster, settings, layout } = this.#options;
    return { ...clusterMapOf(cluster, settings, { ...layout, cells }), ...this.#members?.ofMap(cells) };
  }

  /** Where a cell finds out whether its disk has room. */
  #roomOf(cell: string): string {
    return join(this.#options.state.file("cells", cell), "room");
  }

  /** Starts everything and waits until a phone would be answered. The first subscribers' passwords by address-of-record. */
  async start(signal: AbortSignal): Promise<Passwords["passwords"]> {
    const { state, reporter } = this.#options;
    const secret = state.secret();
    this.#secret = secret;
    if (this.#members !== undefined) this.#makeMembers(this.#members, secret);
    planFirstSubscribers(state, this.#options.cluster.domain, reporter);
    // The first start has both to make: at the same time, though the lines come one after the other.
    const [bundle, tls] = await Promise.all([timed(makeBundle(state.file("bundle"))), timed(this.#certificate())]);
    reporter.step("bundle", "made", bundle.ms);
    reporter.step("certificate", tls.result.text, tls.ms);
    signal.throwIfAborted();
    const cells = await timed(this.#startCells(bundle.result));
    await this.#untilRefilled();
    reporter.step("cells", this.cells.all.map(({ id, url }) => `${id} ${url}`).join(", "), cells.ms);
    const gateways = await timed(this.#startGateways(tls.result.files));
    const connected = await timed(this.#untilConnected(this.#api, cells.result));
    await this.cells.endStrangers(cells.result);
    reporter.step("gateways", this.#gatewaysText(), gateways.ms + connected.ms);
    this.#started = true;
    this.#clockWatch.start();
    const members = this.#members;
    const lookMs = this.#options.certificateLookMs ?? certificateLookMs;
    if (members !== undefined) this.#certificateTimer = setInterval(() => void this.#renewCertificates(members), lookMs).unref();
    state.writeRun(this.run);
    return await this.#ensureSubscribers(this.#api);
  }

  /** Keys and certificates of all that runs here: those that are there and good are kept. */
  #makeMembers(members: LocalMembers, secret: string): void {
    const { state, reporter } = this.#options;
    const start = performance.now();
    const now = new Date();
    const authority = Authority.ensure(state, now);
    members.certify(authority, this.cells.all, secret, now);
    reporter.step("members", `keys and certificates of ${authority.keys.name}`, performance.now() - start);
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
    clearInterval(this.#certificateTimer);
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
    const hosts = advertisedHostsOf(settings);
    if (settings.tls === undefined) {
      const files = await ensureCertificate(state, cluster.domain, hosts, new Date());
      return { files, text: shownPath(files.certificate) };
    }
    const { files, unnamed } = ownCertificate(settings.tls.certificate, settings.tls.key, [cluster.domain, ...hosts], new Date());
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
  async #startCells(bundle: Bundle): Promise<ReadonlySet<string>> {
    const { layout, reporter } = this.#options;
    const map = this.#mapWith(layout.cells);
    this.#script = bundle;
    const descriptors = descriptorsMax();
    const softphonesMax = softphonesAt(map);
    if (softphonesMax !== undefined && softphonesMax < softphonesFew) {
      const cause = `each cell may open ${descriptors} files (ulimit -Hn)`;
      reporter.step("softphones", `at most ${softphonesMax} at each cell: ${cause}`, 0);
    }
    const broken: BrokenOfCell[] = [];
    const specs = this.cells.all.map((cell) => this.#specOf(cell, map, broken));
    this.#sayWhatIsBroken(broken, map);
    this.#diskWatch.start();
    return await this.#supervisor.startSome(specs);
  }

  /** How a cell is started that works from this map until it hears of a newer one. `broken`: takes what cannot be read there. */
  #specOf(cell: CellOfLayout, map: ClusterMap, broken: BrokenOfCell[] = []): ProcessSpec {
    const { settings, mapFor, state, wrap } = this.#options;
    const { id, port, url } = cell;
    const own = this.#members?.cellOf(cell);
    const [storage, room, file] = [state.file("cells", id), this.#roomOf(id), state.file(`cell-${id}.capnp`)];
    mkdirSync(room, { recursive: true });
    const worker = readWorkerSettings(join(root, "wrangler.toml"), id);
    const softphonesMax = softphonesAt(map);
    const text = cellConfigText({
      cell: id,
      host: httpHostOf(settings),
      port,
      settings: worker,
      modules: modulesFor(wrap?.(this.#script, id) ?? this.#script, file),
      storage,
      room,
      mayEvict: this.#options.mayEvict ?? false,
      texts: {
        CELL: id,
        CLUSTER: JSON.stringify(mapFor?.(id, map) ?? map),
        ...(softphonesMax === undefined ? {} : { SOFTPHONES_MAX: String(softphonesMax) }),
        ...(own === undefined ? {} : { MEMBERS_SOCKET: own.socket.host }),
      },
      fromEnvironment: ["TANDEM_SECRET", ...Object.keys(own?.environment ?? {})],
      ...(own === undefined ? {} : { members: own.socket }),
    });
    state.write(`cell-${id}.capnp`, text, 0o600);
    const look = (): BrokenOfCell[] =>
      setBrokenAside(storage, objectsOf(id, worker.objects, map), new Date()).map((each) => ({ ...each, cell: id }));
    broken.push(...look());
    let isFirst = true;
    return {
      name: `cell ${id}`,
      command: [workerdBinary(), "serve", file, "config"],
      environment: { TANDEM_SECRET: this.#secret, ...own?.environment },
      readiness: { url: `${url}/` },
      prepare: () => {
        // At the start all have been looked at, before the first line: what it promises may be broken in the next cell.
        if (!isFirst) this.#sayWhatIsBroken(look(), map);
        isFirst = false;
      },
    };
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
    const credentials = (id: string): string | MemberFiles => this.#members?.files(id) ?? state.file("secret");
    const specs = layout.gateways.map((gateway): ProcessSpec => {
      const name = `gateway-${gateway.id}.toml`;
      return {
        // Where it finds its first map: the cells that run by then.
        prepare: () => state.write(name, gatewayConfigText(gateway, this.cells.all, credentials(gateway.id), tls, settings)),
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
      await untilTogether(() => this.#summaryOf(this.#cell(cell)), exchanges, until);
      exchanges.clear();
    }
  }

  /** Their timers stand for as long as the clock was set back (see {@link ClockWatch}). */
  async #clockWasSetBack(byMs: number): Promise<void> {
    // Cells whose clocks are further apart do not speak with each other before all are renewed.
    const areHeard = byMs < signatureAgeSecondsMax * 1000;
    await this.#renewCells(`the clock was set back by ${Math.round(byMs / 1000)} s, and its timers stand for as long`, areHeard);
  }

  /** Certificates are renewed when two thirds of their life are over. Gateways take theirs by themselves, and workerd reads one at its start only. */
  async #renewCertificates(members: LocalMembers): Promise<void> {
    const { reporter } = this.#options;
    // Cells are being started again one after the other: the next look comes when that is over.
    if (this.#isRenewing) return;
    this.#isRenewing = true;
    try {
      const api = new ApiClient(this.cells.all.map(membersUrlOf), members.identity, "host");
      const renewed = await members.renew(this.cells.all, api, new Date());
      if (renewed.length === 0) return;
      reporter.event("tandem", "renewed", `certificates of ${renewed.join(", ")}`);
      if (this.cells.all.some(({ id }) => renewed.includes(id))) await this.#renewCells("it has another certificate", true);
    } catch (error) {
      reporter.event("tandem", "warns", `certificates of members are not renewed: ${reasonOf(error)}; tried again in an hour`);
    } finally {
      this.#isRenewing = false;
    }
  }

  /** Starts the cells again, each when the one before has everything back. `areHeard`: they speak with each other. */
  async #renewCells(cause: string, areHeard: boolean): Promise<void> {
    for (const cell of this.cells.all) {
      const { id } = cell;
      const summary = (): Promise<unknown> => this.#summaryOf(cell);
      const together = new Set(areHeard ? togetherIn(await summary().catch(() => undefined)) : []);
      const isServing =
        this.#supervisor.renew(`cell ${id}`, cause) && (await untilTogether(summary, together, performance.now() + refillMsMax));
      if (isServing) continue;
      // The others are all that serves: they go on as they are.
      this.#options.reporter.event(`cell ${id}`, "not renewed", `${cause}: start all cells again, one after the other`);
      return;
    }
  }

  #cell(id: string): CellOfLayout {
    const cell = this.cells.all.find((each) => each.id === id);
    if (cell === undefined) throw new Failure(`cell ${id} does not run on this machine`);
    return cell;
  }

  /** What a cell says of its exchanges. */
  #summaryOf(cell: CellOfLayout): Promise<unknown> {
    const at = [membersUrlOf(cell)];
    return this.#members === undefined
      ? new ApiClient(at, this.#secret, "cell").get("/cell/summary")
      : new ApiClient(at, this.#credentials, "host").get("/host/summary");
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
      // A cell that the map does not have never is.
      const members = this.cells.all.filter(({ id }) => serving.has(`cell ${id}`) && status.cells.some((cell) => cell.id === id));
      const missing = [...members, ...this.#options.layout.gateways].filter(({ id }) => !up.has(id));
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
      cells: this.cells.all.map(({ id, url, members }) => ({
        id,
        pid: pid(`cell ${id}`),
        url,
        ...(members === undefined ? {} : { membersUrl: members.url }),
      })),
      gateways: this.#options.layout.gateways.map(({ id, listeners }) => ({ id, pid: pid(`gateway ${id}`), listeners })),
    };
  }
}

/** What commands may ask of the process that runs a system. */
export function controlHandlersOf({ cells }: LocalSystem): ControlHandlers {
  return { "cell add": (request) => cells.add(request), "cell remove": ({ cell }) => cells.remove(String(cell)) };
}

/** How many softphones a cell may have at once; undefined: nobody knows. */
function softphonesAt(map: ClusterMap): number | undefined {
  const descriptors = descriptorsMax();
  return descriptors === undefined ? undefined : softphonesMaxFor(descriptors, map.exchangeCount);
}

/** The exchanges of a cell whose peers have what they have, and the other way round. */
function togetherIn(summary: unknown): number[] {
  const exchanges = isTable(summary) ? summary["exchanges"] : undefined;
  if (!isListOf(exchanges, isTable)) return [];
  return exchanges.filter(({ pair }) => pair === "together").map(({ exchange }) => Number(exchange));
}

/** Waits until a cell answers, and all of these exchanges, which are taken out, are together with their peers. False: it does not answer. */
async function untilTogether(ask: () => Promise<unknown>, exchanges: Set<number>, until: number): Promise<boolean> {
  let isServing = false;
  while ((!isServing || exchanges.size > 0) && performance.now() < until) {
    // It may be the cell that does not start.
    const summary = await ask().catch(() => undefined);
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
