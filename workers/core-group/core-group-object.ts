import { type GatewayTally, tallyOf } from "../../cluster/group/gateway-tally.ts";
import { DurableObject } from "cloudflare:workers";
import { CoreGroupActor, type Beat, type BeatOutcome, type CoreGroupPorts } from "../../actors/core-group/core-group-actor.ts";
import type { GroupStatus } from "../../cluster/group/core-group.ts";
import type { Heartbeat } from "../../cluster/group/heartbeat.ts";
import type { GroupSettings } from "../../cluster/group/settings.ts";
import type { Change, HeartbeatSettings, SeenCause, View } from "../../cluster/group/view.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { countedMsMax } from "../../cluster/limits.ts";
import { exchangesIn, isReplicated } from "../../cluster/map/serving-cells.ts";
import { otherVersionText } from "../../cluster/protocol-version.ts";
import { answerClose } from "../close-socket.ts";
import { clusterMapOf, coreGroupName, exchangeName, lineName, type Environment } from "../environment.ts";
import { DiskRoom, diskFullText } from "../disk-room.ts";
import { objectTimers } from "../object-timers.ts";
import {
  alarmLateBeats,
  historyShownMax,
  keepAwakeMs,
  refusalsSaidMs,
  roomReserveOctets,
  viewOctets,
  wakeReserveOctets,
} from "../limits.ts";
import { UsedSignatures } from "../used-signatures.ts";
import { ControlSockets } from "./control-sockets.ts";
import { GatewayNames } from "./gateway-names.ts";
import { GroupDisk } from "./group-disk.ts";
import { callHeartbeat } from "./heartbeat-call.ts";
import { LineDrain } from "./line-drain.ts";
import { LoneExchanges } from "./lone-exchanges.ts";
import { SheddingGateways } from "./shedding-gateways.ts";
import { SignatureNews } from "./signature-news.ts";
import { VersionRefusals } from "./version-refusals.ts";
import { later, type SteadyMs } from "../../sip/time.ts";

/** What a core group says of itself and its members. */
export type CoreGroupStatus = GroupStatus & {
  /** The latest changes of the view, the newest last. */
  readonly history: readonly Change[];
  /** Of new requests, those that gateways refuse because all is late, from 0 to 1; by gateway. */
  readonly shedding: Readonly<Record<string, number>>;
  /** What gateways have said of themselves, by gateway. */
  readonly tallies: Readonly<Record<string, GatewayTally>>;
};

/** What became of the wish to take a cell out of service. `last`: no other cell is up. `unreplicated`: no other has what this one has. */
export type Draining = "done" | "last" | "unreplicated";

/** An idle object is put to sleep after about 10 s, and would forget whom it has missed. Between slower beats a timer keeps it awake. */
const sleepMs = 8_000;

/**
 * The object of this cell's core group: it gives {@link CoreGroupActor} control sockets, calls to cells and exchanges, a disk, and an alarm every
 * period.
 *
 * Whatever wakes the object starts it: an alarm that it left on disk, a heartbeat, a gateway, or wake(). Alarms may be lost, so every
 * event looks whether one is overdue.
 */
export class CoreGroupObject extends DurableObject<Environment> {
  readonly #map: ClusterMap;
  readonly #disk: GroupDisk;
  readonly #room: DiskRoom;
  readonly #sockets: ControlSockets;
  readonly #group: CoreGroupActor;
  readonly #lineDrain: LineDrain;
  readonly #lone: LoneExchanges;
  readonly #gatewayNames = new GatewayNames();
  readonly #signatureNews: SignatureNews;
  readonly #timers = objectTimers();
  readonly #timer = this.#timers.timer(() => void this.#timerRang());
  #alarmAt: SteadyMs = 0;
  #timerAt: SteadyMs = 0;
  #isFullSaid = false;
  #keptAwakeAt: SteadyMs = 0;
  #arming: Promise<void> | undefined;
  readonly #usedSignatures = new UsedSignatures();
  #signaturesRefused = 0;
  #signaturesLogged = 0;
  #refusalsSaidAt: SteadyMs = 0;
  readonly #versionRefusals = new VersionRefusals();
  readonly #shedding = new SheddingGateways();

  constructor(ctx: DurableObjectState, env: Environment) {
    super(ctx, env);
    this.#map = clusterMapOf(env);
    this.#disk = new GroupDisk(ctx.storage);
    this.#room = new DiskRoom(
      env.DISK,
      coreGroupName,
      this.#timers.clock.now,
      roomReserveOctets + this.#objects().length * wakeReserveOctets,
    );
    this.#sockets = new ControlSockets(ctx);
    this.#lineDrain = new LineDrain(env, this.#map.lineCount, this.#timers.clock.now);
    this.#lone = new LoneExchanges(env.CELL);
    this.#signatureNews = new SignatureNews(env.CELL);
    this.#group = new CoreGroupActor(
      {
        cell: env.CELL,
        boot: crypto.randomUUID(),
        map: this.#map,
        settings: this.#disk.readSettings(),
        epoch: this.#disk.readEpoch(),
        gateways: this.#disk.readGateways(),
        isDraining: this.#disk.readDraining(),
      },
      this.#ports(),
    );
    this.#timers.clock.countAtMost(countedMsMax(this.#group.settings.heartbeat));
    this.#tick();
  }

  #ports(): CoreGroupPorts {
    const { CELL } = this.env;
    return {
      now: this.#timers.clock.now,
      wallAt: this.#timers.clock.wallAt,
      heard: () => this.#sockets.heard(),
      arm: (nextTick, nextDeadline, now) => this.#arm(nextTick, nextDeadline, now),
      beat: (beat, late, over) => void this.#beat(beat, late).then(over),
      keepView: (view, changes) => {
        this.#room.write(viewOctets, () => this.#disk.writeView(view, changes));
        for (const change of changes) console.log(lineOf(CELL, change));
      },
      keepSettings: (settings) => {
        this.#timers.clock.countAtMost(countedMsMax(settings.heartbeat));
        this.#room.write(viewOctets, () => this.#disk.writeSettings(settings));
        const { version, heartbeat } = settings;
        console.log(`cell ${CELL}: map ${version}: a heartbeat every ${heartbeat.periodMs} ms, down when ${heartbeat.missed} are missed`);
      },
      sendToGateways: (message) => this.#sockets.send(message),
      tellExchange: (exchange, view, told) => void this.#tellExchange(exchange, view).then(told),
      drainLines: (isWanted) => this.#lineDrain.set(isWanted),
      fenced: (isFenced, view) => console.warn(`cell ${CELL}: ${isFenced ? fencedText(view) : "no longer fenced"}`),
      untold: (exchange, { epoch }, reason) =>
        console.warn(`cell ${CELL}: exchange ${exchange} was not told of view ${epoch}: ${String(reason)}`),
    };
  }

  /** Takes a gateway's control socket. The caller has checked the signature and says whose it is. */
  override fetch(request: Request): Response {
    const gateway = request.headers.get("tandem-who");
    if (gateway === null || request.headers.get("upgrade")?.toLowerCase() !== "websocket") return new Response(null, { status: 426 });
    const { response, socket } = this.#sockets.accept(gateway);
    socket.send(JSON.stringify({ type: "map", map: this.#group.map }));
    socket.send(JSON.stringify({ type: "view", view: this.#group.view }));
    this.#group.gatewayOpened(gateway);
    return response;
  }

  /**
   * A gateway tells who it is, `{"type":"hello","boot":"..."}`, and three things more. `{"type":"lost","cell":"b","seen":"closed socket"}`: how it has lost its
   * control socket to that cell. `{"type":"load","refused":0.4}`: which part of new requests it refuses. `{"type":"tally",...}`: what it has counted.
   * All else is for later versions.
   */
  override webSocketMessage(socket: WebSocket, data: ArrayBuffer | string): void {
    const lost = lostCellOf(data);
    if (lost !== undefined) this.suspect(lost.cell, lost.seen);
    const refused = refusedShareOf(data);
    if (refused !== undefined) this.#shedding.said(this.#sockets.gatewayOf(socket), refused, this.#timers.clock.now());
    if (refused !== undefined && refused > 0) this.#group.overloaded();
    const tally = tallyOf(messageOf(data));
    if (tally !== undefined) this.#sockets.tallied(socket, tally);
    const boot = bootOf(data);
    const line = boot === undefined ? undefined : this.#gatewayNames.hello(this.#sockets.gatewayOf(socket), boot, this.#timers.clock.now());
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
    if (this.#sockets.isLast(socket)) this.#group.gatewayClosed(this.#sockets.gatewayOf(socket), hasLeft);
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
    this.#group.wake();
  }

  /** A heartbeat of another cell. Returns the answer. */
  heartbeat(heartbeat: Heartbeat): Heartbeat {
    return this.#group.heartbeat(heartbeat);
  }

  /** Somebody saw a connection to a cell close or be refused: it is probed at once. */
  suspect(cell: string, seen: SeenCause): void {
    this.#group.suspect(cell, seen);
  }

  /** For those who sleep and cannot know: see the actor's. */
  wentOnAgoMs(): number {
    return this.#group.wentOnAgoMs();
  }

  /**
   * The view, for an exchange that wakes. From now on it hears of every change by setView(). `isSyncing`: it will say caughtUp(). `isAlone`: it was told
   * that it has no second replica.
   */
  viewFor(exchange: number, isSyncing: boolean): View & { readonly isAlone: boolean } {
    return { ...this.#group.viewFor(exchange, isSyncing), isAlone: this.#lone.has(exchange) };
  }

  /** An exchange of this cell has had no second replica for a while, and why; undefined: it has one again. */
  replicaIsAlone(exchange: number, cause: string | undefined): void {
    this.#lone.set(exchange, cause, this.#timers.clock.now());
  }

  /** An exchange of this cell knows what its peer knows, or serves without. */
  caughtUp(exchange: number): void {
    this.#group.caughtUp(exchange);
  }

  settings(): GroupSettings {
    return this.#group.settings;
  }

  /** Other settings for the whole cluster, checked by the caller. Returns them with the version of the map that they make. */
  setHeartbeat(heartbeat: HeartbeatSettings): GroupSettings {
    this.#group.setHeartbeat(heartbeat);
    return this.#group.settings;
  }

  /** The operator takes this cell out of service, or back. Anything but `done`: why it stays in service. */
  setDraining(isDraining: boolean): Draining {
    if (isDraining && this.#map.cells.length > 1 && !isReplicated(this.#map)) return "unreplicated";
    const outcome = this.#group.setDraining(isDraining);
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
    if (this.#map.cells.some(({ id }) => id === who) || !this.#versionRefusals.isNews(who, theirs, this.#timers.clock.now())) return;
    console.warn(`cell ${this.env.CELL}: refused: ${otherVersionText(who, theirs, `cell ${this.env.CELL}`)}`);
  }

  /** Since the group started. */
  signaturesRefused(): number {
    return this.#signaturesRefused;
  }

  status(): CoreGroupStatus {
    const shedding = this.#shedding.shares(this.#timers.clock.now());
    return { ...this.#group.status(), history: this.#disk.readHistory(historyShownMax), shedding, tallies: this.#sockets.tallies() };
  }

  /** A broken invariant must not end the beat: it is said, and the next one comes. */
  #tick(): void {
    try {
      this.#group.tick();
    } catch (error) {
      console.error(`core group of cell ${this.env.CELL}:`, error instanceof Error ? (error.stack ?? error.message) : String(error));
      this.#group.arm();
    }
    this.#group.tellUntold();
    say(this.#lone.line(this.#timers.clock.now()));
    if (this.#signaturesRefused > this.#signaturesLogged && this.#timers.clock.now() >= this.#refusalsSaidAt + refusalsSaidMs) {
      this.#refusalsSaidAt = this.#timers.clock.now();
      const count = this.#signaturesRefused - this.#signaturesLogged;
      console.warn(`cell ${this.env.CELL}: refused ${count} ${count === 1 ? "request" : "requests"} with a wrong or old signature`);
      this.#signaturesLogged = this.#signaturesRefused;
    }
  }

  async #beat({ to: cell, heartbeat, timeoutMs, lateMs }: Beat, late: () => void): Promise<BeatOutcome> {
    const url = this.#map.cells.find(({ id }) => id === cell)?.url ?? "";
    const answer = await callHeartbeat(this.env, cell, url, heartbeat, { timeoutMs, lateMs, late }, (aheadMs) =>
      say(this.#signatureNews.refused(cell, aheadMs)),
    );
    if (typeof answer === "string") return { failure: answer };
    if ("otherVersion" in answer) {
      return { failure: "another version", text: otherVersionText(`cell ${cell}`, answer.otherVersion, `cell ${this.env.CELL}`) };
    }
    say(this.#signatureNews.accepted(cell));
    return answer;
  }

  async #tellExchange(exchange: number, view: View): Promise<{ readonly isServing: boolean } | Error> {
    try {
      const { isServing } = await this.env.EXCHANGE.getByName(exchangeName(exchange)).setView(view);
      return { isServing };
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  }

  /** The regular beat is an alarm, which survives this process. What comes before it is a timer. All are timers while the disk takes no alarm. */
  #arm(nextTick: SteadyMs, deadline: SteadyMs, now: SteadyMs): void {
    const isTimed = deadline < nextTick || nextTick - now > sleepMs || this.#room.isFull;
    if (isTimed) this.#setTimer(deadline, now);
    if (nextTick === this.#alarmAt || this.#room.isFull) return;
    this.#alarmAt = nextTick;
    const room = this.#room.ask(0);
    if (room === true) this.#setAlarm(nextTick, now);
    else this.#arming = this.#setAlarmIf(room);
    if (!isTimed) this.#watchAlarm(nextTick, now);
  }

  /**
   * An alarm waits for a moment of the wall clock, and longer when that is set back: most of a beat later a timer sees that. It is left as it is when the
   * alarm has rung, and set again by the beat after: an object that always has one is never at rest.
   */
  #watchAlarm(nextTick: SteadyMs, now: SteadyMs): void {
    const latest = later(nextTick, (nextTick - now) * alarmLateBeats);
    if (this.#timerAt <= now || this.#timerAt > latest) this.#setTimer(latest, now);
  }

  #setTimer(at: SteadyMs, now: SteadyMs): void {
    if (at === this.#timerAt) return;
    this.#timerAt = at;
    this.#timer.set(Math.max(1, at - now));
  }

  async #timerRang(): Promise<void> {
    this.#timerAt = 0;
    if (this.#room.isFull) {
      await this.#lookForRoom();
      this.#keepAwake(this.#timers.clock.now());
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
  #keepAwake(now: SteadyMs): void {
    if (now - this.#keptAwakeAt < keepAwakeMs) return;
    this.#keptAwakeAt = now;
    // One that does not wake is refused to those who need it, and tried again.
    for (const call of this.#objects()) void call().catch(() => undefined);
  }

  async #setAlarmIf(room: Promise<boolean>): Promise<void> {
    const isRoom = await room;
    this.#tellRoom();
    if (isRoom) return this.#setAlarm(this.#alarmAt, this.#timers.clock.now());
    this.#alarmAt = 0;
    this.#group.arm();
  }

  #setAlarm(at: SteadyMs, now: SteadyMs): void {
    // Inside of alarm() one that is set for now can be lost.
    void this.ctx.storage.setAlarm(this.#timers.clock.wallAt(Math.max(at, now + 1)), { allowUnconfirmed: true });
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
    if (isFull) this.#keepAwake(this.#timers.clock.now());
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

/** Which part of new requests a gateway says that it refuses. */
function refusedShareOf(data: ArrayBuffer | string): number | undefined {
  const { type, refused } = messageOf(data) as { readonly type?: unknown; readonly refused?: unknown };
  return type === "load" && typeof refused === "number" ? refused : undefined;
}

const seenCauses: readonly SeenCause[] = ["closed socket", "connection refused", "missed heartbeats"];
