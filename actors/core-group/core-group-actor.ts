import { weightOf } from "../../cluster/assignment/shares.ts";
import { pairOf, type Assignment, type ClusterMap } from "../../cluster/map/cluster-map.ts";
import { exchangesIn, placesIn } from "../../cluster/map/serving-cells.ts";
import type { Failure } from "../../cluster/group/cell-member.ts";
import type { LeftToHandOver } from "../../cluster/group/coordinator.ts";
import { CoreGroup } from "../../cluster/group/core-group.ts";
import type { Effect, GroupOptions, GroupStatus } from "../../cluster/group/group-effects.ts";
import type { MapChange } from "../../cluster/group/known-map.ts";
import type { Heartbeat } from "../../cluster/group/heartbeat.ts";
import { settingsOf, type GroupSettings } from "../../cluster/group/settings.ts";
import type { Change, SeenCause, View } from "../../cluster/group/view.ts";
import { MapSpread } from "./map-spread.ts";
import { LeftExchanges } from "./left-exchanges.ts";
import type { LinesMode } from "./line-drain.ts";
import { OwnServices, type ServicePorts } from "./own-services.ts";
import { leftAskedMs, standstillMsMin, tellTriesMax } from "../limits.ts";
import { later, type Clocks, type SteadyMs, type WallMs } from "../../sip/time.ts";

export type CoreGroupOptions = GroupOptions & {
  /** See {@link LeftExchanges}. */
  readonly left?: readonly number[];
};

/** What a gateway is told on its control socket. */
export type ControlMessage = { readonly type: "map"; readonly map: ClusterMap } | { readonly type: "view"; readonly view: View };

/** How a heartbeat ended: with its answer, or with why there is none. `text`: see {@link CoreGroup.failed}. */
export type BeatOutcome = Heartbeat | { readonly failure: Failure; readonly text?: string };

export type Beat = Extract<Effect, { type: "heartbeat" }>;

export type CoreGroupPorts = Clocks & {
  /** When each gateway that has an open control socket was last heard, as the runtime notes it. */
  readonly heard: () => Iterable<readonly [gateway: string, at: WallMs]>;
  /** The group is to have its tick at `nextTick`, though this process ends before, and at `nextDeadline`, which is not later. */
  readonly arm: (nextTick: number, nextDeadline: SteadyMs, now: SteadyMs) => void;
  /** Sends a heartbeat. `late` when `timeoutMs` have passed, `over` when it is answered or not waited for any more, `lateMs` after it left at the latest. */
  readonly beat: (beat: Beat, late: () => void, over: (outcome: BeatOutcome) => void) => void;
  /** Keeps the epoch of a view before anybody hears of it, and says what changed. */
  readonly keepView: (view: View, changes: readonly Change[]) => void;
  /** Keeps a map, and has all of this cell work from it. `before`: the one that it takes the place of. */
  readonly keepMap: (map: ClusterMap, before: ClusterMap) => void;
  /** Keeps which exchanges have something left in this cell, by the map. */
  readonly keepLeft: (exchanges: readonly number[]) => void;
  readonly sendToGateways: (message: ControlMessage) => void;
  /** Tells an exchange of this cell, which starts if it has not. Says whether it serves, or why it could not be told. */
  readonly tellExchange: (exchange: number, view: View, told: (outcome: { readonly isServing: boolean } | Error) => void) => void;
  /** What lines are to do with softphones from now on. */
  readonly drainLines: (mode: LinesMode) => void;
  readonly fenced: (isFenced: boolean, view: View) => void;
  readonly singleton: ServicePorts["singleton"];
  readonly askSingleton: ServicePorts["askSingleton"];
  /** For the log: an exchange could not be told of a view, for the first time. */
  readonly untold: (exchange: number, view: View, reason: Error) => void;
  /** For the log: a map is not taken, or not written, and why. */
  readonly mapRefused: (text: string) => void;
};

/**
 * What the core group of a cell decides: the members are {@link CoreGroup}'s. This has the beat, sees that the process stood still, tells gateways and
 * exchanges of what changes, and hears of those that have caught up.
 */
export class CoreGroupActor {
  readonly #cell: string;
  readonly #ports: CoreGroupPorts;
  readonly #group: CoreGroup;
  readonly #services: OwnServices;
  readonly #left: LeftExchanges;
  readonly #spread = new MapSpread();
  /** Exchanges of this cell that have asked for the view since this group started: they want to hear of every change. */
  readonly #listeners = new Set<number>();
  /** Exchanges that could not be told, and how often that was tried. */
  readonly #untold = new Map<number, number>();
  #askedLeftAt: SteadyMs;
  /** What lines were told last. */
  #linesMode: LinesMode = "take";
  /** When this process went on after it had stood still. */
  #wentOnAt: SteadyMs = Number.NEGATIVE_INFINITY;
  /** When each gateway was last heard, as it was noted, and when that was looked at. */
  readonly #noted = new Map<string, WallMs>();
  #lookedAt: SteadyMs = Number.NEGATIVE_INFINITY;

  /** Call {@link tick} next. */
  constructor(options: CoreGroupOptions, ports: CoreGroupPorts) {
    this.#cell = options.cell;
    this.#ports = ports;
    const now = ports.now();
    this.#askedLeftAt = now;
    this.#group = new CoreGroup(options, now);
    this.#services = new OwnServices(this.#cell, {
      singleton: ports.singleton,
      askSingleton: ports.askSingleton,
      isFit: (name, isFit) => this.#event((at) => this.#group.serviceIsFit(name, isFit, at)),
      unfit: () => this.#group.unfit,
    });
    this.#services.tell(this.map);
    this.#left = new LeftExchanges(this.#cell, options.left ?? [], (exchanges) => {
      this.#group.setLeft(exchanges.length > 0);
      ports.keepLeft(exchanges);
    });
    this.#group.setLeft(this.#left.all.size > 0);
    for (const exchange of [...this.#left.all, ...this.#doubled()]) this.#untold.set(exchange, 0);
    for (const [gateway] of ports.heard()) this.#group.gatewayOpened(gateway, now);
  }

  get settings(): GroupSettings {
    return settingsOf(this.#group.map);
  }

  /** The newest map. */
  get map(): ClusterMap {
    return this.#group.map;
  }

  get view(): View {
    return this.#group.view();
  }

  status(): GroupStatus {
    const now = this.#ports.now();
    this.#hear(now);
    return this.#group.status(now);
  }

  /** Something woke this process: a beat that is overdue comes now. */
  wake(): void {
    this.#event(() => {});
  }

  /** A deadline has come, or may have. */
  tick(): void {
    this.#event((now) => this.#group.tick(now));
    this.#askLeft(this.#ports.now());
    this.#services.ask(this.map, this.#ports.now());
  }

  /** Exchanges that have something left are woken now and then: one that has handed over all has emptied itself, and says so when it starts the next time. */
  #askLeft(now: SteadyMs): void {
    if (now - this.#askedLeftAt < leftAskedMs) return;
    this.#askedLeftAt = now;
    for (const exchange of this.#left.all) this.#tell(exchange);
  }

  /** Exchanges that could not be told hear of it with the next beat. */
  tellUntold(): void {
    for (const exchange of this.#untold.keys()) this.#tell(exchange);
  }

  /** A gateway has a control socket; it has been told map and view on it. */
  gatewayOpened(gateway: string): void {
    this.#event((now) => this.#group.gatewayOpened(gateway, now));
  }

  /** The last control socket of a gateway has closed. `hasLeft`: it said that it ends. */
  gatewayClosed(gateway: string, hasLeft: boolean): void {
    this.#event((now) => this.#group.gatewayClosed(gateway, now, hasLeft));
  }

  /** A gateway says that it refuses new requests because all is late. */
  overloaded(): void {
    this.#event((now) => this.#group.overloaded(now));
  }

  /** A heartbeat of another cell. Returns the answer; undefined: it comes from a gateway, which is told nothing. */
  heartbeat(heartbeat: Heartbeat): Heartbeat | undefined {
    if (this.#group.isGateway(heartbeat.cell)) return undefined;
    return this.#event((now) => this.#group.received(heartbeat, now));
  }

  /** Somebody saw a connection to a cell close or be refused: it is probed at once. */
  suspect(cell: string, seen: SeenCause): void {
    this.#event((now) => this.#group.suspect(cell, seen, now));
  }

  /**
   * How long ago this process went on after it had stood still, ms; Infinity: it has not since this group started. Seen by the beat, so nothing shorter
   * than a period is. Who asks has another steady clock.
   */
  wentOnAgoMs(): number {
    this.wake();
    return this.#ports.now() - this.#wentOnAt;
  }

  /** The view, for an exchange that starts. From now on it hears of every change. `isSyncing`: it will have {@link caughtUp}. */
  viewFor(exchange: number, isSyncing: boolean): View {
    this.#listeners.add(exchange);
    if (isSyncing) this.#group.catchingUp(exchange);
    return this.#group.view();
  }

  /** An exchange of this cell knows what its peer knows, or serves without. */
  caughtUp(exchange: number): void {
    this.#event((now) => this.#group.caughtUp(exchange, now));
  }

  /** An exchange that has no replica in this cell any more has nothing left here. It wants to hear of nothing. */
  emptied(exchange: number): void {
    this.#left.emptied(exchange);
    this.#listeners.delete(exchange);
  }

  /** Exchanges that this cell has a replica of no more, and that have something left here. */
  get left(): readonly number[] {
    return [...this.#left.all];
  }

  /** An exchange of this cell has had no second memory for a while, or has one again. */
  replicaIsAlone(exchange: number, isAlone: boolean): void {
    this.#group.replicaIsAlone(exchange, isAlone);
  }

  /** A cell has been told all that an exchange of this cell has, to take the place of its peer. Undefined: none has, or not any more. */
  replicaIsCopied(exchange: number, cell: string | undefined): void {
    this.#event((now) => this.#group.replicaIsCopied(exchange, cell, now));
  }

  /** An exchange of this cell has nothing any more that belongs to younger ones, now that there are so many. */
  exchangeHasHandedOver(exchange: number, exchangeCount: number): void {
    this.#event((now) => this.#group.exchangeHasHandedOver(exchange, exchangeCount, now));
  }

  /** See {@link CoreGroup.leftToHandOver}. */
  get leftToHandOver(): LeftToHandOver | undefined {
    return this.#group.leftToHandOver;
  }

  /** Writes a new version of the map. `spread`: it is in another cell as well, where one is up; or that is not known (map-spread.ts). */
  changeMap(change: MapChange, spread?: (isKnown: boolean) => void): void {
    this.#event((now) => {
      this.#group.changeMap(change, now);
      if (spread !== undefined) this.#spread.wait(spread, now);
    });
  }

  /** The operator takes this cell out of service, or back. `last`: no other cell is up, so it stays. */
  setDraining(isDraining: boolean): "done" | "last" {
    return this.#event((now) => this.#group.setDraining(isDraining, now));
  }

  /** Arms what is due next, where an event has failed to. */
  arm(): void {
    const now = this.#ports.now();
    this.#ports.arm(this.#group.nextTick, Math.min(this.#group.nextDeadline(), this.#spread.nextDeadline(now)), now);
  }

  /** One event on the group, and what it wants done. */
  #event<Result>(act: (now: SteadyMs) => Result): Result {
    const now = this.#ports.now();
    this.#hear(now);
    if (now - this.#group.nextTick >= standstillMsMin) this.#wentOnAt = now;
    // The watchdog: the tick should have come long ago.
    if (now - this.#group.nextTick > this.#group.map.heartbeat.periodMs) this.#group.tick(now);
    const result = act(now);
    for (let effects = this.#group.takeEffects(); effects.length > 0; effects = this.#group.takeEffects()) {
      for (const effect of effects) this.#carryOut(effect, now);
    }
    this.#spread.look(() => this.#group.spread, now);
    this.arm();
    return result;
  }

  /** What the runtime notes is by the wall clock, which may have been set since: another note than the last one was made since that was looked at. */
  #hear(now: SteadyMs): void {
    const wall = this.#ports.wallAt(now);
    const sinceLookMs = now - this.#lookedAt;
    this.#lookedAt = now;
    for (const [gateway, noted] of this.#ports.heard()) {
      if (this.#noted.get(gateway) === noted) continue;
      this.#noted.set(gateway, noted);
      this.#group.gatewayHeard(gateway, later(now, -Math.min(Math.max(0, wall - noted), sinceLookMs)));
    }
  }

  #carryOut(effect: Effect, now: SteadyMs): void {
    switch (effect.type) {
      case "heartbeat":
        this.#beat(effect);
        return;
      case "view":
        this.#keepView(effect, this.#ports.wallAt(now));
        this.#ports.sendToGateways({ type: "view", view: effect.view });
        this.#tellConcerned(new Set(effect.changes.filter(({ kind }) => kind === "cell").map(({ id }) => id)));
        this.#drainLines(effect.view, this.map);
        return;
      case "map":
        if (effect.map.writer !== this.#cell) this.#spread.lost();
        this.#ports.keepMap(effect.map, effect.before);
        this.#drainLines(effect.view, effect.map);
        this.#left.mapChanged(effect.before, effect.map);
        this.#services.tell(effect.map);
        this.#ports.sendToGateways({ type: "map", map: effect.map });
        for (const exchange of new Set([...this.#listeners, ...moved(effect, this.#cell), ...this.#doubled(effect.before)]))
          this.#tell(exchange);
        return;
      case "fence":
        this.#ports.fenced(effect.isFenced, effect.view);
        this.#ports.sendToGateways({ type: "view", view: effect.view });
        for (const exchange of exchangesIn(this.map, this.#cell)) this.#tell(exchange);
        return;
      case "refused map":
        this.#ports.mapRefused(effect.text);
        return;
    }
    effect satisfies never;
  }

  #drainLines(view: View, map: ClusterMap): void {
    const mode = linesMode(view, map);
    if (mode !== this.#linesMode) this.#ports.drainLines(mode);
    this.#linesMode = mode;
  }

  /** Exchanges of this cell that may have something of others, or are to be given it: all of them when the map has more than before. */
  #doubled(before?: ClusterMap): number[] {
    const { map } = this;
    const isMore = map.doubled?.isUnderWay === true && map.exchangeCount !== before?.exchangeCount;
    return isMore ? exchangesIn(map, this.#cell) : [];
  }

  #keepView({ view, changes }: Extract<Effect, { type: "view" }>, at: WallMs): void {
    this.#ports.keepView(
      view,
      changes.map((change) => ({ ...change, at })),
    );
  }

  #beat(beat: Beat): void {
    const { sequence } = beat.heartbeat;
    this.#ports.beat(
      beat,
      () => this.#event((now) => this.#group.late(sequence, now)),
      (outcome) =>
        this.#event((now) => {
          if ("failure" in outcome) this.#group.failed(sequence, outcome.failure, now, outcome.text);
          else this.#group.answered(sequence, outcome, now);
        }),
    );
  }

  /** Those that listen, and those whose pair it is about. The latter are to wake, because they have calls to take over or to give back. */
  #tellConcerned(cells: ReadonlySet<string>): void {
    const concerned = exchangesIn(this.map, this.#cell).filter((exchange) => {
      const { primary, secondary } = pairOf(this.map, exchange);
      return [primary, secondary].some((cell) => cell !== this.#cell && cells.has(cell));
    });
    for (const exchange of new Set([...this.#listeners, ...concerned])) this.#tell(exchange);
  }

  /** An exchange that cannot be told is told with the next beats; one that never can has said why in the log. */
  #tell(exchange: number): void {
    const view = this.#group.view();
    // Perhaps it has only been woken by this.
    this.#group.catchingUp(exchange);
    this.#ports.tellExchange(exchange, view, (outcome) => {
      if (!(outcome instanceof Error)) {
        this.#untold.delete(exchange);
        if (outcome.isServing) this.caughtUp(exchange);
        return;
      }
      const tries = (this.#untold.get(exchange) ?? 0) + 1;
      if (tries < tellTriesMax) this.#untold.set(exchange, tries);
      else this.#untold.delete(exchange);
      if (tries === 1) this.#ports.untold(exchange, view, outcome);
    });
  }
}

/** Exchanges with another pair than before, that a cell has or had a replica of. */
function moved({ map, before }: Extract<Effect, { type: "map" }>, cell: string): number[] {
  const concerned = new Set([before, map].flatMap((each) => placesIn(each, cell)));
  return [...concerned].filter((exchange) => !isSamePair(pairOf(before, exchange), pairOf(map, exchange)));
}

function isSamePair(one: Assignment, other: Assignment): boolean {
  return one.primary === other.primary && one.secondary === other.secondary && one.joining === other.joining;
}

/**
 * Softphones go when the replicas have gone. A softphone notices when it has to go, and a replica moves unseen: so they stay for as long as anything else may
 * come between. Were both to go at once, each of the others would be told records, and have softphones register, at the same time.
 */
function linesMode(view: View, map: ClusterMap): LinesMode {
  if (!isHandingOver(view)) return "take";
  const own = map.cells.find(({ id }) => id === view.cell);
  const isLeaving = own !== undefined && weightOf(own) === 0;
  return isLeaving && placesIn(map, view.cell).length > 0 ? "keep" : "send";
}

/** Whether a cell that is out of service, or was removed, has somebody who is not. */
function isHandingOver({ cell, cells }: View): boolean {
  const own = cells.find(({ id }) => id === cell);
  return (own === undefined || own.state === "draining") && cells.some(({ state }) => state === "up");
}
