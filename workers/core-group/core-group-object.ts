import { DurableObject } from "cloudflare:workers";
import { CoreGroup, type Effect, type GroupStatus } from "../../cluster/group/core-group.ts";
import type { Heartbeat } from "../../cluster/group/heartbeat.ts";
import type { GroupSettings } from "../../cluster/group/settings.ts";
import type { Change, HeartbeatSettings, SeenCause, View } from "../../cluster/group/view.ts";
import { pairOf, type ClusterMap } from "../../cluster/map/cluster-map.ts";
import { exchangesIn, isReplicated } from "../../cluster/map/serving-cells.ts";
import { otherVersionText } from "../../cluster/protocol-version.ts";
import { standstillMsMin } from "../../actors/limits.ts";
import { answerClose } from "../close-socket.ts";
import { clusterMapOf, coreGroupName, exchangeName, lineName, type Environment } from "../environment.ts";
import { DiskRoom, diskFullText } from "../disk-room.ts";
import { historyShownMax, keepAwakeMs, refusalsSaidMs, roomReserveOctets, viewOctets, wakeReserveOctets } from "../limits.ts";
import { UsedSignatures } from "../used-signatures.ts";
import { ControlSockets } from "./control-sockets.ts";
import { GatewayNames } from "./gateway-names.ts";
import { GroupDisk } from "./group-disk.ts";
import { callHeartbeat } from "./heartbeat-call.ts";
import { LineDrain } from "./line-drain.ts";
import { LoneExchanges } from "./lone-exchanges.ts";
import { SignatureNews } from "./signature-news.ts";
import { VersionRefusals } from "./version-refusals.ts";

/** What a core group says of itself and its members. */
export type CoreGroupStatus = GroupStatus & {
  /** The latest changes of the view, the newest last. */
  readonly history: readonly Change[];
};

/** What became of the wish to take a cell out of service. `last`: no other cell is up. `unreplicated`: no other has what this one has. */
export type Draining = "done" | "last" | "unreplicated";

/** An idle object is put to sleep after about 10 s, and would forget whom it has missed: between slower beats a timer keeps it awake. */
const sleepMs = 8_000;

/**
 * The core group of this cell: the shell of cluster/group. It has one alarm every period, in which it calls the other cells and reads
 * when the gateways were last heard; it holds the gateways' control sockets, and tells them and this cell's exchanges what changes.
 *
 * Whatever wakes the object starts it: an alarm that it left on disk, a heartbeat, a gateway, or wake(). Alarms may be lost, so every
 * event looks whether one is overdue.
 */
export class CoreGroupObject extends DurableObject<Environment> {
  readonly #map: ClusterMap;
  readonly #disk: GroupDisk;
  readonly #room: DiskRoom;
  readonly #sockets: ControlSockets;
  readonly #group: CoreGroup;
  readonly #lineDrain: LineDrain;
  /** Exchanges of this cell that have asked for the view since this object started: they want to hear of every change. */
  readonly #listeners = new Set<number>();
  /** Exchanges that could not be told, and how often that was tried. */
  readonly #untold = new Map<number, number>();
  readonly #lone: LoneExchanges;
  readonly #gatewayNames = new GatewayNames();
  readonly #signatureNews: SignatureNews;
  #settings: GroupSettings;
  #alarmAt = 0;
  #timerAt = 0;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #isFullSaid = false;
  #keptAwakeAt = 0;
  #arming: Promise<void> | undefined;
  readonly #usedSignatures = new UsedSignatures();
  #signaturesRefused = 0;
  #signaturesLogged = 0;
  #refusalsSaidAt = 0;
  readonly #versionRefusals = new VersionRefusals();
  /** When this process went on after it had stood still, ms; 0: it never has. */
  #wentOnAt = 0;

  constructor(ctx: DurableObjectState, env: Environment) {
    super(ctx, env);
    this.#map = clusterMapOf(env);
    this.#disk = new GroupDisk(ctx.storage);
    this.#room = new DiskRoom(env.DISK, coreGroupName, roomReserveOctets + this.#objects().length * wakeReserveOctets);
    this.#sockets = new ControlSockets(ctx);
    this.#lineDrain = new LineDrain(env, this.#map.lineCount);
    this.#lone = new LoneExchanges(env.CELL);
    this.#signatureNews = new SignatureNews(env.CELL);
    const stored = this.#disk.readSettings();
    // A map that was deployed after the last change has the higher version, and wins.
    const isStored = stored !== undefined && stored.version > this.#map.version;
    this.#settings = isStored ? stored : { version: this.#map.version, heartbeat: this.#map.heartbeat };
    const now = Date.now();
    this.#group = new CoreGroup(
      {
        cell: env.CELL,
        boot: crypto.randomUUID(),
        cells: this.#map.cells.map(({ id }) => id),
        settings: this.#settings,
        epoch: this.#disk.readEpoch(),
        gateways: this.#disk.readGateways(),
        isDraining: this.#disk.readDraining(),
      },
      now,
    );
    for (const gateway of this.#sockets.heard().keys()) this.#group.gatewayOpened(gateway, now);
    this.#tick();
  }

  /** Takes a gateway's control socket. The caller has checked the signature and says whose it is. */
  override fetch(request: Request): Response {
    const gateway = request.headers.get("tandem-who");
    if (gateway === null || request.headers.get("upgrade")?.toLowerCase() !== "websocket") return new Response(null, { status: 426 });
    const { response, socket } = this.#sockets.accept(gateway);
    socket.send(JSON.stringify({ type: "map", map: this.#currentMap() }));
    socket.send(JSON.stringify({ type: "view", view: this.#group.view() }));
    this.#event((now) => this.#group.gatewayOpened(gateway, now));
    return response;
  }

  /**
   * A gateway tells who it is, `{"type":"hello","boot":"..."}`, and one thing more, `{"type":"lost","cell":"b","seen":"closed socket"}`: how it has lost its control socket to that cell. All else
   * is for later versions.
   */
  override webSocketMessage(socket: WebSocket, data: ArrayBuffer | string): void {
    const lost = lostCellOf(data);
    if (lost !== undefined) this.suspect(lost.cell, lost.seen);
    const boot = bootOf(data);
    const line = boot === undefined ? undefined : this.#gatewayNames.hello(this.#sockets.gatewayOf(socket), boot, Date.now());
    if (line !== undefined) say(`cell ${this.env.CELL}: ${line}`);
  }

  override webSocketClose(socket: WebSocket, code: number, reason: string): void {
    answerClose(socket, code, reason);
    this.#closed(socket, code === goingAway);
  }

  override webSocketError(socket: WebSocket): void {
    this.#closed(socket, false);
  }

  #closed(socket: WebSocket, hasLeft: boolean): void {
    if (this.#sockets.isLast(socket)) this.#event((now) => this.#group.gatewayClosed(this.#sockets.gatewayOf(socket), now, hasLeft));
  }

  override async alarm(): Promise<void> {
    this.#alarmAt = 0;
    // The end of this alarm is a write of the runtime's own: without room the reserve is given up for it.
    await this.#lookForRoom();
    this.#tick();
    await this.#arming;
  }

  /** Starts the group when nothing else has: an object that nobody ever called has no alarm. */
  wake(): void {
    this.#event(() => {});
  }

  /** A heartbeat of another cell. Returns the answer. */
  heartbeat(heartbeat: Heartbeat): Heartbeat {
    return this.#event((now) => this.#group.received(heartbeat, now));
  }

  /** Somebody saw a connection to a cell close or be refused: it is probed at once. */
  suspect(cell: string, seen: SeenCause): void {
    this.#event((now) => this.#group.suspect(cell, seen, now));
  }

  /**
   * When this process went on after it had stood still, ms; 0: it has not since this object started. For those who sleep and cannot know. Seen
   * by the beat, so nothing shorter than a period is.
   */
  wentOnAt(): number {
    this.#event(() => {});
    return this.#wentOnAt;
  }

  /**
   * The view, for an exchange that wakes. From now on it hears of every change by setView(). `isSyncing`: it will say caughtUp(). `isAlone`: it was told
   * that it has no second replica.
   */
  viewFor(exchange: number, isSyncing: boolean): View & { readonly isAlone: boolean } {
    this.#listeners.add(exchange);
    if (isSyncing) this.#group.catchingUp(exchange);
    return { ...this.#group.view(), isAlone: this.#lone.has(exchange) };
  }

  /** An exchange of this cell has had no second replica for a while, and why; undefined: it has one again. */
  replicaIsAlone(exchange: number, cause: string | undefined): void {
    this.#lone.set(exchange, cause, Date.now());
  }

  /** An exchange of this cell knows what its pair knows, or serves without. */
  caughtUp(exchange: number): void {
    this.#event((now) => this.#group.caughtUp(exchange, now));
  }

  settings(): GroupSettings {
    return this.#settings;
  }

  /** Other settings for the whole cluster, checked by the caller. Returns them with the version of the map that they make. */
  setHeartbeat(heartbeat: HeartbeatSettings): GroupSettings {
    this.#event((now) => this.#group.setHeartbeat(heartbeat, now));
    return this.#settings;
  }

  /** The operator takes this cell out of service, or back. Anything but `done`: why it stays in service. */
  setDraining(isDraining: boolean): Draining {
    if (isDraining && this.#map.cells.length > 1 && !isReplicated(this.#map)) return "unreplicated";
    const outcome = this.#event((now) => this.#group.setDraining(isDraining, now));
    if (outcome === "done") this.#room.write(viewOctets, () => this.#disk.writeDraining(isDraining));
    return outcome;
  }

  /** Whether the disk has no room: what changes is in memory only. */
  isDiskFull(): boolean {
    return this.#room.isFull;
  }

  /** Softphones that are still to go elsewhere; undefined: none is to go, or how many is not known yet. */
  softphonesLeft(): number | undefined {
    return this.#lineDrain.left;
  }

  /** Uses a signature that is right (see signature.ts). False: it was used before. */
  useSignature(nonce: string, madeAt: number): boolean {
    return this.#usedSignatures.use(nonce, madeAt, Date.now());
  }

  /** Counts requests whose signatures were refused. */
  signaturesWereRefused(count: number): void {
    this.#signaturesRefused += count;
  }

  /** Somebody who calls itself `who` was refused because it speaks another version. A cell's own heartbeats say that of other cells. */
  otherVersionRefused(who: string, theirs: number): void {
    if (this.#map.cells.some(({ id }) => id === who) || !this.#versionRefusals.isNews(who, theirs, Date.now())) return;
    console.warn(`cell ${this.env.CELL}: refused: ${otherVersionText(who, theirs, `cell ${this.env.CELL}`)}`);
  }

  /** Since the group started. */
  signaturesRefused(): number {
    return this.#signaturesRefused;
  }

  status(): CoreGroupStatus {
    const now = Date.now();
    this.#hear();
    return { ...this.#group.status(now), history: this.#disk.readHistory(historyShownMax) };
  }

  /** A broken invariant must not end the beat: it is said, and the next one comes. */
  #tick(): void {
    this.#timerAt = 0;
    try {
      this.#event((now) => this.#group.tick(now));
    } catch (error) {
      console.error(`core group of cell ${this.env.CELL}:`, error instanceof Error ? (error.stack ?? error.message) : String(error));
      this.#arm(Date.now());
    }
    for (const exchange of this.#untold.keys()) this.#tell(exchange);
    say(this.#lone.line(Date.now()));
    if (this.#signaturesRefused > this.#signaturesLogged && Date.now() >= this.#refusalsSaidAt + refusalsSaidMs) {
      this.#refusalsSaidAt = Date.now();
      const count = this.#signaturesRefused - this.#signaturesLogged;
      console.warn(`cell ${this.env.CELL}: refused ${count} ${count === 1 ? "request" : "requests"} with a wrong or old signature`);
      this.#signaturesLogged = this.#signaturesRefused;
    }
  }

  /** One event on the group, and what it wants done. */
  #event<Result>(act: (now: number) => Result): Result {
    const now = Date.now();
    this.#hear();
    if (now - this.#group.nextTick >= standstillMsMin) this.#wentOnAt = now;
    // The watchdog: this alarm should have rung long ago.
    if (now - this.#group.nextTick > this.#settings.heartbeat.periodMs) this.#group.tick(now);
    const result = act(now);
    for (let effects = this.#group.takeEffects(); effects.length > 0; effects = this.#group.takeEffects()) {
      for (const effect of effects) this.#carryOut(effect);
    }
    this.#arm(now);
    return result;
  }

  #hear(): void {
    for (const [gateway, at] of this.#sockets.heard()) this.#group.gatewayHeard(gateway, at);
  }

  #carryOut(effect: Effect): void {
    switch (effect.type) {
      case "heartbeat":
        void this.#beat(effect);
        return;
      case "view":
        this.#room.write(viewOctets, () => this.#disk.writeView(effect.view, effect.changes));
        for (const change of effect.changes) console.log(lineOf(this.env.CELL, change));
        this.#sockets.send({ type: "view", view: effect.view });
        this.#tellConcerned(new Set(effect.changes.filter(({ kind }) => kind === "cell").map(({ id }) => id)));
        this.#lineDrain.set(isHandingOver(effect.view));
        return;
      case "settings": {
        this.#settings = effect.settings;
        this.#room.write(viewOctets, () => this.#disk.writeSettings(effect.settings));
        const { version, heartbeat } = effect.settings;
        console.log(
          `cell ${this.env.CELL}: map ${version}: a heartbeat every ${heartbeat.periodMs} ms, down when ${heartbeat.missed} are missed`,
        );
        this.#sockets.send({ type: "map", map: this.#currentMap() });
        for (const exchange of this.#listeners) this.#tell(exchange);
        return;
      }
      case "fence":
        console.warn(`cell ${this.env.CELL}: ${effect.isFenced ? fencedText(effect.view) : "no longer fenced"}`);
        this.#sockets.send({ type: "view", view: effect.view });
        for (const exchange of exchangesIn(this.#map, this.env.CELL)) this.#tell(exchange);
        return;
    }
    effect satisfies never;
  }

  async #beat({ to: cell, heartbeat, timeoutMs, lateMs }: Extract<Effect, { type: "heartbeat" }>): Promise<void> {
    const url = this.#map.cells.find(({ id }) => id === cell)?.url ?? "";
    const late = (): void => this.#event((now) => this.#group.late(heartbeat.sequence, now));
    const answer = await callHeartbeat(this.env, cell, url, heartbeat, { timeoutMs, lateMs, late }, (aheadMs) =>
      say(this.#signatureNews.refused(cell, aheadMs)),
    );
    if (typeof answer !== "string" && !("otherVersion" in answer)) say(this.#signatureNews.accepted(cell));
    this.#event((now) => {
      if (typeof answer === "string") this.#group.failed(heartbeat.sequence, answer, now);
      else if ("otherVersion" in answer) {
        const text = otherVersionText(`cell ${cell}`, answer.otherVersion, `cell ${this.env.CELL}`);
        this.#group.failed(heartbeat.sequence, "another version", now, text);
      } else this.#group.answered(heartbeat.sequence, answer, now);
    });
  }

  /** Those that listen, and those whose pair it is about: that one is to wake, because it has calls to take over or to give back. */
  #tellConcerned(cells: ReadonlySet<string>): void {
    const concerned = exchangesIn(this.#map, this.env.CELL).filter((exchange) => {
      const { primary, secondary } = pairOf(this.#map, exchange);
      return [primary, secondary].some((cell) => cell !== this.env.CELL && cells.has(cell));
    });
    for (const exchange of new Set([...this.#listeners, ...concerned])) this.#tell(exchange);
  }

  #tell(exchange: number): void {
    void this.#telling(exchange);
  }

  /** An exchange that cannot be told is told with the next beats; one that never can has said why in the log. */
  async #telling(exchange: number): Promise<void> {
    const view = this.#group.view();
    // Perhaps it has only been woken by this.
    this.#group.catchingUp(exchange);
    try {
      const { isServing } = await this.env.EXCHANGE.getByName(exchangeName(exchange)).setView(view);
      this.#untold.delete(exchange);
      if (isServing) this.caughtUp(exchange);
    } catch (error) {
      const tries = (this.#untold.get(exchange) ?? 0) + 1;
      if (tries < tellTriesMax) this.#untold.set(exchange, tries);
      else this.#untold.delete(exchange);
      if (tries === 1) console.warn(`cell ${this.env.CELL}: exchange ${exchange} was not told of view ${view.epoch}: ${String(error)}`);
    }
  }

  #currentMap(): ClusterMap {
    return { ...this.#map, version: this.#settings.version, heartbeat: this.#settings.heartbeat };
  }

  /** The regular beat is an alarm, which survives this process; what comes before it is a timer, and all is while the disk takes no alarm. */
  #arm(now: number): void {
    const { nextTick } = this.#group;
    if (nextTick !== this.#alarmAt && !this.#room.isFull) {
      this.#alarmAt = nextTick;
      const room = this.#room.ask(0);
      if (room === true) this.#setAlarm(nextTick, now);
      else this.#arming = this.#setAlarmIf(room);
    }
    const deadline = this.#group.nextDeadline();
    const timerAt = deadline < nextTick || nextTick - now > sleepMs || this.#room.isFull ? deadline : 0;
    if (timerAt === this.#timerAt) return;
    this.#timerAt = timerAt;
    clearTimeout(this.#timer);
    this.#timer = timerAt === 0 ? null : setTimeout(() => void this.#timerRang(), Math.max(1, timerAt - now));
  }

  async #timerRang(): Promise<void> {
    if (this.#room.isFull) {
      await this.#lookForRoom();
      this.#keepAwake(Date.now());
    }
    this.#tick();
  }

  /** The objects of this cell that have databases. */
  #objects(): (() => Promise<unknown>)[] {
    const { EXCHANGE, LINE, CELL } = this.env;
    return [
      ...exchangesIn(this.#map, CELL).map((exchange) => async () => await EXCHANGE.getByName(exchangeName(exchange)).counts()),
      ...Array.from({ length: this.#map.lineCount }, (_, line) => async () => await LINE.getByName(lineName(line)).stayAwake()),
    ];
  }

  /** One that slept now could not wake: its database needs room to be opened. The reserve that was given up is for those that sleep already. */
  #keepAwake(now: number): void {
    if (now - this.#keptAwakeAt < keepAwakeMs) return;
    this.#keptAwakeAt = now;
    // One that does not wake is refused to those who need it, and tried again.
    for (const call of this.#objects()) void call().catch(() => undefined);
  }

  async #setAlarmIf(room: Promise<boolean>): Promise<void> {
    const isRoom = await room;
    this.#tellRoom();
    if (isRoom) return this.#setAlarm(this.#alarmAt, Date.now());
    this.#alarmAt = 0;
    this.#arm(Date.now());
  }

  #setAlarm(at: number, now: number): void {
    // Inside of alarm() one that is set for now can be lost.
    void this.ctx.storage.setAlarm(Math.max(at, now + 1), { allowUnconfirmed: true });
  }

  /** Writes what waits for room, if there is any now. */
  async #lookForRoom(): Promise<void> {
    await this.#room.retry();
    this.#tellRoom();
  }

  #tellRoom(): void {
    const { isFull } = this.#room;
    if (isFull === this.#isFullSaid) return;
    this.#isFullSaid = isFull;
    if (isFull) this.#keepAwake(Date.now());
    const kept = isReplicated(this.#map)
      ? "what changes now is kept in the memory of two cells only, and is lost when both end"
      : "registrations and other changes are refused";
    console.error(
      `cell ${this.env.CELL}: ${isFull ? `${diskFullText}: ${kept}: free some space` : "the disk has room again, and takes what has changed"}`,
    );
  }
}

/** RFC 6455 7.4.1: who closes so ends by itself. */
const goingAway = 1001;

function fencedText({ cell, cells }: View): string {
  const hearsOthers = cells.some(({ id, state }) => id !== cell && state !== "down");
  const lost = hearsOthers ? "all gateways are lost to it and to the cells that it hears" : "it reaches no other cell and no gateway";
  return `fenced: ${lost}: registrations are refused (503)`;
}

function say(line: string | undefined): void {
  if (line !== undefined) console.warn(line);
}

/** A few: what fails so often fails for a reason that a view does not mend. */
const tellTriesMax = 5;

/** Whether a cell that is out of service has somebody who is not. */
function isHandingOver({ cell, cells }: View): boolean {
  return cells.some(({ id, state }) => id === cell && state === "draining") && cells.some(({ state }) => state === "up");
}

function lineOf(cell: string, { epoch, kind, id, from, to, cause, detail }: Change): string {
  return `cell ${cell}: view ${epoch}: ${kind} ${id} is ${to}, was ${from}: ${cause}${detail === "" ? "" : ` (${detail})`}`;
}

/** What a hello says of the start of its gateway. */
function bootOf(data: ArrayBuffer | string): string | undefined {
  const { type, boot } = messageOf(data) as { readonly type?: unknown; readonly boot?: unknown };
  return type === "hello" && typeof boot === "string" ? boot.slice(0, bootOctetsMax) : undefined;
}

/** Longer is none of ours, and not worth keeping. */
const bootOctetsMax = 64;

function messageOf(data: ArrayBuffer | string): object {
  if (typeof data !== "string") return {};
  try {
    const message: unknown = JSON.parse(data);
    return typeof message === "object" && message !== null ? message : {};
  } catch {
    return {};
  }
}

function lostCellOf(data: ArrayBuffer | string): { readonly cell: string; readonly seen: SeenCause } | undefined {
  const { type, cell, seen } = messageOf(data) as { readonly type?: unknown; readonly cell?: unknown; readonly seen?: unknown };
  if (type !== "lost" || typeof cell !== "string") return undefined;
  return { cell, seen: seenCauses.find((each) => each === seen) ?? "closed socket" };
}

const seenCauses: readonly SeenCause[] = ["closed socket", "connection refused", "missed heartbeats"];
