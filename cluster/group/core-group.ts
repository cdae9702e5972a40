import { busyMachineFactor, joiningMsMax, overloadKnownMs } from "../limits.ts";
import {
  answered,
  type CellMember,
  type Failure,
  learn,
  missed,
  newCellMember,
  refused,
  speaksOtherVersion,
  suspect,
  turn,
  type Turn,
} from "./cell-member.ts";
import { areLost, closed, deadlineOf, type GatewayMember, judge, newGatewayMember, opened, pingsMissed } from "./gateway-member.ts";
import type { GatewayReport, Heartbeat } from "./heartbeat.ts";
import { type GroupSettings, nextVersion } from "./settings.ts";
import {
  type Cause,
  type Turning,
  coordinatorOf,
  type HeartbeatSettings,
  type MemberState,
  type MemberStatus,
  type SeenCause,
  type View,
} from "./view.ts";
import type { SteadyMs } from "../../sip/time.ts";

export type GroupOptions = {
  /** The cell whose core group this is. */
  readonly cell: string;
  /** Random, new with every start. */
  readonly boot: string;
  /** Every cell, in the map's order. */
  readonly cells: readonly string[];
  readonly settings: GroupSettings;
  /** The last epoch that was used here: the group goes on above it. */
  readonly epoch: number;
  /** Those known from before, as they were then. */
  readonly gateways: readonly { readonly id: string; readonly state: MemberState }[];
  /** The operator had taken this cell out of service, and not yet back. */
  readonly isDraining?: boolean;
};

/** What the shell has to do. */
export type Effect =
  /** Send a heartbeat; tell late() with its sequence when `timeoutMs` have passed, and answered() or failed(), `lateMs` after it left at the latest. */
  | {
      readonly type: "heartbeat";
      readonly to: string;
      readonly timeoutMs: number;
      readonly lateMs: number;
      readonly heartbeat: Heartbeat;
    }
  /** A new view. Keep its epoch, then tell gateways and exchanges. */
  | { readonly type: "view"; readonly view: View; readonly changes: readonly Turning[] }
  /** Other settings: keep them; they are a new version of the map for gateways, and part of the view for exchanges. */
  | { readonly type: "settings"; readonly settings: GroupSettings; readonly view: View }
  | { readonly type: "fence"; readonly isFenced: boolean; readonly view: View };

/** What a heartbeat under way is for: only regular ones count as missed, or a burst of news would make three of one lost second. */
type Sent = { readonly to: string; readonly at: SteadyMs; readonly timeoutMs: number; readonly isRegular: boolean; isLate: boolean };

/** What the whole group is right now, for people. */
export type GroupStatus = {
  readonly view: View;
  readonly cells: readonly (MemberStatus & { readonly epoch: number })[];
  readonly gateways: readonly MemberStatus[];
  readonly settings: GroupSettings;
};

/**
 * The core group of one cell: who is a member, who lives, and who is the coordinator. Event in, effects out: the shell tells what
 * happened and when, then takes the effects. Nobody votes: each cell has a view of its own, of what it can reach itself, and two sides of
 * a cut both go on.
 */
export class CoreGroup {
  readonly #cell: string;
  readonly #boot: string;
  readonly #order: readonly string[];
  readonly #others = new Map<string, CellMember>();
  readonly #gateways = new Map<string, GatewayMember>();
  readonly #sent = new Map<number, Sent>();
  #settings: GroupSettings;
  #state: Heartbeat["state"] = "joining";
  #epoch: number;
  /** The highest that any cell has told of. */
  #epochSeen: number;
  #sequence = 0;
  #isFenced = false;
  #isDraining: boolean;
  /** Exchanges of this cell that have started and do not have yet what their peers know. */
  readonly #catchingUp = new Set<number>();
  /** While this cell joins: since when it knows of every other one whether it lives, ms. */
  #joiningSince: SteadyMs | undefined;
  #nextTick: number;
  /** When news leave that do not wait for the next tick. */
  #newsAt: SteadyMs | undefined;
  #newsSentAt = Number.NEGATIVE_INFINITY;
  /** Silence before this is not held against anybody: this group was not there to hear. */
  #graceFrom: number;
  /** Members may be late until then, ms: see {@link overloaded}. */
  #overloadedUntil = Number.NEGATIVE_INFINITY;
  /** When members were last judged, ms. */
  #concludedAt = Number.NEGATIVE_INFINITY;
  #changes: Omit<Turning, "epoch">[] = [];
  #effects: Effect[] = [];

  /** The first heartbeats leave with the first tick, which is due at once. */
  constructor(options: GroupOptions, now: SteadyMs) {
    this.#cell = options.cell;
    this.#boot = options.boot;
    this.#order = options.cells;
    this.#settings = options.settings;
    this.#isDraining = options.isDraining ?? false;
    this.#epoch = options.epoch + 1;
    this.#epochSeen = this.#epoch;
    this.#nextTick = now;
    this.#graceFrom = now;
    for (const id of options.cells) if (id !== options.cell) this.#others.set(id, newCellMember(id));
    for (const { id, state } of options.gateways) {
      this.#gateways.set(id, newGatewayMember(id, state, now, options.settings.heartbeat));
    }
    this.#effects.push({ type: "view", view: this.view(), changes: [] });
  }

  takeEffects(): Effect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** When the next regular heartbeats are due, ms: the alarm. */
  get nextTick(): number {
    return this.#nextTick;
  }

  /** When to call tick() next, ms; at the latest {@link nextTick}. */
  nextDeadline(): number {
    let deadline = Math.min(this.#nextTick, this.#newsAt ?? Number.POSITIVE_INFINITY, this.#joinedAt);
    const patience = this.#patience(this.#concludedAt);
    for (const gateway of this.#gateways.values()) {
      deadline = Math.min(deadline, deadlineOf(gateway, patience, this.#graceFrom) ?? Number.POSITIVE_INFINITY);
    }
    return deadline;
  }

  /** A deadline has come (or may have). Tell what gateways were heard before. */
  tick(now: SteadyMs): void {
    const { periodMs } = this.#settings.heartbeat;
    this.#notice(now);
    if (now >= this.#nextTick) {
      this.#nextTick = this.#nextTick + periodMs > now ? this.#nextTick + periodMs : now + periodMs;
      this.#newsAt = undefined;
      for (const member of this.#others.values()) this.#send(member, true, now);
    } else if (this.#newsAt !== undefined && now >= this.#newsAt) {
      this.#newsAt = undefined;
      this.#newsSentAt = now;
      for (const member of this.#others.values()) if (member.state !== "down") this.#send(member, false, now);
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
    this.#turn(member, answered(member, heartbeat, now));
    this.#heard(heartbeat, now);
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
    const { periodMs, missed: missedMax } = this.#patience(now);
    // The failure comes long after it was due: this group was frozen, and the other may have answered all the time.
    if (!sent.isRegular || now - sent.at > sent.timeoutMs + periodMs / 2) return;
    this.#turn(member, missed(member, "timeout", missedMax));
    this.#conclude(now);
  }

  /** A heartbeat was not answered. `text`: what is to be said of a cell that speaks another version. */
  failed(sequence: number, failure: Failure, now: SteadyMs, text = ""): void {
    if (failure === "timeout") this.late(sequence, now);
    const sent = this.#sent.get(sequence);
    this.#sent.delete(sequence);
    const member = sent === undefined ? undefined : this.#others.get(sent.to);
    if (sent === undefined || member === undefined || failure === "timeout") return;
    const confirmed = failure === "refused" ? refused(member) : undefined;
    if (typeof confirmed === "object") this.#turn(member, confirmed);
    else if (failure === "another version") this.#turn(member, speaksOtherVersion(member, text));
    else if (sent.isRegular && !sent.isLate) this.#turn(member, missed(member, failure, this.#patience(now).missed));
    if (confirmed === "probe") this.#send(member, false, now);
    this.#conclude(now);
  }

  /**
   * A gateway says that it refuses new requests because all is late. Members that are silent meanwhile may only be slow, and what they do would be given to
   * others that have as much to do.
   */
  overloaded(now: SteadyMs): void {
    this.#overloadedUntil = now + overloadKnownMs;
  }

  /** Another cell's heartbeat came. Returns what to answer. */
  received(heartbeat: Heartbeat, now: SteadyMs): Heartbeat {
    const member = this.#others.get(heartbeat.cell);
    if (member !== undefined) {
      this.#turn(member, learn(member, heartbeat, now, false));
      this.#heard(heartbeat, now);
      // It lives, so whether it can be reached as well is worth a question.
      if (member.state === "down" || !member.isKnown || member.suspicion !== undefined) this.#probe(member, now);
    }
    this.#conclude(now);
    return this.#heartbeat();
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

  /** The operator changes the settings: at once here, and with the news everywhere. */
  setHeartbeat(heartbeat: HeartbeatSettings, now: SteadyMs): void {
    const version = nextVersion(this.#settings.version, this.#order.indexOf(this.#cell), this.#order.length);
    this.#adopt({ version, heartbeat }, now);
    this.#conclude(now);
  }

  /**
   * The operator takes this cell out of service, or back. `last`: no other cell is up, so it stays in service: nobody could take over what it has. If
   * the others die later, a cell that drains serves on.
   */
  setDraining(isDraining: boolean, now: SteadyMs): "done" | "last" {
    const isLast = [...this.#others.values()].every(({ state }) => state !== "up");
    if (isDraining && !this.#isDraining && isLast) return "last";
    this.#isDraining = isDraining;
    this.#conclude(now);
    return "done";
  }

  /** An exchange of this cell asks its peer what it has missed, or may do so. While this cell joins it waits for {@link caughtUp}. */
  catchingUp(exchange: number): void {
    if (this.#state === "joining") this.#catchingUp.add(exchange);
  }

  /** An exchange of this cell has what its peer knows, or has given up waiting for that. */
  caughtUp(exchange: number, now: SteadyMs): void {
    if (this.#catchingUp.delete(exchange)) this.#conclude(now);
  }

  view(): View {
    const cells = this.#order.map((id) => ({ id, state: this.#stateOf(id) }));
    const gateways = [...this.#gateways.values()].map(({ id, state, isGone }) => ({ id, state, isGone }));
    return {
      cell: this.#cell,
      epoch: this.#epoch,
      coordinator: coordinatorOf(cells, this.#cell),
      cells,
      gateways: gateways.toSorted((left, right) => (left.id < right.id ? -1 : 1)),
      heartbeat: this.#settings.heartbeat,
      isFenced: this.#isFenced,
    };
  }

  status(now: SteadyMs): GroupStatus {
    const view = this.view();
    const heardMsOf = (heardAt: SteadyMs | undefined): number | undefined =>
      heardAt === undefined ? undefined : Math.max(0, now - heardAt);
    return {
      view,
      settings: this.#settings,
      cells: view.cells.map(({ id, state }) => {
        const other = this.#others.get(id);
        if (other === undefined) return { id, state, epoch: this.#epoch, heardMs: 0, missed: 0, suspicion: undefined };
        const { epoch, missed: missedInRow, suspicion } = other;
        return { id, state, epoch, heardMs: heardMsOf(other.heardAt), missed: missedInRow, suspicion };
      }),
      gateways: view.gateways.map(({ id, state }) => {
        const gateway = this.#gateway(id, now);
        const missedInRow = pingsMissed(gateway, this.#settings.heartbeat, now);
        return { id, state, heardMs: heardMsOf(gateway.heardAt), missed: missedInRow, suspicion: gateway.suspicion };
      }),
    };
  }

  #stateOf(cell: string): MemberState {
    return cell === this.#cell ? this.#state : (this.#others.get(cell)?.state ?? "down");
  }

  #heartbeat(): Heartbeat {
    this.#sequence += 1;
    const gateways = [...this.#gateways.values()].flatMap(({ id, isUp, cause }) => (isUp === undefined ? [] : [{ id, isUp, cause }]));
    return {
      cell: this.#cell,
      boot: this.#boot,
      sequence: this.#sequence,
      state: this.#state,
      epoch: this.#epoch,
      gateways,
      settings: this.#settings,
    };
  }

  #send(member: CellMember, isRegular: boolean, now: SteadyMs): void {
    const heartbeat = this.#heartbeat();
    // Less than the period: the last of those that have to be missed is known to be before the next would leave.
    const { periodMs, missed: missedMax } = this.#patience(now);
    const timeoutMs = Math.ceil(periodMs * 0.75);
    this.#sent.set(heartbeat.sequence, { to: member.id, at: now, timeoutMs, isRegular, isLate: false });
    this.#effects.push({ type: "heartbeat", to: member.id, timeoutMs, lateMs: periodMs * missedMax, heartbeat });
  }

  /** A heartbeat out of turn, unless one is under way that will show the same. */
  #probe(member: CellMember, now: SteadyMs): void {
    const isFresh = [...this.#sent.values()].some(({ to, at, isRegular }) => to === member.id && !isRegular && now - at < probeSpacingMs);
    if (!isFresh) this.#send(member, false, now);
  }

  #heard(heartbeat: Heartbeat, now: SteadyMs): void {
    this.#epochSeen = Math.max(this.#epochSeen, heartbeat.epoch);
    if (heartbeat.settings.version > this.#settings.version) this.#adopt(heartbeat.settings, now);
    for (const { id } of heartbeat.gateways) this.#gateway(id, now);
  }

  /** How long members may be silent: longer while there is too much to do. */
  #patience(now: SteadyMs): HeartbeatSettings {
    const { heartbeat } = this.#settings;
    return now < this.#overloadedUntil ? { ...heartbeat, missed: heartbeat.missed * busyMachineFactor } : heartbeat;
  }

  #adopt(settings: GroupSettings, now: SteadyMs): void {
    this.#settings = settings;
    // The others still beat as before.
    this.#graceFrom = now;
    this.#nextTick = Math.min(this.#nextTick, now + settings.heartbeat.periodMs);
    this.#effects.push({ type: "settings", settings, view: this.view() });
    this.#hasNews(now);
  }

  /** News leave at once, but many at a time when they come thick. */
  #hasNews(now: SteadyMs): void {
    this.#newsAt ??= Math.max(now, this.#newsSentAt + newsSpacingMs);
  }

  #gateway(id: string, now: SteadyMs): GatewayMember {
    const known = this.#gateways.get(id);
    if (known !== undefined) return known;
    if (this.#gateways.size >= gatewaysMax) this.#forgetOne();
    const fresh = newGatewayMember(id, "joining", now, this.#settings.heartbeat);
    this.#gateways.set(id, fresh);
    return fresh;
  }

  /** Of those that are gone, the one that was known first. */
  #forgetOne(): void {
    for (const [id, { state }] of this.#gateways) {
      if (state !== "down") continue;
      this.#gateways.delete(id);
      return;
    }
  }

  #turn(member: CellMember, wanted: Turn | undefined): void {
    if (wanted === undefined) return;
    this.#changes.push({ kind: "cell", id: member.id, from: member.state, ...wanted });
    turn(member, wanted.to);
  }

  /** Whoever was frozen itself has heard nobody in that time, and must not take that for their silence. */
  #notice(now: SteadyMs): void {
    if (now - this.#nextTick > this.#settings.heartbeat.periodMs) this.#graceFrom = now;
  }

  /** What follows from the event for gateways, for this cell itself, for view and fence. */
  #conclude(now: SteadyMs): void {
    this.#notice(now);
    this.#concludedAt = now;
    for (const gateway of this.#gateways.values()) {
      if (judge(gateway, this.#patience(now), this.#graceFrom, now)) this.#hasNews(now);
      this.#merge(gateway, now);
    }
    this.#judgeSelf(now);
    if (this.#changes.length > 0) {
      this.#epoch = Math.max(this.#epoch, this.#epochSeen) + 1;
      this.#epochSeen = this.#epoch;
      const changes = this.#changes.map((change) => ({ ...change, epoch: this.#epoch }));
      this.#changes = [];
      this.#effects.push({ type: "view", view: this.view(), changes });
    }
    this.#judgeFence(now);
  }

  /** A gateway is as well as the cell that sees it best says: one that has lost its way to one cell still serves. */
  #merge(gateway: GatewayMember, now: SteadyMs): void {
    const reports: GatewayReport[] = [];
    for (const { gateways } of this.#others.values()) {
      const report = gateways.get(gateway.id);
      if (report !== undefined) reports.push(report);
    }
    const isKnown = gateway.isUp !== undefined || reports.length > 0;
    if (!isKnown && gateway.state !== "down") return;
    const isUp = gateway.isUp === true || reports.some((report) => report.isUp);
    if (isUp) gateway.wasUp = true;
    if (isUp === (gateway.state === "up") && gateway.state !== "joining") return;
    const to = isUp ? "up" : "down";
    if (gateway.state === to) return;
    const cause = isUp ? (gateway.state === "down" ? "returned" : "joined") : causeOfLoss(gateway, reports);
    this.#changes.push({ kind: "gateway", id: gateway.id, from: gateway.state, to, cause, detail: "" });
    gateway.state = to;
    gateway.downAt = now;
    const seen = gateway.isUp === undefined ? reports : [gateway, ...reports];
    gateway.isGone = !isUp && seen.every((each) => each.cause === "closed socket");
  }

  /**
   * A cell joins until it knows of every other one whether it lives. Those of its exchanges that run must have caught up with their peers, too. One
   * that nobody has woken catches up when somebody does: nothing is woken for this.
   */
  #judgeSelf(now: SteadyMs): void {
    if (this.#state === "joining" && [...this.#others.values()].every(({ isKnown }) => isKnown)) this.#joiningSince ??= now;
    const isJoining = this.#state === "joining" && this.#others.size > 0 && now < this.#joinedAt;
    const to = isJoining ? "joining" : this.#isDraining ? "draining" : "up";
    if (to === this.#state) return;
    if (this.#state === "joining") this.#catchingUp.clear();
    const cause = to === "draining" ? "drained" : this.#state === "draining" ? "returned" : "ready";
    this.#changes.push({ kind: "cell", id: this.#cell, from: this.#state, to, cause, detail: "" });
    this.#state = to;
    this.#hasNews(now);
  }

  /** When this cell has joined, as it looks now: those exchanges count that have heard of the others, which takes one more turn. */
  get #joinedAt(): number {
    if (this.#state !== "joining" || this.#joiningSince === undefined) return Number.POSITIVE_INFINITY;
    return this.#joiningSince + (this.#catchingUp.size === 0 ? 1 : joiningMsMax);
  }

  #judgeFence(now: SteadyMs): void {
    const others = [...this.#others.values()];
    const gateways = [...this.#gateways.values()];
    const isAlone = others.length > 0 && others.every(({ state }) => state === "down");
    const reachesNone = gateways.length > 0 && gateways.every(({ isUp }) => isUp === false);
    const isFenced = isAlone ? reachesNone : others.length > 0 && areLost(gateways, now);
    if (isFenced === this.#isFenced) return;
    this.#isFenced = isFenced;
    this.#effects.push({ type: "fence", isFenced, view: this.view() });
  }
}

/** Gateways that are remembered: above it, those that are down make room. */
export const gatewaysMax = 1_000;
/** News may be this much later than what they tell. So a cell that loses a hundred gateways at once says it in a few heartbeats. */
const newsSpacingMs = 50;
/** A probe that left so recently will answer the same question. */
const probeSpacingMs = 50;

function causeOfLoss(gateway: GatewayMember, reports: readonly GatewayReport[]): Cause {
  return gateway.isUp === false ? gateway.cause : (reports[0]?.cause ?? "missed heartbeats");
}
