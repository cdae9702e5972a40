import type { BackhaulSocket, BackhaulState } from "../../actors/exchange/ports.ts";
import type { ExchangeDisk } from "./cell-disk.ts";
import type { Cell } from "./cell.ts";
import type { End, EndHandlers } from "./network.ts";
import { Replica } from "./replica.ts";
import { describeFrame } from "./describe.ts";
import type { Planned } from "./world.ts";

/**
 * Where one replica of one exchange lives in the process of its cell: what outlives the memory of a Durable Object, and the replica itself while it is
 * awake.
 */
export class ExchangePlace {
  readonly cell: Cell;
  readonly number: number;
  readonly disk: ExchangeDisk;
  /** The gateways' backhauls, hibernatable WebSockets. */
  readonly sockets = new Set<SocketOfBackhaul>();
  /** What a replica that sleeps has lost nothing of (workers/exchange/rest.ts); undefined: something is in progress. */
  orphansUntil: number | undefined;
  #replica: Replica | undefined;
  #alarm: Planned | undefined;
  #alarmAt = Number.POSITIVE_INFINITY;

  constructor(cell: Cell, number: number) {
    this.cell = cell;
    this.number = number;
    this.disk = cell.disk.ofExchange(number);
  }

  /** Undefined: it sleeps, or has not started. */
  get awake(): Replica | undefined {
    return this.#replica;
  }

  /** Whatever comes wakes it. */
  wake(): Replica {
    if (this.#replica === undefined) {
      this.cell.host.trace(() => `exchange ${this.number} starts`);
      const replica = new Replica(this);
      this.#replica = replica;
      // It may be reset before it has begun.
      replica.start();
      return replica;
    }
    return this.#replica;
  }

  /** The runtime puts it to sleep, if nothing is under way. */
  sleep(): boolean {
    const { cluster, host } = this.cell;
    if (this.#replica?.maySleep !== true) return false;
    host.trace(() => `exchange ${this.number} sleeps`);
    if (this.#replica.exchange.store.count("dialog") > 0) cluster.moments.reached("an exchange sleeps while a call stands");
    this.#forget();
    return true;
  }

  /** Its memory is gone, whatever it did, and its WebSockets are closed: on Cloudflare with every reset, in workerd as well. */
  reset(reason: string): void {
    const { cluster, host } = this.cell;
    host.trace(() => `exchange ${this.number} is reset: ${reason}`);
    if ((this.#replica?.exchange.store.count("invite") ?? 0) > 0) cluster.moments.reached("an exchange is reset while a call is set up");
    for (const socket of this.sockets) socket.end.close();
    this.sockets.clear();
    this.#forget();
  }

  /** A gateway's backhaul; pings are answered by the runtime. */
  accept(gateway: string, end: End): EndHandlers {
    const socket = new SocketOfBackhaul(end, (frame) => this.traceOut(gateway, frame));
    this.sockets.add(socket);
    this.wake().accept(gateway, socket);
    return {
      message: (data) => (data === "ping" ? end.send("pong") : this.wake().takeBackhaulFrame(gateway, socket, data as Uint8Array)),
      closed: () => {
        if (this.sockets.delete(socket)) this.wake().backhaulClosed(socket);
      },
    };
  }

  /** An alarm is on the disk, and wakes the object. One that is set later than the one before is none. */
  arm(at: number): void {
    if (this.#alarmAt <= at || this.cell.disk.isFull) return;
    if (this.#alarm !== undefined) this.#alarm.isOff = true;
    this.#alarmAt = at;
    this.#waitForAlarm();
  }

  /** It waits for a moment of the wall clock, and anew when that was set back meanwhile (workerd's alarm-scheduler.c++). */
  #waitForAlarm(): void {
    const { host } = this.cell;
    this.#alarm = host.at(this.#alarmAt, () => {
      if (host.wall < this.#alarmAt) return this.#waitForAlarm();
      this.#alarmAt = Number.POSITIVE_INFINITY;
      this.wake().alarmRang();
    });
  }

  /** A frame from an access is about to be processed. */
  comesIn(access: string, frame: Uint8Array): void {
    this.cell.cluster.aims?.taken(this, frame);
    this.cell.host.trace(() => `exchange ${this.number} < ${access}: ${describeFrame(frame)}`);
  }

  traceOut(access: string, frame: Uint8Array): void {
    this.cell.host.trace(() => `exchange ${this.number} > ${access}: ${describeFrame(frame)}`);
  }

  #forget(): void {
    const replica = this.#replica;
    this.#replica = undefined;
    replica?.end();
  }
}

/** The WebSocket of a backhaul: one end of a simulated connection, with its attachment. */
export class SocketOfBackhaul implements BackhaulSocket {
  readonly end: End;
  /** What an actor that wakes is given. */
  state: BackhaulState | undefined;
  readonly #trace: (frame: Uint8Array) => void;

  constructor(end: End, trace: (frame: Uint8Array) => void) {
    this.end = end;
    this.#trace = trace;
  }

  send(frame: Uint8Array): boolean {
    if (!this.end.isOpen) return false;
    this.#trace(frame);
    this.end.send(frame);
    return true;
  }

  close(): void {
    this.end.close();
  }

  keep(state: BackhaulState): void {
    this.state = state;
  }
}
