import { CoreGroupActor, type Beat, type BeatOutcome, type CoreGroupPorts } from "../../actors/core-group/core-group-actor.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import type { Heartbeat } from "../../cluster/group/heartbeat.ts";
import type { Change, SeenCause, View } from "../../cluster/group/view.ts";
import { later } from "../../sip/time.ts";
import { beatBackstopMs } from "../../workers/limits.ts";
import type { Cell } from "./cell.ts";
import type { End, EndHandlers } from "./network.ts";
import { ObjectLife, Unanswered } from "./object-life.ts";

type Control = { readonly end: End; heardAt: number };

/** Within this long one that has started has heard which map is the newest. */
const returnedMs = 3_000;

/** The core group of a cell: its object, and what outlives the memory of that: the gateways' control sockets and an alarm. */
export class CoreGroup {
  readonly #cell: Cell;
  readonly #controls = new Map<string, Control>();
  #life: ObjectLife;
  #actor: CoreGroupActor | undefined;
  /** When its alarm will ring, by the wall clock. */
  #alarmAt = 0;
  /** What waits for room on the disk. */
  #unwritten: (() => void)[] = [];

  constructor(cell: Cell) {
    this.#cell = cell;
    this.#life = new ObjectLife(cell.host);
  }

  /** Whatever comes starts it. */
  get actor(): CoreGroupActor {
    if (this.#actor !== undefined) return this.#actor;
    const { cluster, disk, id } = this.#cell;
    this.#life = new ObjectLife(this.#cell.host);
    const { epoch } = disk;
    const gateways = Array.from(disk.gateways, ([gateway, state]) => ({ id: gateway, state }));
    const actor = new CoreGroupActor(
      {
        cell: id,
        boot: cluster.random.id(),
        deployed: cluster.deployed,
        kept: disk.map,
        epoch,
        gateways,
        isDraining: false,
        left: disk.left,
      },
      this.#ports(this.#life),
    );
    this.#actor = actor;
    this.#cell.map = actor.map;
    this.#tick(actor);
    return actor;
  }

  /** Its memory is gone, and its WebSockets are closed. Its alarm is on the disk. */
  reset(): void {
    this.#cell.host.trace(() => "the core group is reset");
    for (const { end } of this.#controls.values()) end.close();
    this.#controls.clear();
    this.#life.end();
    this.#actor = undefined;
    this.#unwritten = [];
    this.#cell.host.at(this.#alarmAt, () => void this.actor);
  }

  accept(gateway: string, end: End): EndHandlers {
    const { host } = this.#cell;
    const control = { end, heardAt: host.wall };
    this.#controls.set(gateway, control);
    end.send(JSON.stringify({ type: "map", map: this.actor.map }));
    end.send(viewText(this.actor.view));
    this.actor.gatewayOpened(gateway);
    return {
      message: (data) => {
        if (data === "ping") {
          control.heardAt = host.wall;
          end.send("pong");
          return;
        }
        const { type, cell, seen } = JSON.parse(String(data)) as { readonly type: string; readonly cell: string; readonly seen: SeenCause };
        if (type === "lost") this.actor.suspect(cell, seen);
      },
      closed: () => {
        if (this.#controls.get(gateway) !== control) return;
        this.#controls.delete(gateway);
        this.actor.gatewayClosed(gateway, false);
      },
    };
  }

  #tick(actor: CoreGroupActor): void {
    actor.tick();
    actor.tellUntold();
  }

  #ports(life: ObjectLife): CoreGroupPorts {
    const { host } = this.#cell;
    const startedAt = this.#cell.cluster.world.now;
    const timer = life.timer(() => this.#tick(this.actor));
    return {
      now: life.clock.now,
      wallAt: life.clock.wallAt,
      heard: () => [...this.#controls].map(([gateway, { heardAt }]) => [gateway, heardAt] as const),
      arm: (nextTick, nextDeadline, now) => {
        // As in a cell of `tandem up` (workers/core-group/beat-waker.ts): its beats are timers, and the alarm is as far behind them as it may be.
        this.#alarmAt = life.clock.wallAt(later(now, Math.max(beatBackstopMs, nextTick - now)));
        if (!this.#cell.disk.isFull) for (const write of this.#unwritten.splice(0)) write();
        timer.set(Math.max(1, nextDeadline - now));
      },
      beat: (beat, late, over) =>
        this.#beat(
          beat,
          () => life.event(late),
          (outcome) => life.event(() => over(outcome)),
        ),
      keepView: ({ epoch }, changes) => this.#keepView(epoch, changes),
      keepMap: (map) => this.#keepMap(map),
      keepLeft: (exchanges) => {
        const { cluster, disk } = this.#cell;
        // It hears so only now: it was away when that was written.
        if (exchanges.length > 0 && cluster.world.now - startedAt < returnedMs)
          cluster.moments.reached("a cell comes back after others were given what it had");
        disk.left = exchanges;
      },
      sendToGateways: (message) => {
        for (const { end } of this.#controls.values()) end.send(JSON.stringify(message));
      },
      tellExchange: (exchange, view, told) =>
        host.soon(() => {
          this.#cell.replica(exchange).setView(view, this.#cell.map, (isServing) => {
            life.event(() => told(isServing === undefined ? new Unanswered("it was reset") : { isServing }));
          });
        }),
      drainLines: (mode) => this.#cell.drainLines(mode),
      singleton: (name, isOwner, since) => this.#cell.service.set(name, isOwner, since),
      askSingleton: (_name, answer) => answer(true),
      fenced: (isFenced) => host.trace(() => (isFenced ? "is fenced" : "is no longer fenced")),
      mapRefused: (text) => host.trace(() => text),
      untold: (exchange, _view, reason) => host.trace(() => `exchange ${exchange} was not told of a view: ${reason.message}`),
    };
  }

  #keepMap(map: ClusterMap): void {
    const { cluster, disk, host } = this.#cell;
    host.trace(() => `map ${map.version} of ${map.writer ?? "nobody"}`);
    this.#cell.map = map;
    cluster.learn(map);
    const write = (): void => void (disk.map = map);
    if (disk.isFull) this.#unwritten.push(write);
    else write();
  }

  #keepView(epoch: number, changes: readonly Change[]): void {
    const { disk, host } = this.#cell;
    for (const { kind, id, from, to, cause } of changes) host.trace(() => `view: ${kind} ${id} ${to}, was ${from}: ${cause}`);
    const write = (): void => {
      disk.epoch = epoch;
      for (const { kind, id, to } of changes) if (kind === "gateway") disk.gateways.set(id, to);
    };
    if (disk.isFull) this.#unwritten.push(write);
    else write();
  }

  #beat({ to, heartbeat, timeoutMs, lateMs }: Beat, late: () => void, over: (outcome: BeatOutcome) => void): void {
    const { cluster, host } = this.#cell;
    const other = cluster.cell(to);
    const abort = cluster.network.request<Heartbeat>(
      host,
      other.host,
      (reply) => reply(other.heartbeat(heartbeat)),
      (answer) => {
        timer.isOff = true;
        over(answer ?? { failure: host.speaksTo(other.host) ? "refused" : "another version" });
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
