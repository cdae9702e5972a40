import { FrameSocket, type FrameAnswer } from "../../actors/frame-socket.ts";
import { VirtualTime } from "./virtual-time.ts";

/** One end, what it was asked, and how it answers. */
export type OneEnd = {
  readonly socket: FrameSocket;
  /** Frames that it was asked to take, as text, and until when. */
  readonly taken: { readonly text: string; readonly until: number; readonly answer: (answer: FrameAnswer) => void }[];
  /** What became of its own questions, in short. */
  readonly outcomes: string[];
  endings: number;
  isClosed: boolean;
  ask(text: string, until?: number): boolean;
};

const [encoder, decoder] = [new TextEncoder(), new TextDecoder()];

/** A line's end and an exchange's of one WebSocket. What is said waits in `way` until it is brought. */
export class TwoEnds {
  readonly time = new VirtualTime();
  readonly line: OneEnd;
  readonly exchange: OneEnd;
  /** Under way, in order. Nothing of it may count twice. */
  way: { readonly to: OneEnd; readonly octets: Uint8Array | "end" }[] = [];

  /** The exchange's clock is so much ahead. */
  constructor(idleMs: number, leftMs: number, aheadMs = 0) {
    this.line = this.#end(idleMs, () => this.exchange, 0);
    this.exchange = this.#end(leftMs, () => this.line, aheadMs);
  }

  /** Brings what is under way, and what is said to that. */
  bring(): void {
    for (let next = this.way.shift(); next !== undefined; next = this.way.shift()) {
      if (next.octets === "end") next.to.socket.closed();
      else next.to.socket.received(next.octets);
    }
  }

  /** The way is cut, or a process has died: the ends see it close. */
  break(): void {
    this.way = [];
    this.line.socket.closed();
    this.exchange.socket.closed();
  }

  #end(idleMs: number, other: () => OneEnd, aheadMs: number): OneEnd {
    const now = (): number => this.time.now;
    const end: Omit<OneEnd, "socket"> = {
      taken: [],
      outcomes: [],
      endings: 0,
      isClosed: false,
      ask: (text, until) =>
        whole.socket.ask(encoder.encode(text), until, (asked) => {
          if (asked === "untaken") end.outcomes.push(`${text}: untaken`);
          else if (asked.isRefused) end.outcomes.push(`${text}: late, it is ${asked.clock - this.time.now} there`);
          else end.outcomes.push(`${text}: ${asked.result instanceof Error ? asked.result.message : decoder.decode(asked.result)}`);
        }),
    };
    const socket = new FrameSocket({
      socket: {
        send: (octets) => this.way.push({ to: other(), octets }),
        close: () => {
          whole.isClosed = true;
          this.way.push({ to: other(), octets: "end" });
        },
      },
      now,
      wallAt: (moment) => moment + aheadMs,
      timer: (run) => this.time.timer(run),
      take: (frame, until, answer) => end.taken.push({ text: decoder.decode(frame), until, answer }),
      ended: () => void (whole.endings += 1),
      idleMs,
    });
    const whole: OneEnd = Object.assign(end, { socket });
    return whole;
  }
}

export function octetsOf(text: string): Uint8Array {
  return encoder.encode(text);
}
