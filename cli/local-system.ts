import { setTimeout as delay } from "node:timers/promises";
import { signatureAgeSecondsMax } from "../cluster/limits.ts";
import type { ClusterMap } from "../cluster/map/cluster-map.ts";
import { deployedFrom } from "../cluster/map/deployed-map.ts";
import { hostMembersSchema } from "../schemas/api-answers.ts";
import { read } from "../schemas/reading.ts";
import { ApiClient, type Credentials } from "./api-client.ts";
import { acmeGroupOf } from "./acme-group.ts";
import { Authority } from "./authority.ts";
import { type Bundle, bundleIn } from "./bundle.ts";
import { type BrokenOfCell, CellSpecs, softphonesAt } from "./cell-specs.ts";
import { ClockWatch } from "./clock-watch.ts";
import { clusterMapOf, flushMs } from "./cluster.ts";
import type { ControlHandlers } from "./control.ts";
import { DiskWatch } from "./disk-watch.ts";
import { descriptorsMax, softphonesFew } from "./descriptors.ts";
import { Failure } from "./errors.ts";
import { makeFirstSubscribers, planFirstSubscribers, subscribersText } from "./first-subscribers.ts";
import { HostPlace } from "./host-place.ts";
import { openJoinDoor } from "./host-door.ts";
import type { JoinDoor } from "./join-door.ts";
import { isListOf, isText } from "./json.ts";
import { LocalCells } from "./local-cells.ts";
import { type CellOfLayout, type Layout, membersUrlOf } from "./layout.ts";
import { LocalGateways } from "./local-gateways.ts";
import { LocalMembers } from "./local-members.ts";
import type { HostAgentOptions } from "./host-agent.ts";
import { LocalPrograms } from "./local-programs.ts";
import { renewAtStart, tellAddress } from "./own-address.ts";
import { versionText } from "./program.ts";
import { notRenewedText, Renewal } from "./renewal.ts";
import type { Reporter } from "./reporter.ts";
import { idIn, isCell, Rolling } from "./rolling.ts";
import type { Settings } from "./settings.ts";
import type { ClusterSettings, Passwords, Run, StateDirectory } from "./state-directory.ts";
import { isStatus } from "./status.ts";
import { Supervisor } from "./supervisor.ts";
import { TakenOut } from "./taken-out.ts";
import { catchingUp, untilTogether } from "./together.ts";

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
  /** This host was removed from its system. What runs here serves nobody any more. */
  readonly wasRemoved?: () => void;
};

/** A flush that is due may come so much later. */
const flushedLateMs = 100;

/** One system on this machine: its processes, and the files that say what runs. */
export class LocalSystem {
  readonly #options: LocalSystemOptions;
  readonly #supervisor: Supervisor;
  /** Those that run here now. */
  readonly cells: LocalCells;
  readonly gateways: LocalGateways;
  /** Which program runs in each process, and how another one comes to run. */
  readonly #programs: LocalPrograms;
  readonly rolling: Rolling;
  /** Process ids by process name. */
  readonly #pids = new Map<string, number>();
  readonly #diskWatch: DiskWatch;
  readonly #clockWatch = new ClockWatch({ wasSetBack: (byMs) => this.#clockWasSetBack(byMs) });
  readonly #renewal: Renewal;
  /** As it was at the start: the cells go on with it, whatever becomes of its file. */
  #secret = "";
  /** Those of this machine, in a system with an authority. */
  readonly #members: LocalMembers | undefined;
  /** What this host knows of the rest of such a system. */
  readonly #place: HostPlace | undefined;
  #door: JoinDoor | undefined;
  readonly #specs: CellSpecs;
  #started = false;

  constructor(options: LocalSystemOptions) {
    this.#options = options;
    const { cluster, state, layout } = options;
    this.#members = cluster.host === undefined ? undefined : new LocalMembers(state, cluster.host, layout);
    this.#place =
      this.#members === undefined
        ? undefined
        : new HostPlace({ state, members: this.#members, own: () => this.cells.all, wasRemoved: () => options.wasRemoved?.() });
    this.#programs = new LocalPrograms(state);
    const programs = this.#programs;
    this.#specs = new CellSpecs({ ...options, programOf: (name) => programs.of(name), members: this.#members, secret: () => this.#secret });
    this.#diskWatch = new DiskWatch({ rooms: options.layout.cells.map(({ id }) => this.#specs.roomOf(id)) });
    this.#supervisor = new Supervisor({
      restart: options.settings.restart,
      reporter: options.reporter,
      onStarted: (name, pid) => {
        this.#pids.set(name, pid);
        if (this.#started) options.state.writeRun(this.run);
      },
    });
    this.cells = this.#newCells();
    this.gateways = new LocalGateways(layout.gateways, {
      settings: options.settings,
      domain: cluster.domain,
      state,
      supervisor: this.#supervisor,
      reporter: options.reporter,
      programOf: (name) => programs.of(name).program,
      cells: () => [...this.cells.all, ...(this.#place?.others ?? [])],
      credentials: (id) => this.#members?.files(id) ?? state.file("secret"),
      acmeGroup: this.#place === undefined ? undefined : acmeGroupOf(this.#place, cluster.host ?? "", () => this.cells.all.length > 0),
    });
    this.rolling = this.#newRolling();
    this.#renewal = new Renewal({
      cells: () => this.cells.all,
      members: this.#members,
      api: () => this.#hostApi,
      takenOut: new TakenOut({ state, api: () => this.#api }),
      isReplicated: () => this.#isReplicated,
      summaryOf: (cell) => this.#summaryOf(cell),
      supervisor: this.#supervisor,
      reporter: options.reporter,
      changed: (tls) => this.#door?.renew(tls),
    });
  }

  #newRolling(): Rolling {
    const { layout, reporter, state } = this.#options;
    return new Rolling({
      programs: this.#programs,
      supervisor: this.#supervisor,
      reporter,
      names: () => [...this.cells.all.map(({ id }) => `cell ${id}`), ...layout.gateways.map(({ id }) => `gateway ${id}`)],
      specOf: (name) =>
        isCell(name) ? this.#specs.specOf(this.#cell(idIn(name)), this.#mapWith(this.cells.all)) : this.gateways.specOf(idIn(name)),
      catchesUp: (name) =>
        isCell(name) ? catchingUp(() => this.#summaryOf(this.#cell(idIn(name)))) : Promise.resolve(() => this.#isConnected(idIn(name))),
      isReplicated: () => this.#isReplicated,
      changed: () => state.writeRun(this.run),
    });
  }

  get #isReplicated(): boolean {
    return this.#mapWith(this.cells.all).replication.enabled !== false;
  }

  /** Whether a gateway is there in the eyes of the cells. */
  async #isConnected(id: string): Promise<boolean> {
    const states = await this.#statesOfMembers().catch(() => undefined);
    return states?.gateways.some((each) => each.id === id && (each.state === "up" || each.state === "draining")) === true;
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
      location: cluster.joined?.location,
      deployed: (cells) => this.#mapWith(cells),
      specOf: (cell, map) => this.#specs.specOf(cell, map),
      changed: (cells) => {
        this.#diskWatch.watch(cells.map(({ id }) => this.#specs.roomOf(id)));
        if (this.#started) state.writeRun(this.run);
      },
    });
  }

  /** What orders to this host are carried out with. */
  get powers(): Pick<HostAgentOptions, "supervisor" | "api" | "elsewhere" | "reload"> {
    return {
      supervisor: this.#supervisor,
      api: () => this.#hostApi,
      elsewhere: () => this.#place?.elsewhere("host") ?? [],
      reload: () => this.reload(),
    };
  }

  /** Any cell, asked for what the processes of this machine need. */
  get #hostApi(): ApiClient {
    return this.#place?.api("host") ?? new ApiClient(this.cells.all.map(membersUrlOf), this.#secret, "host");
  }

  get #api(): ApiClient {
    return this.#place?.api() ?? new ApiClient(this.cells.all.map(membersUrlOf), this.#secret);
  }

  /** What this process asks cells with. */
  get #credentials(): Credentials {
    return this.#members?.identity ?? this.#secret;
  }

  /** The map that a system with these cells is started with. */
  #mapWith(cells: readonly CellOfLayout[]): ClusterMap {
    const { cluster, settings, layout } = this.#options;
    // A host that has joined knows what the operator has stated elsewhere.
    const known = cluster.joined === undefined ? undefined : this.#place?.map;
    if (known !== undefined) return deployedFrom(known);
    return { ...clusterMapOf(cluster, settings, { ...layout, cells }), ...this.#members?.ofMap(cells) };
  }

  /** Starts everything and waits until a phone would be answered. The first subscribers' passwords by address-of-record. */
  async start(signal: AbortSignal): Promise<Passwords["passwords"]> {
    const { state, reporter, cluster } = this.#options;
    await this.#prepare();
    if (cluster.joined === undefined) planFirstSubscribers(state, cluster.domain, reporter);
    // The first start has both to make: at the same time, though the lines come one after the other.
    const [bundle, tls] = await Promise.all([timed(bundleIn(state.file("bundle"))), timed(this.gateways.certificate())]);
    reporter.step("bundle", "made", bundle.ms);
    reporter.step("certificate", tls.result.text, tls.ms);
    signal.throwIfAborted();
    const cells = await timed(this.#startCells(bundle.result));
    await this.#untilRefilled();
    reporter.step("cells", this.cells.all.map(({ id, url }) => `${id} ${url}`).join(", ") || "none", cells.ms);
    const isPlaced = cluster.joined?.isPlaced ?? true;
    if (!isPlaced && this.cells.all.length > 0) await this.cells.place();
    const gateways = await timed(this.gateways.start(tls.result.files));
    const connected = await timed(isPlaced ? this.#untilConnected(cells.result) : this.#untilMet());
    await this.cells.endStrangers(cells.result);
    reporter.step("gateways", this.gateways.text, gateways.ms + connected.ms);
    if (cluster.joined !== undefined && !isPlaced) state.writeCluster({ ...cluster, joined: { ...cluster.joined, isPlaced: true } });
    this.#started = true;
    this.#clockWatch.start();
    await this.#beHost();
    state.writeRun(this.run);
    this.gateways.keepCertificate();
    return cluster.joined === undefined ? await this.#ensureSubscribers(this.#api) : {};
  }

  /** Keys, certificates and secrets of what runs here. Throws a {@link Failure} on a host that was removed: its cells would serve by themselves. */
  async #prepare(): Promise<void> {
    const { state, cluster, reporter } = this.#options;
    const [members, place] = [this.#members, this.#place];
    if (cluster.joined === undefined) this.#secret = state.secret();
    if (members === undefined || place === undefined) return;
    if (cluster.joined === undefined) {
      this.#makeMembers(members, this.#secret);
    } else {
      members.resume();
      this.#secret = members.secret;
    }
    if (place.others.length > 0) await place.look();
    place.checkMember();
    const hasMoved = await tellAddress(place, this.cells.all, cluster.joined === undefined ? cluster.host : undefined);
    if (cluster.joined === undefined) return;
    if (place.map === undefined) throw new Failure(`${state.file("map.json")} cannot be read: join again, with another --state`);
    await renewAtStart(members, this.cells.all, place, hasMoved, reporter);
  }

  /** In a system with an authority: machines ask to join here, certificates are renewed, and the newest map is looked at. */
  async #beHost(): Promise<void> {
    const { layout, reporter, certificateLookMs: lookMs = certificateLookMs } = this.#options;
    const [members, place] = [this.#members, this.#place];
    if (members === undefined || place === undefined) return;
    this.#renewal.start(lookMs);
    await place.look();
    // It may hear that only now: nobody could be asked before.
    place.checkMember();
    place.start();
    if (layout.door !== undefined) this.#door = await openJoinDoor(layout.door, members, () => place.api(), reporter);
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

  /**
   * Reads configuration and certificates again while calls stand. Resolves to one line that says what has changed. Throws a {@link Failure} when something is
   * broken, which then stays as it was.
   */
  async reload(renewsCertificate = false): Promise<string> {
    if (!this.#started) throw new Failure("it is being started: reload it when it is ready");
    const said = await this.gateways.reload(renewsCertificate);
    try {
      const renewed = await this.#renewal.certificates();
      return renewed.length === 0 ? said : `${said}; other certificates of members: ${renewed.join(", ")}`;
    } catch (error) {
      throw new Failure(`${said}; ${notRenewedText(error)}`);
    }
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
    this.#renewal.stop();
    await this.gateways.stop();
    this.#place?.stop();
    this.#door?.close();
    await this.#supervisor.stop(this.#started ? { prefix: "gateway ", pauseMs: flushMs + flushedLateMs } : undefined);
    this.#diskWatch.stop();
  }

  /** Does not wait for anything to end by itself. */
  kill(): void {
    this.#supervisor.kill();
    this.#place?.stop();
    this.#door?.close();
    this.#clockWatch.stop();
    this.#diskWatch.stop();
  }

  /** Returns the names of the processes that serve. */
  async #startCells(bundle: Bundle): Promise<ReadonlySet<string>> {
    const { layout, reporter } = this.#options;
    const map = this.#mapWith(layout.cells);
    this.#specs.script = bundle;
    const descriptors = descriptorsMax();
    const softphonesMax = softphonesAt(map);
    if (softphonesMax !== undefined && softphonesMax < softphonesFew) {
      const cause = `each cell may open ${descriptors} files (ulimit -Hn)`;
      reporter.step("softphones", `at most ${softphonesMax} at each cell: ${cause}`, 0);
    }
    const broken: BrokenOfCell[] = [];
    const specs = this.cells.all.map((cell) => this.#specs.specOf(cell, map, broken));
    this.#specs.sayWhatIsBroken(broken, map);
    this.#diskWatch.start();
    return await this.#supervisor.startSome(specs);
  }

  /** Nobody is to be refused for what is on its way: an exchange whose database was set aside has what its peer knows, before gateways come. */
  async #untilRefilled(): Promise<void> {
    const until = performance.now() + refillMsMax;
    for (const [cell, exchanges] of this.#specs.refilling) {
      await untilTogether(() => this.#summaryOf(this.#cell(cell)), exchanges, until);
      exchanges.clear();
    }
  }

  /** Their timers stand for as long as the clock was set back (see {@link ClockWatch}). */
  async #clockWasSetBack(byMs: number): Promise<void> {
    // Cells whose clocks are further apart do not speak with each other before all are renewed.
    const areHeard = byMs < signatureAgeSecondsMax * 1000;
    await this.#renewal.restartCells(`the clock was set back by ${Math.round(byMs / 1000)} s, and its timers stand for as long`, areHeard);
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

  /**
   * A gateway listens before it has reached a cell; "ready" is to mean that a phone is answered. `serving`: names of processes that run; undefined: all have to,
   * and be in the map.
   */
  async #untilConnected(serving: ReadonlySet<string> | undefined): Promise<void> {
    const until = performance.now() + connectMsMax;
    for (;;) {
      const { cells, gateways } = await this.#statesOfMembers();
      // A cell that was out of service when the system stopped is so when it starts, and serves.
      const up = new Set([...cells, ...gateways].filter(({ state }) => state === "up" || state === "draining").map(({ id }) => id));
      // A cell that the map does not have never is.
      const members = this.cells.all.filter(
        ({ id }) => serving === undefined || (serving.has(`cell ${id}`) && cells.some((cell) => cell.id === id)),
      );
      const missing = [...members, ...this.#options.layout.gateways].filter(({ id }) => !up.has(id));
      if (missing.length === 0) return;
      if (performance.now() > until) {
        const unreached = members.find((cell) => serving === undefined && missing.includes(cell));
        const hint = unreached === undefined ? "" : `; the others have to reach ${membersUrlOf(unreached)} (--address)`;
        const ids = missing.map(({ id }) => id).join(", ");
        throw new Failure(`not connected after ${connectMsMax / 1000} s, as the cells see it: ${ids}${hint}`);
      }
      await delay(pollMs);
    }
  }

  /** A host that joins: when the others do not reach its cell, the map is to be as it was. */
  async #untilMet(): Promise<void> {
    try {
      await this.#untilConnected(undefined);
    } catch (error) {
      await this.cells.takeBack().catch(() => undefined);
      throw error;
    }
  }

  /** How the group sees what runs here. */
  async #statesOfMembers(): Promise<Record<"cells" | "gateways", readonly { readonly id: string; readonly state: string }[]>> {
    const place = this.#place;
    const status = await (place === undefined ? this.#api.get("/api/status") : place.api("host").get("/host/members"));
    const { value } = read(hostMembersSchema, status);
    if (value === undefined || (place === undefined && !isStatus(status)))
      throw new Failure("the cells' answer is no status: are they of another version?");
    return value;
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
    const version = (name: string): string => versionText(this.#programs.of(name).version);
    return {
      domain: this.#options.cluster.domain,
      cells: this.cells.all.map(({ id, url, members }) => ({
        id,
        pid: pid(`cell ${id}`),
        url,
        version: version(`cell ${id}`),
        ...(members === undefined ? {} : { membersUrl: members.url }),
      })),
      gateways: this.#options.layout.gateways.map(({ id, listeners }) => ({
        id,
        pid: pid(`gateway ${id}`),
        listeners,
        version: version(`gateway ${id}`),
      })),
    };
  }
}

/** What commands may ask of the process that runs a system. */
export function controlHandlersOf(system: LocalSystem): ControlHandlers {
  const { cells } = system;
  return {
    "cell add": (request) => cells.add(request),
    "cell remove": ({ cell }) => cells.remove(String(cell)),
    reload: async ({ renewCertificate }) => ({ said: await system.reload(renewCertificate === true) }),
    upgrade: (request) => system.rolling.prepare(request),
    "upgrade process": (request) => system.rolling.roll(request),
  };
}

async function timed<T>(work: Promise<T>): Promise<{ readonly result: T; readonly ms: number }> {
  const start = performance.now();
  const result = await work;
  return { result, ms: performance.now() - start };
}
