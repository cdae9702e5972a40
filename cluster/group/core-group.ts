import { BeatTimes } from "./beat-times.ts";
import {
  answered,
  type CellMember,
  type Failure,
  learn,
  meetMembers,
  missed,
  readLate,
  refused,
  speaksOtherVersion,
  suspect,
  turn,
  type Turn,
} from "./cell-member.ts";
import { isCutOff } from "./cut-off.ts";
import { closed, deadlineOf, type GatewayMember, judge, merge, newGatewayMember, opened, reportOf } from "./gateway-member.ts";
import { GatewayMembers } from "./gateway-members.ts";
import type { ClusterMap } from "../map/cluster-map.ts";
import { mapVersionOf, mapVersionText } from "../map/map-version.ts";
import { mayBeGateway } from "../map/members.ts";
import { Coordinator, type LeftToHandOver, leftToHandOver, type SeenCell } from "./coordinator.ts";
import { type Heartbeat, versionIn } from "./heartbeat.ts";
import type { Effect, GroupOptions, GroupStatus, Spread } from "./group-effects.ts";
import { KnownMap, type MapChange } from "./known-map.ts";
import { statusOf } from "./group-status.ts";
import { OwnReport, saidOf } from "./own-report.ts";
import { OwnState } from "./own-state.ts";
import { Patience } from "./patience.ts";
import { SentBeats } from "./sent-beats.ts";
import { settingsOf } from "./settings.ts";
import { type Turning, type HeartbeatSettings, type MemberState, type SeenCause, type View, viewOf } from "./view.ts";
import type { SteadyMs } from "../../sip/time.ts";

/**
 * The core group of one cell: who is a member, who lives, and who is the coordinator. Event in, effects out: the shell tells what
 * happened and when, then takes the effects. Nobody votes: each cell has a view of its own, of what it can reach itself, and two sides of
 * a cut both go on.
 */
export class CoreGroup {
  readonly #cell: string;
  readonly #boot: string;
  readonly #known: KnownMap;
  readonly #others = new Map<string, CellMember>();
  readonly #gateways = new GatewayMembers();
  readonly #sent = new SentBeats();
  readonly #own: OwnState;
  #epoch: number;
  /** The highest that any cell has told of. */
  #epochSeen: number;
  #sequence = 0;
  #isFenced = false;
  readonly #coordinator: Coordinator;
  /** The coordinator, as this cell sees it. */
  #first = "";
  readonly #report = new OwnReport();
  readonly #times: BeatTimes;
  readonly #patience: Patience;
  /** When members were last judged, ms. */
  #concludedAt = Number.NEGATIVE_INFINITY;
  #changes: Omit<Turning, "epoch">[] = [];
  readonly #effects: Effect[] = [];

  /** The first heartbeats leave with the first tick, which is due at once. */
  constructor(options: GroupOptions, now: SteadyMs) {
    this.#cell = options.cell;
    this.#boot = options.boot;
    this.#known = new KnownMap(options.deployed, options.kept);
    this.#coordinator = new Coordinator(options.cell);
    this.#own = new OwnState(options.cell, options.isDraining ?? false);
    this.#epoch = options.epoch + 1;
    this.#epochSeen = this.#epoch;
    this.#times = new BeatTimes(now);
    this.#patience = new Patience(now);
    meetMembers(this.#others, this.map, this.#cell);
    for (const { id, state, hasLeft } of options.gateways) {
      this.#gateways.set(id, newGatewayMember(id, state, now, this.map.heartbeat, hasLeft));
    }
    this.#effects.push({ type: "view", view: this.view(), changes: [] });
  }

  takeEffects(): Effect[] {
    const text = this.#known.takeNews();
    if (text !== undefined) this.#effects.push({ type: "refused map", text });
    return this.#effects.splice(0);
  }

  /** When the next regular heartbeats are due, ms: the alarm. */
  get nextTick(): number {
    return this.#times.nextTick;
  }

  /** When to call tick() next, ms; at the latest {@link nextTick}. */
  nextDeadline(): number {
    let deadline = Math.min(this.#times.deadline, this.#own.joinedAt);
    const patience = this.#settings(this.#concludedAt);
    for (const gateway of this.#gateways.values()) {
      deadline = Math.min(deadline, deadlineOf(gateway, patience, this.#patience.graceFrom) ?? Number.POSITIVE_INFINITY);
    }
    return deadline;
  }

  /** A deadline has come (or may have). Tell what gateways were heard before. */
  tick(now: SteadyMs): void {
    this.#notice(now);
    const due = this.#times.take(this.map.heartbeat.periodMs, now);
    for (const member of this.#others.values()) {
      if (due === "regular" && !this.#isAtRest) this.#send(member, true, now);
      if (due === "news" && this.#isMember && member.state !== "down") this.#send(member, false, now);
    }
    this.#conclude(now);
  }

  /** A heartbeat was answered. */
  answered(sequence: number, heartbeat: Heartbeat, now: SteadyMs): void {
    const sent = this.#sent.get(sequence);
    const member = this.#others.get(heartbeat.cell);
    if (sent === undefined) return;
    // The URL of one cell leads to another: the map is wrong, and the cell that was meant has not answered.
    if (member === undefined || sent.to !== heartbeat.cell) return this.failed(sequence, "error", now);
    this.#sent.delete(sequence);
    this.#turn(member, answered(member, heartbeat, sent.told, now - sent.at, now), now);
    this.#heard(heartbeat, now);
    // This is the answer to a heartbeat that showed which map is known here.
    this.#hearMap(heartbeat, now);
    this.#conclude(now);
  }

  /**
   * A heartbeat was not answered in time: it is missed. An answer that comes all the same is one: a cell on a busy machine is late, and whoever has
   * died answers nothing any more.
   */
  late(sequence: number, now: SteadyMs): void {
    const sent = this.#sent.get(sequence);
    const member = sent === undefined ? undefined : this.#others.get(sent.to);
    if (sent === undefined || member === undefined || sent.isLate) return;
    sent.isLate = true;
    const { periodMs, missed: missedMax } = this.#settings(now);
    // The failure comes long after it was due: this group was frozen, and the other may have answered all the time.
    if (!sent.isRegular || now - sent.at > sent.timeoutMs + periodMs / 2) return;
    this.#turn(member, missed(member, "timeout", missedMax), now);
    this.#conclude(now);
  }

  /** A heartbeat was not answered. `text`: what is to be said of a cell that speaks another version, or of what came in place of its answer. */
  failed(sequence: number, failure: Failure, now: SteadyMs, text = ""): void {
    if (failure === "timeout") this.late(sequence, now);
    const sent = this.#sent.get(sequence);
    this.#sent.delete(sequence);
    const member = sent === undefined ? undefined : this.#others.get(sent.to);
    if (sent === undefined || member === undefined) return;
    member.hindrance = text;
    if (failure === "timeout") return;
    const confirmed = failure === "refused" ? refused(member) : undefined;
    if (typeof confirmed === "object") this.#turn(member, confirmed, now);
    else if (failure === "slow") readLate(member);
    else if (failure === "another version") this.#turn(member, speaksOtherVersion(member, text), now);
    else if (sent.isRegular && !sent.isLate) this.#turn(member, missed(member, failure, this.#settings(now).missed), now);
    if (confirmed === "probe") this.#send(member, false, now);
    this.#conclude(now);
  }

  /**
   * A gateway says that it refuses new requests because all is late. Members that are silent meanwhile may only be slow, and what they do would be given to
   * others that have as much to do.
   */
  overloaded(now: SteadyMs): void {
    this.#patience.overloaded(now);
  }

  /** Whether it is the name of a gateway, and of no cell: what is for cells is not for it. */
  isGateway(id: string): boolean {
    return this.#gateways.has(id) && id !== this.#cell && !this.#others.has(id);
  }

  /** Another cell's heartbeat came. Returns what to answer. */
  received(heartbeat: Heartbeat, now: SteadyMs): Heartbeat {
    const member = this.#others.get(heartbeat.cell);
    if (member !== undefined) {
      this.#turn(member, learn(member, heartbeat, now, false), now);
      this.#heard(heartbeat, now);
      const hasNewerMap = this.#hearMap(heartbeat, now);
      // It lives, so whether it can be reached as well is worth a question.
      if (hasNewerMap || member.state === "down" || !member.isKnown || member.suspicion !== undefined) this.#probe(member, now);
    } else this.#receivedFromFormer(heartbeat, now);
    this.#conclude(now);
    return this.#heartbeat(member, versionIn(heartbeat));
  }

  /** A cell that was removed is told so with the answer, by a map that is newer than its own. Where its own is the newest, ours is written anew. */
  #receivedFromFormer(heartbeat: Heartbeat, now: SteadyMs): void {
    if (this.#known.meetsFormer(heartbeat) && this.#first === this.#cell && this.#isMember) this.#write({}, now);
  }

  /** Somebody saw the end of a cell, or of a connection to it: a gateway, or an exchange of this cell. A probe will show what it means. */
  suspect(cell: string, seen: SeenCause, now: SteadyMs): void {
    const member = this.#others.get(cell);
    if (member !== undefined && suspect(member, seen)) this.#probe(member, now);
  }

  gatewayOpened(id: string, now: SteadyMs): void {
    opened(this.#gateway(id, now), now);
    this.#conclude(now);
  }

  /** Its last control socket has closed. `hasLeft`: it said that it ends (1001). */
  gatewayClosed(id: string, now: SteadyMs, hasLeft = false): void {
    closed(this.#gateway(id, now), now, hasLeft);
    this.#conclude(now);
  }

  /** When its ping came last, ms. Judged with the next tick. */
  gatewayHeard(id: string, at: SteadyMs): void {
    const gateway = this.#gateways.get(id);
    if (gateway !== undefined) gateway.heardAt = Math.max(gateway.heardAt ?? at, at);
  }

  /** The newest map that is known here. */
  get map(): ClusterMap {
    return this.#known.map;
  }

  /** Whether the map has this cell. One that was removed says nothing as a member, and decides nothing. */
  get #isMember(): boolean {
    return this.map.cells.some(({ id }) => id === this.#cell);
  }

  /** A cell that was removed asks on until it has handed over all that it had: to whom may change. Then it rests, until somebody gives it another map. */
  get #isAtRest(): boolean {
    return !this.#isMember && !this.#report.hasLeft;
  }

  /** Exchanges have something left in this cell of replicas that it has no more, or none has. */
  setLeft(hasLeft: boolean): void {
    this.#report.hasLeft = hasLeft;
  }

  /** Writes a new version of the map: in force at once here, and with the news everywhere. One cell writes for all, the coordinator. */
  changeMap(change: MapChange, now: SteadyMs): void {
    this.#write(change, now);
    this.#conclude(now);
  }

  /** As other cells have last said. Those count for nothing that have never said anything, or are of a release whose maps do not change. */
  get spread(): Spread {
    const version = mapVersionText(mapVersionOf(this.map));
    const others = [...this.#others.values()].filter(
      ({ state, heardAt, isEarlier }) => state !== "down" && heardAt !== undefined && !isEarlier,
    );
    const known = others.filter(({ mapVersion }) => mapVersion !== undefined && mapVersionText(mapVersion) === version);
    if (known.length === others.length) return "all";
    return known.length > 0 ? "some" : "none";
  }

  /** An exchange of this cell has had no second memory for a while, or has one again. */
  replicaIsAlone(exchange: number, isAlone: boolean): void {
    this.#report.setSingle(exchange, isAlone);
  }

  /** A cell has been told all that an exchange of this cell has, to take the place of its peer. Undefined: none has, or not any more. */
  replicaIsCopied(exchange: number, cell: string | undefined, now: SteadyMs): void {
    this.#reported(this.#report.setCopied(exchange, cell), now);
  }

  /** An exchange of this cell has nothing any more that belongs to younger ones, now that there are so many. */
  exchangeHasHandedOver(exchange: number, exchangeCount: number, now: SteadyMs): void {
    this.#reported(this.#report.addHandedOver(exchange, exchangeCount, this.map), now);
  }

  /** See {@link leftToHandOver}: as far as is known here. */
  get leftToHandOver(): LeftToHandOver | undefined {
    return leftToHandOver(this.map, this.#seenCells, this.#cell);
  }

  get unfit(): readonly string[] {
    return this.#report.all.unfit;
  }

  /** A service of the group can be done in this cell, or cannot. */
  serviceIsFit(name: string, isFit: boolean, now: SteadyMs): void {
    this.#reported(this.#report.setFit(name, isFit), now);
  }

  /** See {@link OwnState.setDraining}. `last`: no other cell is up, so this one stays in service. */
  setDraining(isDraining: boolean, now: SteadyMs): "done" | "last" {
    if (!this.#own.setDraining(isDraining, this.#others)) return "last";
    this.#conclude(now);
    return "done";
  }

  /** See {@link OwnState.catchingUp}. */
  catchingUp(exchange: number): void {
    this.#own.catchingUp(exchange);
  }

  /** See {@link OwnState.caughtUp}. */
  caughtUp(exchange: number, now: SteadyMs): void {
    if (this.#own.caughtUp(exchange)) this.#conclude(now);
  }

  view(): View {
    const cells = this.map.cells.map(({ id }) => ({ id, state: this.#stateOf(id) }));
    const own = { cell: this.#cell, epoch: this.#epoch, isFenced: this.#isFenced };
    return { ...own, ...viewOf(own.cell, cells, [...this.#gateways.values()], this.map) };
  }

  status(now: SteadyMs): GroupStatus {
    return { ...statusOf(this.view(), this.map, this.#others, this.#gateways, now), doubling: this.leftToHandOver };
  }

  #stateOf(cell: string): MemberState {
    return cell === this.#cell ? this.#own.state : (this.#others.get(cell)?.state ?? "down");
  }

  /** With the map for one that has an older one. */
  #heartbeat(to: CellMember | undefined, version = to?.mapVersion): Heartbeat {
    this.#sequence += 1;
    const map = this.#known.newsFor(to?.mapVersion ?? version);
    const gateways = [...this.#gateways.values()].flatMap(reportOf);
    const hears = [...this.#others.values()].flatMap(({ id, state, heardAt }) => (state === "down" || heardAt === undefined ? [] : [id]));
    return {
      cell: this.#cell,
      boot: this.#boot,
      sequence: this.#sequence,
      state: this.#own.state,
      epoch: this.#epoch,
      gateways,
      settings: settingsOf(this.map),
      writer: this.map.writer ?? "",
      ...(map === undefined ? {} : { map }),
      ...(this.map.revokedBeside === undefined ? {} : { revoked: this.map.revokedBeside }),
      ...saidOf({ hears, ...this.#report.all, fences: this.#known.fences() }),
    };
  }

  #send(member: CellMember, isRegular: boolean, now: SteadyMs): void {
    const heartbeat = this.#heartbeat(member);
    // Less than the period: the last of those that have to be missed is known to be before the next would leave.
    const { periodMs, missed: missedMax } = this.#settings(now);
    const timeoutMs = Math.ceil(periodMs * 0.75);
    const { sequence, state } = heartbeat;
    this.#sent.set(sequence, { to: member.id, told: { sequence, state }, at: now, timeoutMs, isRegular, isLate: false });
    this.#effects.push({ type: "heartbeat", to: member.id, timeoutMs, lateMs: periodMs * missedMax, heartbeat });
  }

  /** A heartbeat out of turn, unless one is under way that will show the same. */
  #probe(member: CellMember, now: SteadyMs): void {
    if (!this.#sent.isProbed(member.id, now)) this.#send(member, false, now);
  }

  #heard(heartbeat: Heartbeat, now: SteadyMs): void {
    this.#epochSeen = Math.max(this.#epochSeen, heartbeat.epoch);
    // One that has left, and that nobody here knows, is no news.
    for (const { id, isUp, hasLeft } of heartbeat.gateways) if (isUp || hasLeft !== true) this.#gateway(id, now);
  }

  /** True: it has a newer map, and has not said what that is. It does to one who shows that he has an older one. */
  #hearMap(heartbeat: Heartbeat, now: SteadyMs): boolean {
    const before = this.map;
    const isRevokedNews = this.#known.hearRevoked(heartbeat);
    const what = this.#known.hear(heartbeat);
    if (what === "newer") {
      // Whoever wrote it brings it to all that it reaches. The others will ask, or show that they lack it.
      for (const member of this.#others.values()) member.mapVersion = undefined;
      this.#mapChanged(before, now);
    } else if (isRevokedNews) this.#mapChanged(before, now);
    // What it has counts for nothing here, and keeps nobody from deciding.
    const member = this.#others.get(heartbeat.cell);
    if (what === "refused" && member !== undefined) member.mapVersion = undefined;
    return what === "to be asked";
  }

  /** How long members may be silent: longer while there is too much to do. */
  #settings(now: SteadyMs): HeartbeatSettings {
    return this.#patience.of(this.map.heartbeat, now);
  }

  #write(change: MapChange, now: SteadyMs): void {
    const before = this.map;
    const fault = this.#known.write(change, this.#cell);
    if (fault === undefined) this.#mapChanged(before, now);
    else this.#effects.push({ type: "refused map", text: fault });
  }

  #mapChanged(before: ClusterMap, now: SteadyMs): void {
    const { map } = this;
    this.#report.mapChanged(before, map, this.#cell);
    meetMembers(this.#others, this.map, this.#cell);
    if (!this.#isMember) this.#own.wasRemoved();
    this.#first = this.view().coordinator;
    // The others still beat as before.
    const { periodMs, missed: missedMax } = before.heartbeat;
    if (map.heartbeat.periodMs !== periodMs || map.heartbeat.missed !== missedMax) this.#patience.beginAnew(now);
    this.#times.setPeriod(map.heartbeat.periodMs, now);
    this.#effects.push({ type: "map", map, before, view: this.view() });
    this.#times.hasNews(now);
  }

  #reported(isNews: boolean, now: SteadyMs): void {
    if (!isNews) return;
    this.#times.hasNews(now);
    this.#conclude(now);
  }

  #gateway(id: string, now: SteadyMs): GatewayMember {
    return this.#gateways.known(id, now, this.map.heartbeat);
  }

  #turn(member: CellMember, wanted: Turn | undefined, now: SteadyMs): void {
    if (wanted === undefined) return;
    this.#changes.push({ kind: "cell", id: member.id, from: member.state, ...wanted });
    turn(member, wanted.to, now);
    // The coordinator wants to know who is heard by nobody.
    const coordinator = this.#others.get(this.#first);
    if (wanted.to === "down" && coordinator !== undefined) this.#send(coordinator, false, now);
  }

  /** Whoever was frozen itself has heard nobody in that time, and must not take that for their silence. */
  #notice(now: SteadyMs): void {
    if (now - this.#times.nextTick > this.map.heartbeat.periodMs) this.#patience.beginAnew(now);
  }

  /** What follows from the event for gateways, for this cell itself, for view and fence. */
  #conclude(now: SteadyMs): void {
    this.#notice(now);
    this.#concludedAt = now;
    for (const gateway of this.#gateways.values()) {
      if (judge(gateway, this.#settings(now), this.#patience.graceFrom, now)) this.#times.hasNews(now);
      this.#merge(gateway, now);
    }
    this.#judgeSelf(now);
    if (this.#changes.length > 0) {
      this.#first = this.view().coordinator;
      this.#epoch = Math.max(this.#epoch, this.#epochSeen) + 1;
      this.#epochSeen = this.#epoch;
      const changes = this.#changes.map((change) => ({ ...change, epoch: this.#epoch }));
      this.#changes = [];
      this.#effects.push({ type: "view", view: this.view(), changes });
    }
    this.#judgeFence(now);
    this.#decide(now);
  }

  /** Writes what is to be written, where this cell is the one that decides. */
  #decide(now: SteadyMs): void {
    if (this.#first !== this.#cell || !this.#isMember) return;
    if (this.map.revokedBeside !== undefined) return this.#write({}, now);
    const cells = this.#seenCells;
    const next = this.#known.nextVersion(this.#cell);
    const change = this.#coordinator.decide(
      { map: this.map, next, cells, isFenced: this.#isFenced, graceFrom: this.#patience.graceFrom },
      now,
    );
    if (change !== undefined) this.#write(change, now);
  }

  get #seenCells(): SeenCell[] {
    return this.map.cells.map(({ id }) => this.#others.get(id) ?? this.#self);
  }

  get #self(): SeenCell {
    const said = { hears: [], ...this.#report.all, fences: this.#known.fences() };
    return { id: this.#cell, state: this.#own.state, said, downAt: undefined, heardAt: undefined, mapVersion: undefined, isEarlier: false };
  }

  #merge(gateway: GatewayMember, now: SteadyMs): void {
    const reports = [...this.#others.values()].flatMap(({ gateways }) => gateways.get(gateway.id) ?? []);
    const change = merge(gateway, reports, now);
    if (change !== undefined) this.#changes.push(change);
  }

  #judgeSelf(now: SteadyMs): void {
    this.#own.look(this.#others, now);
    const change = this.#isMember ? this.#own.judge(this.#others, now) : undefined;
    if (change === undefined) return;
    this.#changes.push(change);
    this.#times.hasNews(now);
  }

  #judgeFence(now: SteadyMs): void {
    const gateways = [...this.#gateways.values()].filter(({ id, isLeft }) => !isLeft && mayBeGateway(this.map, id));
    const isFenced = isCutOff([...this.#others.values()], gateways, now);
    if (isFenced === this.#isFenced) return;
    this.#isFenced = isFenced;
    this.#effects.push({ type: "fence", isFenced, view: this.view() });
  }
}
