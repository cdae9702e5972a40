import { type GatewayTally, tallyOf } from "../../cluster/group/gateway-tally.ts";
import { DurableObject } from "cloudflare:workers";
import type { LineDrain } from "../../actors/core-group/line-drain.ts";
import { CoreGroupActor, type Beat, type BeatOutcome, type CoreGroupPorts } from "../../actors/core-group/core-group-actor.ts";
import { collectorOf, type Collector } from "../../cluster/calls/collector.ts";
import type { GroupStatus } from "../../cluster/group/group-effects.ts";
import type { Heartbeat } from "../../cluster/group/heartbeat.ts";
import type { GroupSettings } from "../../cluster/group/settings.ts";
import type { Change, HeartbeatSettings, MemberState, SeenCause, View } from "../../cluster/group/view.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { countedMsMax } from "../../cluster/limits.ts";
import type { Keyring } from "../../cluster/authority/keyring.ts";
import type { Wish } from "../../cluster/map/wish.ts";
import type { Listener } from "../../sip/flow/flow.ts";
import { mapAtStart } from "../../cluster/map/deployed-map.ts";
import { isReplicated } from "../../cluster/map/serving-cells.ts";
import { otherVersionText } from "../../cluster/protocol-version.ts";
import { answerClose } from "../close-socket.ts";
import {
  clusterMapOf,
  codeOf,
  coreGroupName,
  deployedMapOf,
  type Environment,
  environmentOfObject,
  exchangeObject,
  learnMap,
} from "../environment.ts";
import { DiskRoom, diskFullText } from "../disk-room.ts";
import { startsAnew } from "../moved.ts";
import { objectTimers } from "../object-timers.ts";
import { historyShownMax, mapOctets, roomReserveOctets, viewOctets, wakeReserveOctets } from "../limits.ts";
import { type HostReport, HostReports, type KnownHost } from "../host-reports.ts";
import { UsedSignatures } from "../used-signatures.ts";
import { BeatWaker } from "./beat-waker.ts";
import { ControlSockets } from "./control-sockets.ts";
import { bootOf, listenersOf, lostCellOf, messageOf, refusedShareOf } from "./gateway-messages.ts";
import { GatewayNames } from "./gateway-names.ts";
import { GroupDisk } from "./group-disk.ts";
import { GroupServices, isLedgerAlive } from "./group-services.ts";
import { callHeartbeat } from "./heartbeat-call.ts";
import { KeyringKeeper, type SecretState } from "./keyring-keeper.ts";
import { lineDrainOf } from "./line-drain.ts";
import { changeText, comingAndGoing, fencedText, heartbeatTexts } from "./log-text.ts";
import { type LoneExchange, LoneExchanges } from "./lone-exchanges.ts";
import { MapChanges, type Proposed } from "./map-changes.ts";
import { OwnObjects } from "./own-objects.ts";
import { RefusedSignatures } from "./refused-signatures.ts";
import { SheddingGateways } from "./shedding-gateways.ts";
import { SignatureNews } from "./signature-news.ts";
import { VersionRefusals } from "./version-refusals.ts";

/** What a core group says of itself and its members. */
export type CoreGroupStatus = GroupStatus & {
  /** The latest changes of the view, the newest last. */
  readonly history: readonly Change[];
  /** Of new requests, those that gateways refuse because all is late, from 0 to 1; by gateway. */
  readonly shedding: Readonly<Record<string, number>>;
  /** What gateways have said of themselves, by gateway. */
  readonly tallies: Readonly<Record<string, GatewayTally>>;
};

/** What a core group knows of its cell that a summary of it says (`CellSummary`). */
type OwnShare = {
  /** Since the group started. */
  readonly signaturesRefused: number;
  readonly softphonesLeft: number | undefined;
  readonly isDiskFull?: true;
  readonly lone: readonly LoneExchange[];
  readonly left: readonly number[];
  readonly state?: MemberState;
  readonly unheardBy?: readonly string[];
};

/** What became of the wish to take a cell out of service. `last`: no other cell is up. `unreplicated`: no other has what this one has. */
export type Draining = "done" | "last" | "unreplicated";

/**
 * The object of this cell's core group: it gives {@link CoreGroupActor} control sockets, calls to cells and exchanges, a disk, and a tick
 * every period (beat-waker.ts).
 *
 * Whatever wakes the object starts it: an alarm that it left on disk, a heartbeat, a gateway, or wake(). Alarms may be lost, so every
 * event looks whether one is overdue.
 */
export class CoreGroupObject extends DurableObject<Environment> {
  readonly #disk: GroupDisk;
  readonly #room: DiskRoom;
  readonly #sockets: ControlSockets;
  readonly #group: CoreGroupActor;
  readonly #changes: MapChanges;
  readonly #lineDrain: LineDrain;
  readonly #lone: LoneExchanges;
  readonly #gatewayNames = new GatewayNames();
  readonly #signatureNews: SignatureNews;
  readonly #timers = objectTimers();
  readonly #waker: BeatWaker;
  #isFullSaid = false;
  readonly #objects: OwnObjects;
  readonly #usedSignatures = new UsedSignatures();
  readonly #refusedSignatures = new RefusedSignatures();
  readonly #versionRefusals = new VersionRefusals();
  readonly #shedding = new SheddingGateways();
  readonly #services: GroupServices;
  readonly #keyring: KeyringKeeper;
  readonly #hosts = new HostReports();

  constructor(ctx: DurableObjectState, shared: Environment) {
    const env = environmentOfObject(shared);
    super(ctx, env);
    const deployed = deployedMapOf(env);
    this.#disk = new GroupDisk(ctx.storage);
    const { map: kept, fault } = this.#disk.readMap(deployed);
    // Before anything else of this cell works from the map that was deployed.
    learnMap(env, mapAtStart(deployed, kept));
    this.#objects = new OwnObjects(env);
    this.#room = new DiskRoom(env.DISK, coreGroupName, this.#timers.clock.now, roomReserveOctets + this.#objects.count * wakeReserveOctets);
    if (fault !== undefined) {
      console.error(`cell ${env.CELL}: the map on its disk is set aside, and the one that was deployed counts: ${fault}`);
      this.#room.write(mapOctets, () => this.#disk.setMapAside());
    }
    this.#waker = new BeatWaker({
      storage: ctx.storage,
      room: this.#room,
      clock: this.#timers.clock,
      timer: this.#timers.timer,
      isOwnDisk: env.DISK !== undefined,
      rang: () => void this.#timerRang(),
      roomTold: (isRoom) => {
        this.#tellRoom();
        if (!isRoom) this.#group.arm();
      },
    });
    this.#sockets = new ControlSockets(ctx);
    this.#lineDrain = lineDrainOf(env, this.#map.lineCount, this.#timers);
    this.#lone = new LoneExchanges(env.CELL);
    this.#services = new GroupServices(env.CELL);
    this.#keyring = new KeyringKeeper(env, ctx.storage, this.#room, this.#map);
    this.#signatureNews = new SignatureNews(env.CELL);
    this.#group = new CoreGroupActor(
      {
        cell: env.CELL,
        boot: crypto.randomUUID(),
        deployed,
        kept,
        epoch: this.#disk.readEpoch(),
        gateways: this.#disk.readGateways(),
        isDraining: this.#disk.readDraining(),
        left: this.#disk.readLeft(),
      },
      this.#ports(),
    );
    this.#changes = new MapChanges(this.#group);
    this.#timers.clock.countAtMost(countedMsMax(this.#group.settings.heartbeat));
    this.#tick();
    if (env.DISK !== undefined) this.#objects.open(this.#timers.clock.now());
  }

  #ports(): CoreGroupPorts {
    const { CELL } = this.env;
    return {
      now: this.#timers.clock.now,
      wallAt: this.#timers.clock.wallAt,
      heard: () => this.#sockets.heard(),
      arm: (nextTick, nextDeadline, now) => this.#waker.arm(nextTick, nextDeadline, now),
      beat: (beat, late, over) => void this.#beat(beat, late).then(over),
      keepView: (view, changes) => {
        this.#room.write(viewOctets, () => this.#disk.writeView(view, changes));
        for (const change of changes) console.log(changeText(CELL, change));
        this.#keyring.meet(this.#map, changes);
      },
      keepMap: (map, before) => {
        learnMap(this.env, map);
        this.#timers.clock.countAtMost(countedMsMax(map.heartbeat));
        this.#room.write(mapOctets, () => this.#disk.writeMap(map));
        for (const line of heartbeatTexts(before, map)) console.log(`cell ${CELL}: ${line}`);
        for (const line of comingAndGoing(CELL, before, map)) console.warn(`cell ${CELL}: ${line}`);
        this.#sockets.closeStrangers(map);
        // Back in the map it is in service.
        if (map.cells.every(({ id }) => id !== CELL)) this.#room.write(viewOctets, () => this.#disk.writeDraining(false));
      },
      keepLeft: (exchanges) => this.#room.write(viewOctets, () => this.#disk.writeLeft(exchanges)),
      sendToGateways: (message) => this.#sockets.send(message),
      tellExchange: (exchange, view, told) => void this.#tellExchange(exchange, view).then(told),
      drainLines: (mode) => this.#lineDrain.set(mode),
      singleton: (name, isOwner, since) => say(this.#services.set(name, isOwner, since)),
      askSingleton: (_name, answer) => void isLedgerAlive(this.env).then(answer),
      fenced: (isFenced, view) => console.warn(`cell ${CELL}: ${isFenced ? fencedText(view) : "no longer fenced"}`),
      untold: (exchange, { epoch }, reason) => {
        // It is told with the next beat, and nothing is wrong.
        if (!startsAnew(reason)) console.warn(`cell ${CELL}: exchange ${exchange} was not told of view ${epoch}: ${String(reason)}`);
      },
      mapRefused: (text) => say(`cell ${CELL}: ${text}`),
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
    if (boot !== undefined) this.#introduced(socket, boot, listenersOf(data));
  }

  #introduced(socket: WebSocket, boot: string, listeners: readonly Listener[]): void {
    this.#sockets.introduced(socket, listeners);
    const [gateway, now] = [this.#sockets.gatewayOf(socket), this.#timers.clock.now()];
    const lines = [this.#gatewayNames.hello(gateway, boot, now), this.#gatewayNames.listens(gateway, listeners, this.#map, now)];
    for (const line of lines) if (line !== undefined) say(`cell ${this.env.CELL}: ${line}`);
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
    this.#waker.alarmRang();
    // The end of this alarm is a write of the runtime's own: without room the reserve is given up for it.
    await this.#lookForRoom();
    this.#tick();
    await this.#waker.arming;
  }

  /** Starts the group when nothing else has: an object that nobody ever called has no alarm. */
  wake(): void {
    this.#group.wake();
  }

  /** A heartbeat of another cell. Returns the answer; undefined: it comes from a gateway. */
  heartbeat(heartbeat: Heartbeat): Heartbeat | undefined {
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
  viewFor(exchange: number, isSyncing: boolean): { readonly view: View; readonly map: ClusterMap; readonly isAlone: boolean } {
    return { view: this.#group.viewFor(exchange, isSyncing), map: this.#map, isAlone: this.#lone.has(exchange) };
  }

  /** Who collects call records, as this cell sees it; undefined: nobody. */
  collector(): Collector | undefined {
    return collectorOf(this.#group.map, this.#group.view);
  }

  /** An exchange of this cell has had no second replica for a while, and why; undefined: it has one again. */
  replicaIsAlone(exchange: number, cause: string | undefined): void {
    this.#lone.set(exchange, cause, this.#timers.clock.now());
    this.#group.replicaIsAlone(exchange, cause !== undefined);
  }

  /** See {@link MapChanges}: the caller asks the coordinator. */
  async changeGroup(change: Parameters<MapChanges["changeGroup"]>[0]): ReturnType<MapChanges["changeGroup"]> {
    return await this.#changes.changeGroup(change);
  }

  async propose(wanted: Parameters<MapChanges["propose"]>[0]): Promise<Proposed> {
    return await this.#changes.propose(wanted);
  }

  async fulfil(wish: Wish): ReturnType<MapChanges["fulfil"]> {
    return await this.#changes.fulfil(wish);
  }

  /** Where phones find each gateway that has a control socket here. */
  gatewayListeners(): Readonly<Record<string, readonly Listener[]>> {
    return this.#sockets.listeners();
  }

  /** What only cells have, as far as it is known here. `told`: what another cell has. Undefined: this system has no authority. */
  keyring(from?: string, told?: Keyring): Keyring | undefined {
    if (from !== undefined && told !== undefined) this.#keyring.take(this.#map, from, told);
    return this.#keyring.known;
  }

  /** What it is to change the secret, and who is waited for; undefined: this system has no authority. */
  secretState(): SecretState | undefined {
    return this.#keyring.state;
  }

  /** The operator wants another secret, which the caller has drawn. Returns why there is none. */
  changeSecret(secret: string): { readonly refused?: string } {
    return this.#keyring.change(this.#map, secret);
  }

  /** What hosts have reported to this cell. `report`: what one says now. */
  hostsReported(report?: HostReport): KnownHost[] {
    if (report !== undefined) this.#hosts.said(report, this.#timers.clock.now());
    return this.#hosts.all(this.#timers.clock.now());
  }

  /** A cell has been told all that an exchange of this cell has, to take the place of its peer. Undefined: none has, or not any more. */
  replicaIsCopied(exchange: number, cell: string | undefined): void {
    this.#group.replicaIsCopied(exchange, cell);
  }

  /** An exchange of this cell has nothing any more that belongs to younger ones, now that there are so many. */
  exchangeHasHandedOver(exchange: number, exchangeCount: number): void {
    this.#group.exchangeHasHandedOver(exchange, exchangeCount);
  }

  /** What a doubling of the exchanges waits for, as far as this cell knows. Undefined: they are not being doubled. */
  leftToHandOver(): GroupStatus["doubling"] {
    return this.#group.leftToHandOver;
  }

  /** An exchange that has no replica in this cell any more has nothing left here. */
  emptied(exchange: number): void {
    this.#group.emptied(exchange);
  }

  /** An exchange of this cell knows what its peer knows, or serves without. */
  caughtUp(exchange: number): void {
    this.#group.caughtUp(exchange);
  }

  /** The newest map that is known here. What tokens are signed with is known then as well. */
  async newestMap(): Promise<ClusterMap> {
    await this.#keyring.asked;
    return this.#map;
  }

  settings(): GroupSettings {
    return this.#group.settings;
  }

  async setHeartbeat(heartbeat: HeartbeatSettings): ReturnType<MapChanges["setHeartbeat"]> {
    return await this.#changes.setHeartbeat(heartbeat);
  }

  /** The operator takes this cell out of service, or back. Anything but `done`: why it stays in service. */
  setDraining(isDraining: boolean): Draining {
    if (isDraining && this.#map.cells.length > 1 && !isReplicated(this.#map)) return "unreplicated";
    const outcome = this.#group.setDraining(isDraining);
    if (outcome === "done") this.#room.write(viewOctets, () => this.#disk.writeDraining(isDraining));
    return outcome;
  }

  code(): string {
    return codeOf(this.env);
  }

  /** Uses a signature that is right (see signature.ts). False: it was used before. */
  useSignature(nonce: string, madeAt: number): boolean {
    return this.#usedSignatures.use(nonce, madeAt, Date.now());
  }

  /** Counts requests whose signatures were refused. */
  signaturesWereRefused(count: number): void {
    this.#refusedSignatures.add(count);
  }

  /** Somebody who calls itself `who` was refused because it speaks another version. A cell's own heartbeats say that of other cells. */
  otherVersionRefused(who: string, theirs: number): void {
    if (this.#map.cells.some(({ id }) => id === who) || !this.#versionRefusals.isNews(who, theirs, this.#timers.clock.now())) return;
    console.warn(`cell ${this.env.CELL}: refused: ${otherVersionText(who, theirs, `cell ${this.env.CELL}`)}`);
  }

  /** What this object knows of its cell that a status says. */
  ownShare(): OwnShare {
    const { state, unheardBy = [] } = this.#group.status().cells.find(({ id }) => id === this.env.CELL) ?? {};
    return {
      signaturesRefused: this.#refusedSignatures.count,
      softphonesLeft: this.#lineDrain.left,
      ...(this.#room.isFull ? { isDiskFull: true } : {}),
      lone: this.#lone.list(),
      left: this.#group.left,
      ...(state === undefined ? {} : { state }),
      ...(unheardBy.length === 0 ? {} : { unheardBy }),
    };
  }

  status(): CoreGroupStatus {
    const shedding = this.#shedding.shares(this.#timers.clock.now());
    return { ...this.#group.status(), history: this.#disk.readHistory(historyShownMax), shedding, tallies: this.#sockets.tallies() };
  }

  get #map(): ClusterMap {
    return clusterMapOf(this.env);
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
    this.#keyring.look(this.#map, this.#group.view, this.#timers.clock.now());
    say(this.#lone.line(this.#timers.clock.now()));
    say(this.#refusedSignatures.line(this.env.CELL, this.#timers.clock.now()));
  }

  async #beat({ to: cell, heartbeat, timeoutMs, lateMs }: Beat, late: () => void): Promise<BeatOutcome> {
    const outcome = await callHeartbeat(this.env, this.#map, cell, heartbeat, { timeoutMs, lateMs, late }, (cause) =>
      say(this.#signatureNews.refused(cell, cause)),
    );
    if (!("failure" in outcome)) say(this.#signatureNews.accepted(cell));
    return outcome;
  }

  async #tellExchange(exchange: number, view: View): Promise<{ readonly isServing: boolean } | Error> {
    try {
      const { isServing } = await exchangeObject(this.env, exchange).setView(view, this.#map);
      return { isServing };
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  }

  async #timerRang(): Promise<void> {
    if (this.#room.isFull) {
      await this.#lookForRoom();
      this.#objects.open(this.#timers.clock.now());
    }
    this.#tick();
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
    if (isFull) this.#objects.open(this.#timers.clock.now());
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

function say(line: string | undefined): void {
  if (line !== undefined) console.warn(line);
}
