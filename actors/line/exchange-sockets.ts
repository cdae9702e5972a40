import { BusyWay } from "../busy-way.ts";
import { FrameSocket, type FrameSocketOptions, type OpenSocket } from "../frame-socket.ts";
import { frameSocketFrames, frameSocketIdleMs, frameSocketRetryMs } from "../limits.ts";
import type { MakeTimer } from "../timer.ts";
import type { Clocks } from "../../sip/time.ts";

export type ExchangeSocketsOptions = Clocks & {
  readonly timer: MakeTimer;
  /** Opens a WebSocket to a replica, if that can be had. `opened` is called once it is; what happens to it is told to what that returns. */
  readonly open: (exchange: number, cell: string, opened: (socket: OpenSocket) => FrameSocket) => void;
  /** Takes a frame of an exchange's. */
  readonly take: FrameSocketOptions["take"];
};

type Way = { readonly busy: BusyWay; socket: FrameSocket | undefined };

/**
 * A line's WebSockets to replicas in other cells, one to each that is spoken to often. The line opens them, for it is to softphones what a gateway is to
 * phones. The replica asks on them as well: docs/decisions/0045-a-busy-line-has-websockets.md.
 */
export class ExchangeSockets {
  readonly #options: ExchangeSocketsOptions;
  /** By `<exchange>.<cell>`. */
  readonly #ways = new Map<string, Way>();

  constructor(options: ExchangeSocketsOptions) {
    this.#options = options;
  }

  /** A frame leaves now for a replica: over this WebSocket, or undefined: by a request. */
  socketFor(exchange: number, cell: string): FrameSocket | undefined {
    const name = `${exchange}.${cell}`;
    let way = this.#ways.get(name);
    if (way === undefined) this.#ways.set(name, (way = { busy: new BusyWay(limits), socket: undefined }));
    if (way.busy.leaves(this.#options.now()) === "open") this.#open(exchange, cell, way);
    return way.socket;
  }

  #open(exchange: number, cell: string, way: Way): void {
    const { now, wallAt, timer, open, take } = this.#options;
    open(exchange, cell, (opened) => {
      way.socket?.leave();
      const ended = (): void => {
        if (way.socket !== socket) return;
        way.socket = undefined;
        way.busy.ended();
      };
      const socket = new FrameSocket({ socket: opened, now, wallAt, timer, take, ended, idleMs: frameSocketIdleMs });
      way.socket = socket;
      way.busy.opened();
      return socket;
    });
  }
}

const limits = { messages: frameSocketFrames, idleMs: frameSocketIdleMs, retryMs: frameSocketRetryMs };
