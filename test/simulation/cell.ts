import { CoreGroupActor, type Beat, type BeatOutcome, type CoreGroupPorts } from "../../actors/core-group/core-group-actor.ts";
import type { Heartbeat } from "../../cluster/group/heartbeat.ts";
import type { SeenCause, View } from "../../cluster/group/view.ts";
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
  #group: CoreGroupActor | undefined;
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
      const { map, random } = this.cluster;
      this.#group = new CoreGroupActor(
        { cell: this.id, boot: random.id(), map, settings: undefined, epoch: this.disk.epoch, gateways: [], isDraining: false },
        this.#ports(),
      );
      this.#group.tick();
    });
  }

  get view(): View {
    return this.#actor.view;
  }

  /** The view, for an exchange that starts: see the actor's. */
  viewFor(exchange: number, isSyncing: boolean): View {
    return this.#actor.viewFor(exchange, isSyncing);
  }

  /** An exchange knows what its peer knows, or serves without. */
  caughtUp(exchange: number): void {
    this.#actor.caughtUp(exchange);
  }

  get #actor(): CoreGroupActor {
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
    this.#actor.gatewayOpened(gateway);
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
        this.#actor.gatewayClosed(gateway, false);
      },
    };
  }

  suspect(cell: string, seen: SeenCause): void {
    this.#actor.suspect(cell, seen);
  }

  /** When it went on after it had stood still, as its core group sees it. */
  get wentOnAt(): number {
    return this.#actor.wentOnAt();
  }

  #ports(): CoreGroupPorts {
    const { host } = this;
    return {
      now: () => host.now,
      heard: () => [...this.#controls].map(([gateway, { heardAt }]) => [gateway, heardAt] as const),
      arm: (_nextTick, nextDeadline, now) => {
        if (this.#timer !== undefined) this.#timer.isOff = true;
        this.#timer = host.at(Math.max(nextDeadline, now + 1), () => this.#actor.tick());
      },
      beat: (beat, late, over) => this.#beat(beat, late, over),
      keepView: ({ epoch }, changes) => {
        this.disk.epoch = epoch;
        for (const { kind, id, from, to, cause } of changes) host.trace(() => `view: ${kind} ${id} ${to}, was ${from}: ${cause}`);
      },
      keepSettings: () => undefined,
      sendToGateways: (message) => {
        for (const { end } of this.#controls.values()) end.send(JSON.stringify(message));
      },
      tellExchange: (exchange, view, told) =>
        host.soon(() => {
          const replica = this.replica(exchange);
          replica.setView(view);
          told({ isServing: replica.isServing });
        }),
      drainLines: () => undefined,
      fenced: (isFenced) => host.trace(() => (isFenced ? "is fenced" : "is no longer fenced")),
      untold: (_exchange, _view, reason) => host.threw(reason),
    };
  }

  #beat({ to, heartbeat, timeoutMs, lateMs }: Beat, late: () => void, over: (outcome: BeatOutcome) => void): void {
    const { host } = this;
    const other = this.cluster.cell(to);
    const abort = this.cluster.network.request<Heartbeat>(
      host,
      other.host,
      (reply) => reply(other.#actor.heartbeat(heartbeat)),
      (answer) => {
        timer.isOff = true;
        over(answer ?? { failure: "refused" });
      },
    );
    const giveUp = (): void => {
      abort();
      over({ failure: "timeout" });
    };
    let timer = host.after(timeoutMs, () => {
      timer = host.after(lateMs - timeoutMs, giveUp);
      late();
    });
  }
}

/** As it goes to gateways. */
function viewText(view: View): string {
  return JSON.stringify({ type: "view", view });
}
