import { FrameSocket, type FrameSocketOptions, type OpenSocket } from "../frame-socket.ts";
import { frameSocketLeftMs } from "../limits.ts";
import type { MakeTimer } from "../timer.ts";
import type { Clocks } from "../../sip/time.ts";

export type LineSocketsOptions = Clocks & {
  readonly timer: MakeTimer;
  /** Takes a frame of a line's. */
  readonly take: (access: string, ...frame: Parameters<FrameSocketOptions["take"]>) => void;
};

/** The WebSockets that lines of other cells have opened to a replica. What it has for such a line goes over the one that came last. */
export class LineSockets {
  readonly #options: LineSocketsOptions;
  readonly #sockets = new Map<string, FrameSocket>();

  constructor(options: LineSocketsOptions) {
    this.#options = options;
  }

  /** A frame leaves now for a line: over this WebSocket, or undefined: by a request. */
  socketFor(access: string): FrameSocket | undefined {
    return this.#sockets.get(access);
  }

  /** A line has opened one. What happens to it is told to what this returns. */
  accept(access: string, opened: OpenSocket): FrameSocket {
    const { now, wallAt, timer, take } = this.#options;
    this.#sockets.get(access)?.leave();
    const socket = new FrameSocket({
      socket: opened,
      now,
      wallAt,
      timer,
      take: (frame, until, answer) => take(access, frame, until, answer),
      ended: () => {
        if (this.#sockets.get(access) === socket) this.#sockets.delete(access);
      },
      idleMs: frameSocketLeftMs,
    });
    this.#sockets.set(access, socket);
    return socket;
  }
}
