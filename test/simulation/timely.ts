import type { FrameSocket } from "../../actors/frame-socket.ts";
import { frameAnswerMsMax } from "../../actors/limits.ts";
import { TimelyCalls as Calls, type TimelyOutcome } from "../../actors/timely-calls.ts";
import type { Clocks } from "../../sip/time.ts";
import type { Cell } from "./cell.ts";

/** What the other cell says to a frame. Undefined: it comes too late; an error: nobody knows what became of it. */
type Answered = Uint8Array | Error | undefined;

type Answer = { readonly octets: Answered; readonly clock: number };

/** Runs at the other cell. */
type Handle = (until: number, answer: (octets: Answered) => void) => void;

/** `socket`: the WebSocket that there is to its receiver. */
type Frame = { readonly octets: Uint8Array; readonly socket: () => FrameSocket | undefined; readonly handle: Handle };

const unanswered = new Error("no answer");

/** Frames to other cells that come in time or not at all, over the simulated network. */
export class TimelyCalls {
  readonly #cell: Cell;
  readonly #now: Clocks["now"];
  readonly #calls: Calls<Frame>;

  constructor(cell: Cell, now: Clocks["now"]) {
    this.#cell = cell;
    this.#now = now;
    this.#calls = new Calls((to, frame, until, over) => this.#send(to, frame, until, over), now);
  }

  bring(target: Cell, frame: Frame, done: (octets: Uint8Array | undefined) => void): void {
    this.#calls.bring(target.id, frame, (result) => done(result instanceof Error ? undefined : result));
  }

  #send(cell: string, frame: Frame, until: number | undefined, over: (outcome: TimelyOutcome) => void): void {
    const { moments } = this.#cell.cluster;
    const request = (): void => this.#request(cell, frame.handle, until, over);
    const isAsked = frame.socket()?.ask(frame.octets, until, (outcome) => {
      if (outcome === "untaken") return request();
      const hasFailed = outcome.result instanceof Error && !outcome.isRefused;
      if (hasFailed) moments.reached("a WebSocket between line and exchange ends with a frame");
      over(outcome);
    });
    if (isAsked !== true) request();
    else moments.reached("a frame goes over a WebSocket between line and exchange");
  }

  #request(cell: string, handle: Handle, until: number | undefined, over: (outcome: TimelyOutcome) => void): void {
    const { host, cluster } = this.#cell;
    const target = cluster.cell(cell);
    const end = (result: Uint8Array | Error, isRefused: boolean, clock: number): void =>
      over({ result, isRefused, clock, heardAt: this.#now() });
    const timer = host.after(frameAnswerMsMax, () => {
      abort();
      end(unanswered, false, Number.NaN);
    });
    const abort = cluster.network.request<Answer>(
      host,
      target.host,
      (reply) => {
        const answer = (octets: Answered): void => reply({ octets, clock: target.host.wall });
        if (until === undefined) answer(undefined);
        else handle(until, answer);
      },
      (answer) => {
        timer.isOff = true;
        end(answer?.octets ?? unanswered, answer !== undefined && answer.octets === undefined, answer?.clock ?? Number.NaN);
      },
    );
  }
}
