import { busyMachineFactor, busyMachineMs, backhaulLateMs } from "../limits.ts";
import { type FrameError, type FrameRecord, RecordKind, recordOctets } from "./frame.ts";
import { isCarriable } from "./backhaul.ts";
import { isServingRecord, newRoute, newSide, takeoverRecord, type Carried, type Route, type Side } from "./replica-side.ts";
import { isDatagram, isSameRecord, UnderWay } from "./under-way.ts";
import type { ReplicaWaysLimits } from "./replica-ways-limits.ts";
import type { SteadyMs } from "../../sip/time.ts";

/**
 * A gateway's backhauls to the replicas of one exchange. The machine decides which of them a message goes to, what moves to the other when one is
 * lost, and when it moves back. No clock and no socket: connections are reported to it, frames and orders are taken from it.
 *
 * A record is in one place at a time: in one of the two backhauls, or held here. What a lost backhaul had not got acknowledged is taken from it and
 * goes to the other, in the order in which it came. A `takeover` goes before it, which has the other replica adopt the calls of the lost one. So a
 * record reaches the replicas together at least once, and each connection at most once.
 *
 * Going back to a replica that is well again, or away from one that drains, is no hurry. What the other has been given is waited for first, so that a
 * CANCEL never overtakes its INVITE by another way.
 */
export class ReplicaWays {
  readonly #hello: FrameRecord;
  readonly #limits: ReplicaWaysLimits;
  #heartbeat: Heartbeat;
  /** The primary first. */
  #sides: Side[] = [];
  /** By arrival. */
  #held: Carried[] = [];
  #heldOctets = 0;
  /** Nothing that is held is held for longer than since then, ms. */
  #heldSince = 0;
  #arrivals = 0;
  /** The way of messages that prefer the primary, of those that prefer the other, and of those that name the primary while it drains. */
  readonly #routes: readonly [Route, Route, Route] = [newRoute(), newRoute(), newRoute()];
  /** Cells that are out of service: they finish what they have. */
  #draining: ReadonlySet<string> = new Set();
  /** A replica that the map took away may have left calls behind. */
  #isLeft = false;
  /** Since when no replica can be used, ms; undefined while one can. */
  #uselessSince: SteadyMs | undefined;
  /** Answers are waited for from here at the earliest, ms: before, this process itself stood still. */
  #awakeSince = Number.NEGATIVE_INFINITY;
  /** There is too much to do: silence tells less. */
  isOverloaded = false;
  #effects: ReplicaWaysEffect[] = [];

  /** `cells`: the primary, and the other one unless there is only one. */
  constructor(cells: readonly string[], options: ReplicaWaysOptions, now: SteadyMs) {
    this.#hello = options.hello;
    this.#limits = options.limits;
    this.#heartbeat = options.heartbeat;
    this.#uselessSince = now;
    this.setCells(cells, now);
  }

  /** Octets of records that wait, are held or are unacknowledged. */
  get octetsHeld(): number {
    let octets = this.#heldOctets;
    for (const { backhaul } of this.#sides) octets += backhaul.octetsHeld;
    return octets;
  }

  /** True when a message would be sent now. */
  get isUsable(): boolean {
    return this.#uselessSince === undefined;
  }

  /** The cell that messages with this preference go to; undefined: they are held. */
  routeOf(cell?: string): string | undefined {
    return this.#routeOf(cell).side?.cell;
  }

  /** How long what is new waits to be read where it goes: see {@link Backhaul.takeWaitingMs}. Undefined too: nobody can be used. */
  takeWaitingMs(heardAt: (cell: string) => SteadyMs): number | undefined {
    const { side } = this.#routes[0];
    return side?.backhaul.takeWaitingMs(heardAt(side.cell));
  }

  setHeartbeat(heartbeat: Heartbeat, now: SteadyMs): void {
    this.#heartbeat = heartbeat;
    this.#review(now);
  }

  /**
   * Cells that the operator takes out of service: what prefers none goes to the other replica, if that is not one of them too. Each way keeps its
   * order. What names the primary changes its way by this, and can be overtaken once if that replica is lost at the same time.
   */
  setDraining(cells: ReadonlySet<string>, now: SteadyMs): void {
    this.#draining = cells;
    this.#review(now);
  }

  /** A new map: backhauls of cells that stay are not touched; what a removed one had not delivered goes to the others. */
  setCells(cells: readonly string[], now: SteadyMs): void {
    const present = this.#sides;
    this.#sides = cells.map((cell) => present.find((side) => side.cell === cell) ?? newSide(cell));
    for (const side of present) {
      if (this.#sides.includes(side)) continue;
      if (side.calls !== "adopted") this.#isLeft = true;
      this.#takeBack(side, now);
    }
    this.#review(now);
  }

  /** A connection to this cell's replica was made. */
  opened(cell: string, now: SteadyMs): void {
    const side = this.#sideOf(cell);
    if (side === undefined) return;
    if (side.isConnected) this.lost(cell, now);
    side.isConnected = true;
    side.openedAt = now;
    for (const octets of side.backhaul.connect(this.#hello, now)) this.#effects.push({ type: "frame", cell, octets });
    this.#review(now);
  }

  /** The connection is gone, or could not be made. The caller has seen to it that nothing more leaves on it. `isSilent`: it was given up for silence. */
  lost(cell: string, now: SteadyMs, isSilent = false): void {
    const side = this.#sideOf(cell);
    if (side === undefined) return;
    if (isSilent) side.silentAt = now;
    if (side.calls === "own") side.calls = "orphaned";
    this.#takeBack(side, now);
    this.#review(now);
  }

  /** A frame of this cell's replica: its records, without those that are for this machine itself. After an error close the connection. */
  receive(cell: string, octets: Uint8Array, now: SteadyMs): readonly FrameRecord[] | FrameError {
    const side = this.#sideOf(cell);
    if (side === undefined || !side.isConnected) return [];
    const records = side.backhaul.receive(octets, now);
    if ("frameError" in records) return records;
    for (const route of this.#routes) if (route.last === side && side.backhaul.settled >= route.mark) route.drainedAt ??= now;
    for (const { kind, key, octets: content } of records)
      if (kind === RecordKind.send) for (const each of this.#sides) each.owed.answered(key, content);
    if (side.underWay !== undefined && side.backhaul.unansweredSince === undefined) side.underWay = undefined;
    if (!records.some(isServingRecord)) return records;
    for (const record of records) if (isServingRecord(record)) side.saysServing = record.key === "1";
    this.#review(now);
    return records.filter((record) => !isServingRecord(record));
  }

  /**
   * Takes a record. `cell`: the replica it should go to if that can be used (the one in a message's token, the one that asked). Else it is the
   * primary, else the other. The cell that has it or will be tried first; undefined: nobody takes it, the caller answers a request with 503. The
   * octets must not change afterwards.
   */
  offer(record: FrameRecord, cell: string | undefined, now: SteadyMs): string | undefined {
    const octets = recordOctets(record.key, record.octets);
    if (!isCarriable(record) || this.octetsHeld + octets > this.#limits.octetsMax) return undefined;
    if (this.#uselessSince !== undefined && now - this.#uselessSince > this.#limits.holdMs) return undefined;
    this.#arrivals += 1;
    const { kind, key, octets: content } = record;
    const carried: Carried = { kind, key, octets: content, cell, arrival: this.#arrivals, moves: 0, heldSince: now };
    const route = this.#routeOf(cell);
    if (!route.isOpen || route.side === undefined) {
      if (!this.#isHeld(carried)) this.#hold(carried, now);
    } else if (now - (route.side.backhaul.unansweredSince ?? now) < backhaulLateMs) this.#giveBy(route, route.side, carried, now);
    else this.#giveLate(route, route.side, carried, now);
    return (route.side ?? this.#sideOf(cell ?? "") ?? this.#sides[0])?.cell;
  }

  /** Does what is due: frames that leave, backhauls that are given up, records that waited too long. Then {@link takeEffects}. */
  tick(now: SteadyMs): void {
    for (const side of this.#sides) {
      const reason = this.#faultOf(side, now);
      if (reason === undefined) continue;
      this.#effects.push({ type: "drop", cell: side.cell, reason });
      this.lost(side.cell, now, true);
    }
    this.#review(now);
    this.#expire(now);
    for (const side of this.#sides) {
      if (!side.isConnected) continue;
      for (const octets of side.backhaul.tick(now)) this.#effects.push({ type: "frame", cell: side.cell, octets });
    }
  }

  /** When {@link tick} must be called next, ms; undefined: after the next event. */
  nextDeadline(): number | undefined {
    let next = Number.POSITIVE_INFINITY;
    for (const side of this.#sides) {
      if (!side.isConnected) continue;
      const { backhaul, readySince } = side;
      next = Math.min(next, backhaul.nextDeadline() ?? next, this.#faultAt(side));
      if (side.saysServing === undefined && readySince === undefined && !backhaul.isHelloUnanswered)
        next = Math.min(next, this.#assumedAt(side));
      if (side.isFlapping && readySince !== undefined) next = Math.min(next, readySince + this.#heartbeat.periodMs);
    }
    for (const route of this.#routes) if (!route.isOpen) next = Math.min(next, this.#opensAt(route));
    if (this.#held.length > 0) next = Math.min(next, this.#heldSince + this.#limits.holdMs + 1);
    return next === Number.POSITIVE_INFINITY ? undefined : next;
  }

  /** What is to be done, in order. To be taken after every call. */
  takeEffects(): ReplicaWaysEffect[] {
    const effects = this.#effects;
    if (effects.length > 0) this.#effects = [];
    return effects;
  }

  /** This process stood still, and answers may lie unread: silence so far proves nothing. */
  awoke(now: SteadyMs): void {
    this.#awakeSince = now;
  }

  /**
   * How many heartbeat periods a replica that has been silent since then may be silent. When the other one was given up for that a moment before, it is the
   * machine that is busy. Everything would go from one to the other and back then, and be done twice each time.
   */
  missedMax(cell: string, since: SteadyMs): number {
    const otherSilentAt = this.#sides.find((side) => side.cell !== cell)?.silentAt ?? Number.NEGATIVE_INFINITY;
    return this.#heartbeat.missed * (this.isOverloaded || since - otherSilentAt < busyMachineMs ? busyMachineFactor : 1);
  }

  /** The end: all records that nobody acknowledged, in order. */
  takeAll(now: SteadyMs): FrameRecord[] {
    for (const side of this.#sides) this.#takeBack(side, now);
    const all = this.#held;
    this.#held = [];
    this.#heldOctets = 0;
    return all;
  }

  #sideOf(cell: string): Side | undefined {
    return this.#sides.find((side) => side.cell === cell);
  }

  #otherThan(side: Side): Side | undefined {
    return this.#sides.find((each) => each !== side);
  }

  #routeOf(cell: string | undefined): Route {
    const [primary, other] = this.#sides;
    if (cell === undefined) return this.#routes[0];
    if (cell === other?.cell) return this.#routes[1];
    return this.#routes[cell === primary?.cell && this.#isDraining(primary) ? 2 : 0];
  }

  /** The preferred one while it can be used, else the other; one that comes and goes only when there is none better. */
  #choose(preferred: Side | undefined): Side | undefined {
    const other = preferred === undefined ? undefined : this.#otherThan(preferred);
    if (preferred?.isReady === true && !preferred.isFlapping) return preferred;
    if (other?.isReady === true && !other.isFlapping) return other;
    return preferred?.isReady === true ? preferred : other?.isReady === true ? other : undefined;
  }

  #isDraining(side: Side | undefined): boolean {
    return side !== undefined && this.#draining.has(side.cell);
  }

  /** Looks at everything that follows from who can be used now. */
  #review(now: SteadyMs): void {
    for (const side of this.#sides) this.#reviewSide(side, now);
    const [primary, other] = this.#sides;
    const chosen = this.#choose(this.#isDraining(primary) && other !== undefined && !this.#isDraining(other) ? other : primary);
    for (const side of this.#sides) {
      const heir = side.calls === "orphaned" ? this.#otherThan(side) : undefined;
      if (heir?.isReady === true) this.#takeOver(side, heir, now);
    }
    if (this.#isLeft && chosen !== undefined) {
      this.#isLeft = false;
      this.#give(chosen, takeoverRecord(now), now);
    }
    this.#lead(this.#routes[0], chosen, now);
    this.#lead(this.#routes[1], this.#choose(other), now);
    this.#lead(this.#routes[2], this.#choose(primary), now);
    if (chosen !== undefined) this.#uselessSince = undefined;
    else this.#uselessSince ??= now;
    if (this.#held.length > 0 && this.isUsable) this.#release(now);
  }

  /** Where a route goes from now on. Away from a replica that lives, it opens only when that has answered. */
  #lead(route: Route, side: Side | undefined, now: SteadyMs): void {
    if (side !== route.side) {
      route.side = side;
      route.waitsSince = now;
      const { last } = route;
      if (side !== undefined && last?.isConnected === true && last !== side && route === this.#routes[0]) {
        this.#effects.push({ type: "returned", from: last.cell, to: side.cell });
      }
    }
    route.isOpen = now >= this.#opensAt(route);
  }

  /** When a route opens, as it looks now: a little after everything before is answered, for the replicas to tell each other. */
  #opensAt({ side, last, waitsSince, drainedAt }: Route): number {
    if (side === undefined) return Number.POSITIVE_INFINITY;
    if (last === undefined || last === side || !last.isConnected) return Number.NEGATIVE_INFINITY;
    return drainedAt === undefined ? waitsSince + this.#limits.returnWaitMs : drainedAt + this.#limits.returnSettleMs;
  }

  #reviewSide(side: Side, now: SteadyMs): void {
    const isAssumed = side.saysServing === undefined && !side.backhaul.isHelloUnanswered && now >= this.#assumedAt(side);
    side.isReady = side.isConnected && (side.saysServing ?? isAssumed);
    if (side.isReady) {
      side.readySince ??= now;
      side.wasReady = true;
      side.calls = "own";
      if (now - side.readySince >= this.#heartbeat.periodMs) side.isFlapping = false;
    } else if (side.readySince !== undefined) {
      side.isFlapping ||= now - side.readySince < this.#limits.flapMs;
      side.readySince = undefined;
    }
  }

  #assumedAt(side: Side): number {
    return side.openedAt + this.#limits.servingAssumedMs;
  }

  #takeOver(from: Side, to: Side, now: SteadyMs): void {
    from.calls = "adopted";
    this.#give(to, takeoverRecord(now), now);
    const moving = this.#held.filter(({ moves }) => moves > 0).length;
    // At the start cells come one after the other, and nothing is taken from one that was not there yet.
    if (from.wasReady || moving > 0) this.#effects.push({ type: "takenOver", from: from.cell, to: to.cell, records: moving });
  }

  /**
   * A datagram that repeats one which is held adds nothing. Held for itself it would go out later than its original is given up, and the call would
   * ring after its caller was refused.
   */
  #isHeld(record: Carried): boolean {
    return this.#held.some((each) => isSameRecord(each, record));
  }

  #hold(record: Carried, now: SteadyMs): void {
    if (this.#held.length === 0) this.#heldSince = now;
    record.heldSince = now;
    this.#held.push(record);
    this.#heldOctets += recordOctets(record.key, record.octets);
  }

  /** Takes everything out of a backhaul without connection, and holds it. */
  #takeBack(side: Side, now: SteadyMs): void {
    side.isConnected = false;
    side.saysServing = undefined;
    side.backhaul.disconnect();
    const unacknowledged = side.backhaul.takeUnacknowledged();
    // It had them in hand, and nowhere else. Its peer takes them for copies, or sends them where they were to go, with the same branch.
    const owed = side.owed.take(now).map(({ record }) => record);
    const again = owed.filter((record) => record.moves < this.#limits.movesMax && !unacknowledged.includes(record));
    const taken = [...unacknowledged, ...again];
    if (taken.length === 0) return;
    const other = this.#otherThan(side);
    const tooOften: FrameRecord[] = [];
    for (const record of taken) {
      if (record.kind === RecordKind.takeover) {
        // It never said that it had adopted: who takes its place must.
        if (other?.calls === "adopted") other.calls = "orphaned";
        continue;
      }
      record.moves += 1;
      if (record.moves > this.#limits.movesMax) tooOften.push(record);
      else this.#hold(record, now);
    }
    this.#held.sort((left, right) => left.arrival - right.arrival);
    if (tooOften.length > 0) this.#effects.push({ type: "abandoned", records: tooOften });
  }

  /** Gives out what is held, as far as somebody takes it. */
  #release(now: SteadyMs): void {
    this.#sift((record) => {
      const route = this.#routeOf(record.cell);
      if (!route.isOpen || route.side === undefined) return true;
      this.#giveBy(route, route.side, record, now);
      return false;
    });
  }

  #giveBy(route: Route, side: Side, record: Carried, now: SteadyMs): void {
    this.#give(side, record, now);
    route.last = side;
    route.mark = side.backhaul.offered;
    route.drainedAt = undefined;
  }

  /** To a replica that is late a datagram that repeats one on its way there adds nothing but work. */
  #giveLate(route: Route, side: Side, record: Carried, now: SteadyMs): void {
    const { backhaul } = side;
    const isRepeatable = isDatagram(record);
    if (isRepeatable && side.underWay?.has(record, backhaul.settled) === true) return;
    this.#giveBy(route, side, record, now);
    if (isRepeatable) (side.underWay ??= new UnderWay()).add(record, backhaul.offered, backhaul.settled);
  }

  #give(side: Side, record: Carried, now: SteadyMs): void {
    // The answer to a question of the other replica: this one never asked.
    if (record.kind === RecordKind.resolved && record.cell !== undefined && record.cell !== side.cell) return;
    // The bound over all leaves room in each: a backhaul refuses only if that is broken, and then nothing may vanish.
    if (!side.backhaul.offer(record, now)) this.#effects.push({ type: "abandoned", records: [record] });
    else if (record.cell !== undefined || record.kind === RecordKind.closed) side.owed.given(record, now);
  }

  #expire(now: SteadyMs): void {
    const oldest = now - this.#limits.holdMs;
    if (this.#held.length === 0 || this.#heldSince >= oldest) return;
    const abandoned: FrameRecord[] = [];
    this.#sift((record) => {
      if (record.heldSince >= oldest) return true;
      abandoned.push(record);
      return false;
    });
    if (abandoned.length > 0) this.#effects.push({ type: "abandoned", records: abandoned });
  }

  /** Keeps of what is held what `stays`. */
  #sift(stays: (record: Carried) => boolean): void {
    const kept: Carried[] = [];
    let octets = 0;
    let since = Number.POSITIVE_INFINITY;
    for (const record of this.#held) {
      if (!stays(record)) continue;
      kept.push(record);
      octets += recordOctets(record.key, record.octets);
      since = Math.min(since, record.heldSince);
    }
    this.#held = kept;
    this.#heldOctets = octets;
    this.#heldSince = since;
  }

  #faultOf(side: Side, now: SteadyMs): string | undefined {
    if (!side.isConnected) return undefined;
    if (side.backhaul.isSpent) return "sequence numbers are used up";
    if (now < this.#faultAt(side)) return undefined;
    const since = Math.max(side.backhaul.unansweredSince ?? now, side.backhaul.answeredAt);
    return `a frame is unanswered for ${Math.round(now - since)} ms`;
  }

  /** When silence on this backhaul becomes a fault, ms. Who answers, however late, is not silent: the other replica may be as busy. */
  #faultAt({ cell, backhaul }: Side): number {
    const since = Math.max(backhaul.unansweredRecordsSince ?? Number.POSITIVE_INFINITY, backhaul.answeredAt, this.#awakeSince);
    const records = since + this.#heartbeat.periodMs * this.missedMax(cell, since);
    if (!backhaul.isHelloUnanswered) return records;
    return Math.min(records, Math.max(backhaul.unansweredSince ?? 0, this.#awakeSince) + this.#limits.helloAnswerMs);
  }
}

export type Heartbeat = { readonly periodMs: number; readonly missed: number };

export type ReplicaWaysOptions = {
  /** First record of every connection. */
  readonly hello: FrameRecord;
  /** A frame that is unanswered for `periodMs * missed` ends its connection. */
  readonly heartbeat: Heartbeat;
  readonly limits: ReplicaWaysLimits;
};

export type ReplicaWaysEffect =
  | { readonly type: "frame"; readonly cell: string; readonly octets: Uint8Array }
  /** Give the connection up so that nothing more leaves on it, and make another. It counts as lost already. */
  | { readonly type: "drop"; readonly cell: string; readonly reason: string }
  /** Records that no replica took in time. */
  | { readonly type: "abandoned"; readonly records: readonly FrameRecord[] }
  /** For the log: a replica was lost, and the other has everything. */
  | { readonly type: "takenOver"; readonly from: string; readonly to: string; readonly records: number }
  /** For the log: messages go to another replica, though both live. */
  | { readonly type: "returned"; readonly from: string; readonly to: string };
