import { CoreGroup, type Effect } from "../../cluster/group/core-group.ts";
import type { Heartbeat } from "../../cluster/group/heartbeat.ts";
import type { SeenCause, View } from "../../cluster/group/view.ts";
import { pairOf } from "../../cluster/map/cluster-map.ts";
import { standstillMsMin } from "../../actors/limits.ts";
import { CellDisk } from "./cell-disk.ts";
import type { Cluster } from "./cluster.ts";
import { Host, type Clock } from "./host.ts";
import { Line } from "./line.ts";
import type { End, EndHandlers } from "./network.ts";
import { Replica } from "./replica.ts";
import type { Planned } from "./world.ts";

type Control = { readonly end: End; heardAt: number };

/** A cell: one process with a disk, its core group, its replicas, its lines; each starts when it is needed first, as objects do. */
export class Cell {
  readonly id: string;
  readonly cluster: Cluster;
  readonly host: Host;
  readonly disk = new CellDisk();
  /** What exchanges that sleep have lost nothing of (workers/exchange/rest.ts): it ends with the process. */
  readonly resting = new Map<number, number>();
  readonly #replicas = new Map<number, Replica>();
  readonly #lines = new Map<string, Line>();
  readonly #controls = new Map<string, Control>();
  #group: CoreGroup | undefined;
  #wentOnAt = 0;
  #timer: Planned | undefined;

  constructor(cluster: Cluster, id: string, clock: Clock) {
    this.cluster = cluster;
    this.id = id;
    this.host = new Host(cluster.world, id, clock);
  }

  start(): void {
    this.host.start(() => {
      this.#replicas.clear();
      this.resting.clear();
      this.#lines.clear();
      this.#controls.clear();
      this.#wentOnAt = 0;
      const { map, random } = this.cluster;
      this.#group = new CoreGroup(
        {
          cell: this.id,
          boot: random.id(),
          cells: map.cells.map(({ id }) => id),
          settings: { version: map.version, heartbeat: map.heartbeat },
          epoch: this.disk.epoch,
          gateways: [],
        },
        this.host.now,
      );
      this.#event(() => {});
    });
  }

  get view(): View {
    return this.group.view();
  }

  get group(): CoreGroup {
    if (this.#group === undefined) throw new Error("no core group");
    return this.#group;
  }

  /** Those that have started. */
  get replicas(): IterableIterator<Replica> {
    return this.#replicas.values();
  }

  get lines(): IterableIterator<Line> {
    return this.#lines.values();
  }

  replica(exchange: number): Replica {
    let replica = this.#replicas.get(exchange);
    if (replica === undefined) {
      this.host.trace(() => `exchange ${exchange} starts`);
      replica = new Replica(this, exchange);
      this.#replicas.set(exchange, replica);
    }
    return replica;
  }

  line(access: string): Line {
    let line = this.#lines.get(access);
    if (line === undefined) {
      line = new Line(this, access);
      this.#lines.set(access, line);
    }
    return line;
  }

  /** A gateway's backhaul; pings are answered by the runtime. */
  acceptBackhaul(exchange: number, gateway: string, end: End): EndHandlers {
    const replica = this.replica(exchange);
    const handlers = replica.accept(gateway, end);
    return { message: (data) => (data === "ping" ? end.send("pong") : handlers.message(data)), closed: () => handlers.closed() };
  }

  acceptControl(gateway: string, end: End): EndHandlers {
    const control = { end, heardAt: this.host.now };
    this.#controls.set(gateway, control);
    end.send(JSON.stringify({ type: "map", map: this.cluster.map }));
    end.send(viewText(this.view));
    this.#event((now) => this.group.gatewayOpened(gateway, now));
    return {
      message: (data) => {
        if (data === "ping") {
          control.heardAt = this.host.now;
          end.send("pong");
          return;
        }
        const { type, cell, seen } = JSON.parse(String(data)) as { readonly type: string; readonly cell: string; readonly seen: SeenCause };
        if (type === "lost") this.suspect(cell, seen);
      },
      closed: () => {
        if (this.#controls.get(gateway) !== control) return;
        this.#controls.delete(gateway);
        this.#event((now) => this.group.gatewayClosed(gateway, now));
      },
    };
  }

  suspect(cell: string, seen: SeenCause): void {
    this.#event((now) => this.group.suspect(cell, seen, now));
  }

  /** When it went on after it had stood still, as its core group sees it. */
  get wentOnAt(): number {
    this.#event(() => {});
    return this.#wentOnAt;
  }

  #event(act: (now: number) => void): void {
    const { now } = this.host;
    for (const [gateway, { heardAt }] of this.#controls) this.group.gatewayHeard(gateway, heardAt);
    if (now - this.group.nextTick >= standstillMsMin) this.#wentOnAt = now;
    if (now - this.group.nextTick > this.cluster.map.heartbeat.periodMs) this.group.tick(now);
    act(now);
    this.#carryOut();
    const deadline = this.group.nextDeadline();
    if (this.#timer !== undefined) this.#timer.isOff = true;
    this.#timer = this.host.at(Math.max(deadline, now + 1), () => this.#event((time) => this.group.tick(time)));
  }

  #carryOut(): void {
    for (let effects = this.group.takeEffects(); effects.length > 0; effects = this.group.takeEffects()) {
      for (const effect of effects) this.#do(effect);
    }
  }

  #do(effect: Effect): void {
    switch (effect.type) {
      case "heartbeat":
        return this.#beat(effect.to, effect.heartbeat, effect.timeoutMs);
      case "view": {
        this.disk.epoch = effect.view.epoch;
        for (const { kind, id, from, to, cause } of effect.changes)
          this.host.trace(() => `view: ${kind} ${id} ${to}, was ${from}: ${cause}`);
        for (const { end } of this.#controls.values()) end.send(viewText(effect.view));
        const cells = new Set(effect.changes.filter(({ kind }) => kind === "cell").map(({ id }) => id));
        return this.#tell(cells);
      }
      case "fence":
        this.host.trace(() => (effect.isFenced ? "is fenced" : "is no longer fenced"));
        for (const { end } of this.#controls.values()) end.send(viewText(effect.view));
        return this.#tell(new Set(this.cluster.map.cells.map(({ id }) => id)));
      case "settings":
        return undefined;
    }
    return effect satisfies never;
  }

  /** The exchanges that run, and those whose pair it is about. */
  #tell(cells: ReadonlySet<string>): void {
    const { exchangeCount } = this.cluster.map;
    for (let exchange = 0; exchange < exchangeCount; exchange += 1) {
      const { primary, secondary } = pairOf(this.cluster.map, exchange);
      const other = primary === this.id ? secondary : secondary === this.id ? primary : undefined;
      if (other === undefined || !(this.#replicas.has(exchange) || cells.has(other))) continue;
      this.host.soon(() => this.replica(exchange).setView(this.view));
    }
  }

  #beat(to: string, heartbeat: Heartbeat, timeoutMs: number): void {
    const { host } = this;
    const other = this.cluster.cell(to);
    const { sequence } = heartbeat;
    const abort = this.cluster.network.request<Heartbeat>(
      host,
      other.host,
      (reply) => reply(other.#heard(heartbeat)),
      (answer) => {
        timer.isOff = true;
        this.#event((now) => {
          if (answer === undefined) this.group.failed(sequence, "refused", now);
          else this.group.answered(sequence, answer, now);
        });
      },
    );
    const timer = host.after(timeoutMs, () => {
      abort();
      this.#event((now) => this.group.failed(sequence, "timeout", now));
    });
  }

  #heard(heartbeat: Heartbeat): Heartbeat {
    let answer: Heartbeat | undefined;
    this.#event((now) => {
      answer = this.group.received(heartbeat, now);
    });
    if (answer === undefined) throw new Error("no answer to a heartbeat");
    return answer;
  }
}

/** As it goes to gateways. */
function viewText(view: View): string {
  return JSON.stringify({ type: "view", view });
}
