import { CoreGroup } from "../../../cluster/group/core-group.ts";
import { leftDetail } from "../../../cluster/group/gateway-member.ts";
import type { Heartbeat } from "../../../cluster/group/heartbeat.ts";
import type { ClusterMap } from "../../../cluster/map/cluster-map.ts";
import { groupMap } from "./group-map.ts";
import type { Turning, HeartbeatSettings, MemberState, View } from "../../../cluster/group/view.ts";

type Node = {
  readonly id: string;
  /** Its clock is this far from the simulation's, ms. */
  readonly skewMs: number;
  group: CoreGroup | undefined;
  /** Events wait while it is frozen. */
  isFrozen: boolean;
  waiting: (() => void)[];
  wakesAt: number;
  readonly disk: { epoch: number; map: ClusterMap | undefined; gateways: Map<string, MemberState | "left">; isDraining: boolean };
  readonly history: Turning[];
  view: View | undefined;
  fenced: boolean;
  /** Of maps that were refused. */
  readonly refusals: string[];
  boots: number;
};

type Gateway = {
  readonly id: string;
  isFrozen: boolean;
  isAlive: boolean;
  readonly sockets: Set<string>;
  readonly phaseMs: number;
};

type Event = { readonly at: number; readonly order: number; readonly run: () => void };

export type SimulationOptions = {
  readonly cells: number;
  readonly gateways: number;
  readonly heartbeat?: HeartbeatSettings;
  readonly latencyMs?: number;
  readonly skewMs?: (cell: number) => number;
  /** Cells of the release before: they say settings and no map, and read nothing else. */
  readonly earlier?: readonly string[];
  /** What the map that is deployed says besides. */
  readonly deployed?: Partial<ClusterMap>;
};

const start = 1_800_000_000_000;
/** How long a replica is copied. */
const copyMs = 300;

/** Cells' core groups and gateways that ping them, over a network with latency, in simulated time. */
export class Simulation {
  now = start;
  /** Heartbeats and answers that were sent, those of them that brought a map, and pings. */
  readonly counts = { heartbeats: 0, answers: 0, maps: 0, pings: 0 };
  readonly #options: SimulationOptions;
  readonly #nodes = new Map<string, Node>();
  readonly #gateways = new Map<string, Gateway>();
  readonly #cuts = new Set<string>();
  /** A binary heap. */
  readonly #events: Event[] = [];
  #order = 0;

  constructor(options: SimulationOptions) {
    this.#options = options;
    const ids = Array.from({ length: options.cells }, (_, index) => cellName(index));
    for (const [index, id] of ids.entries()) {
      const disk = { epoch: 0, map: undefined, gateways: new Map<string, MemberState | "left">(), isDraining: false };
      const skewMs = options.skewMs?.(index) ?? 0;
      const state = { group: undefined, isFrozen: false, waiting: [], wakesAt: 0, view: undefined, fenced: false, refusals: [], boots: 0 };
      this.#nodes.set(id, { id, skewMs, disk, history: [], ...state });
    }
    for (let index = 1; index <= options.gateways; index += 1) {
      const id = `g${index}`;
      const gateway: Gateway = { id, isFrozen: false, isAlive: true, sockets: new Set(), phaseMs: (index * 137) % this.#periodMs };
      this.#gateways.set(id, gateway);
      this.#after(gateway.phaseMs, () => this.#beat(gateway));
    }
  }

  get #periodMs(): number {
    return (this.#options.heartbeat ?? { periodMs: 1_000 }).periodMs;
  }

  startCell(id: string): void {
    const node = this.#node(id);
    node.boots += 1;
    node.group = new CoreGroup(
      {
        cell: id,
        boot: `${id}-${node.boots}`,
        deployed: { ...groupMap([...this.#nodes.keys()], this.#options.heartbeat), ...this.#options.deployed },
        kept: node.disk.map,
        epoch: node.disk.epoch,
        gateways: [...node.disk.gateways].map(([gateway, state]) =>
          state === "left" ? { id: gateway, state: "down", hasLeft: true } : { id: gateway, state },
        ),
        isDraining: node.disk.isDraining,
      },
      this.#clock(node),
    );
    this.#act(node, () => node.group?.tick(this.#clock(node)));
    for (const gateway of this.#gateways.values()) if (gateway.isAlive) this.#connect(gateway, node);
  }

  startAll(): this {
    for (const id of this.#nodes.keys()) this.startCell(id);
    return this;
  }

  /** As kill -9: connections are refused, sockets close. */
  killCell(id: string): void {
    const node = this.#node(id);
    node.group = undefined;
    node.isFrozen = false;
    node.waiting = [];
    for (const gateway of this.#gateways.values()) gateway.sockets.delete(id);
  }

  freezeCell(id: string): void {
    this.#node(id).isFrozen = true;
  }

  /** What had come for it in the meantime happens now, before its own alarm. */
  thawCell(id: string): void {
    const node = this.#node(id);
    node.isFrozen = false;
    const { waiting } = node;
    node.waiting = [];
    for (const run of waiting) run();
    this.#act(node, () => node.group?.tick(this.#clock(node)));
  }

  killGateway(id: string): void {
    const gateway = this.#gateway(id);
    gateway.isAlive = false;
    for (const cell of gateway.sockets) this.#lose(gateway, this.#node(cell));
  }

  /** As SIGTERM: it says that it ends. */
  stopGateway(id: string): void {
    const gateway = this.#gateway(id);
    gateway.isAlive = false;
    for (const cell of gateway.sockets) this.#lose(gateway, this.#node(cell), true);
  }

  startGateway(id: string): void {
    const gateway = this.#gateway(id);
    gateway.isAlive = true;
    gateway.isFrozen = false;
    for (const node of this.#nodes.values()) this.#connect(gateway, node);
  }

  freezeGateway(id: string): void {
    this.#gateway(id).isFrozen = true;
  }

  thawGateway(id: string): void {
    const gateway = this.#gateway(id);
    gateway.isFrozen = false;
    this.#ping(gateway);
  }

  /** Its control socket to one cell is closed, and made again after so long. */
  reconnectGateway(id: string, cell: string, afterMs: number): void {
    const gateway = this.#gateway(id);
    this.#lose(gateway, this.#node(cell));
    this.#after(afterMs, () => this.#connect(gateway, this.#node(cell)));
  }

  /** Its process is there, and runs. */
  isRunning(cell: string): boolean {
    const { group, isFrozen } = this.#node(cell);
    return group !== undefined && !isFrozen;
  }

  isCut(one: string, other: string): boolean {
    return this.#cuts.has(`${one} ${other}`);
  }

  /** Nothing passes between two members any more; what is asked is not answered. */
  cut(one: string, other: string): void {
    this.#cuts.add(`${one} ${other}`).add(`${other} ${one}`);
  }

  /** The same between all of some members and all of others. */
  cutApart(some: readonly string[], others: readonly string[]): void {
    for (const one of some) for (const other of others) this.cut(one, other);
  }

  heal(): void {
    this.#cuts.clear();
  }

  tell(cell: string, act: (group: CoreGroup, now: number) => void): void {
    const node = this.#node(cell);
    this.#act(node, () => node.group !== undefined && act(node.group, this.#clock(node)));
  }

  /** The operator takes a cell out of service, or back. */
  drain(cell: string, isDraining: boolean): "done" | "last" | undefined {
    const node = this.#node(cell);
    let outcome: "done" | "last" | undefined;
    this.tell(cell, (group, now) => {
      outcome = group.setDraining(isDraining, now);
    });
    if (outcome === "done") node.disk.isDraining = isDraining;
    return outcome;
  }

  group(cell: string): CoreGroup {
    const { group } = this.#node(cell);
    if (group === undefined) throw new Error(`cell ${cell} is not running`);
    return group;
  }

  history(cell: string): readonly Turning[] {
    return this.#node(cell).history;
  }

  /** Of maps that were not taken. */
  refusalsOf(cell: string): readonly string[] {
    return this.#node(cell).refusals;
  }

  isFenced(cell: string): boolean {
    return this.#node(cell).fenced;
  }

  /** State of a member in the last view that a cell told. */
  stateOf(member: string, seenBy: string): MemberState | undefined {
    const { view } = this.#node(seenBy);
    return [...(view?.cells ?? []), ...(view?.gateways ?? [])].find(({ id }) => id === member)?.state;
  }

  view(cell: string): View {
    const { view } = this.#node(cell);
    if (view === undefined) throw new Error(`cell ${cell} has told no view`);
    return view;
  }

  /** The newest map that a cell has kept; undefined: none but the one that it was deployed with. */
  mapOf(cell: string): ClusterMap | undefined {
    return this.#node(cell).disk.map;
  }

  /** Its disk is as it was before it knew a newer map. */
  forgetMap(cell: string): void {
    this.#node(cell).disk.map = undefined;
  }

  run(ms: number): this {
    const until = this.now + ms;
    for (;;) {
      const next = this.#take(until);
      if (next === undefined) break;
      this.now = next.at;
      next.run();
    }
    this.now = until;
    return this;
  }

  /** ms until something holds, looked at after every event. Throws when it does not within `msMax`. */
  until(holds: () => boolean, msMax: number): number {
    const from = this.now;
    while (!holds()) {
      const next = this.#take(from + msMax);
      if (next === undefined) throw new Error(`not within ${msMax} ms`);
      this.now = next.at;
      next.run();
    }
    return this.now - from;
  }

  #act(node: Node, act: () => void): void {
    if (node.isFrozen) {
      node.waiting.push(() => this.#act(node, act));
      return;
    }
    const { group } = node;
    if (group === undefined) return;
    act();
    for (const effect of group.takeEffects()) {
      switch (effect.type) {
        case "heartbeat":
          this.#ask(node, effect.to, effect.heartbeat, effect);
          break;
        case "view":
          node.disk.epoch = effect.view.epoch;
          for (const { kind, id, to, detail } of effect.changes)
            if (kind === "gateway") node.disk.gateways.set(id, detail === leftDetail ? "left" : to);
          node.view = effect.view;
          node.history.push(...effect.changes);
          break;
        case "map":
          node.disk.map = effect.map;
          node.view = effect.view;
          this.#copy(node, effect.map);
          break;
        case "fence":
          node.view = effect.view;
          node.fenced = effect.isFenced;
          break;
        case "refused map":
          node.refusals.push(effect.text);
          break;
        default:
          effect satisfies never;
      }
    }
    const deadline = group.nextDeadline() - node.skewMs;
    if (deadline === node.wakesAt) return;
    node.wakesAt = deadline;
    this.#after(Math.max(1, deadline - this.now), () => {
      if (node.group !== group || node.wakesAt !== deadline) return;
      this.#act(node, () => {
        node.wakesAt = 0;
        group.tick(this.#clock(node));
      });
    });
  }

  /** Primaries of this cell tell others all that they have, as the map says, and say so when that is done. */
  #copy(node: Node, map: ClusterMap): void {
    const { group } = node;
    for (const [exchange, { primary, joining }] of (map.assignments ?? []).entries()) {
      if (primary !== node.id) continue;
      this.#after(copyMs, () => {
        const isDone = joining !== undefined && this.isRunning(joining) && !this.isCut(node.id, joining);
        if (node.group !== group || node.disk.map !== map || !(isDone || joining === undefined)) return;
        this.#act(node, () => group?.replicaIsCopied(exchange, joining, this.#clock(node)));
      });
    }
  }

  /** A heartbeat, or an answer, as it comes to the other one. */
  #between(one: string, other: string, heartbeat: Heartbeat): Heartbeat {
    const { earlier = [] } = this.#options;
    const { writer, map, ...settings } = structuredClone(heartbeat);
    this.counts.maps += map === undefined ? 0 : 1;
    if (writer === undefined || earlier.includes(one) || earlier.includes(other)) return settings;
    return { ...settings, writer, ...(map === undefined ? {} : { map }) };
  }

  #ask(from: Node, to: string, heartbeat: Heartbeat, { timeoutMs, lateMs }: { timeoutMs: number; lateMs: number }): void {
    const { latencyMs = 1 } = this.#options;
    const other = this.#node(to);
    const { group } = from;
    this.counts.heartbeats += 1;
    let isOver = false;
    const over = (act: (now: number) => void): void => {
      if (isOver) return;
      isOver = true;
      this.#act(from, () => from.group === group && act(this.#clock(from)));
    };
    this.#after(timeoutMs, () =>
      this.#act(from, () => from.group === group && !isOver && group?.late(heartbeat.sequence, this.#clock(from))),
    );
    this.#after(lateMs, () => over((now) => group?.failed(heartbeat.sequence, "timeout", now)));
    if (this.#cuts.has(`${from.id} ${to}`)) return;
    this.#after(latencyMs, () => {
      if (other.group === undefined) {
        this.#after(latencyMs, () => over((now) => group?.failed(heartbeat.sequence, "refused", now)));
        return;
      }
      this.#act(other, () => {
        const answer = other.group?.received(this.#between(from.id, to, heartbeat), this.#clock(other));
        if (answer === undefined) return;
        this.counts.answers += 1;
        if (this.#cuts.has(`${from.id} ${to}`)) return;
        this.#after(latencyMs, () => over((now) => group?.answered(heartbeat.sequence, this.#between(from.id, to, answer), now)));
      });
    });
  }

  #beat(gateway: Gateway): void {
    this.#ping(gateway);
    this.#after(this.#periodMs, () => this.#beat(gateway));
  }

  #ping(gateway: Gateway): void {
    if (!gateway.isAlive || gateway.isFrozen) return;
    for (const cell of gateway.sockets) {
      this.counts.pings += 1;
      if (this.#cuts.has(`${gateway.id} ${cell}`)) continue;
      const node = this.#node(cell);
      this.#after(this.#options.latencyMs ?? 1, () => node.group?.gatewayHeard(gateway.id, this.#clock(node)));
    }
  }

  #connect(gateway: Gateway, node: Node): void {
    if (node.group === undefined || gateway.sockets.has(node.id)) return;
    gateway.sockets.add(node.id);
    this.#act(node, () => node.group?.gatewayOpened(gateway.id, this.#clock(node)));
  }

  #lose(gateway: Gateway, node: Node, hasLeft = false): void {
    gateway.sockets.delete(node.id);
    this.#act(node, () => node.group?.gatewayClosed(gateway.id, this.#clock(node), hasLeft));
  }

  #after(ms: number, run: () => void): void {
    this.#order += 1;
    const event = { at: this.now + ms, order: this.#order, run };
    const heap = this.#events;
    let child = heap.push(event) - 1;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || isBefore(above, event)) break;
      heap[child] = above;
      child = parent;
    }
    heap[child] = event;
  }

  #take(until: number): Event | undefined {
    const heap = this.#events;
    const [first] = heap;
    if (first === undefined || first.at > until) return undefined;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return first;
    let parent = 0;
    for (;;) {
      let child = 2 * parent + 1;
      const [left, right] = [heap[child], heap[child + 1]];
      if (left === undefined) break;
      if (right !== undefined && isBefore(right, left)) child += 1;
      const below = heap[child];
      if (below === undefined || isBefore(last, below)) break;
      heap[parent] = below;
      parent = child;
    }
    heap[parent] = last;
    return first;
  }

  #clock(node: Node): number {
    return this.now + node.skewMs;
  }

  #node(id: string): Node {
    const node = this.#nodes.get(id);
    if (node === undefined) throw new Error(`no cell ${id}`);
    return node;
  }

  #gateway(id: string): Gateway {
    const gateway = this.#gateways.get(id);
    if (gateway === undefined) throw new Error(`no gateway ${id}`);
    return gateway;
  }
}

function isBefore(left: Event, right: Event): boolean {
  return left.at < right.at || (left.at === right.at && left.order < right.order);
}

export function cellName(index: number): string {
  return index < 26 ? String.fromCharCode(97 + index) : `${cellName(Math.floor(index / 26) - 1)}${cellName(index % 26)}`;
}
