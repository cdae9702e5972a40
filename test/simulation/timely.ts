import { FarClock, TimelySend } from "../../cluster/time/far-clock.ts";
import { frameAnswerMsMax, frameValidMs } from "../../actors/limits.ts";
import type { Cell } from "./cell.ts";

type Answer = { readonly octets: Uint8Array | undefined; readonly clock: number };

/** Frames to other cells that come in time or not at all: workers/timely-calls.ts. */
export class TimelyCalls {
  readonly #cell: Cell;
  readonly #clocks = new Map<string, FarClock>();

  constructor(cell: Cell) {
    this.#cell = cell;
  }

  /** `handle` runs at the target, unless it is too late there; it answers undefined when it is too late by then. */
  bring(
    target: Cell,
    handle: (until: number, answer: (octets: Uint8Array | undefined) => void) => void,
    done: (octets: Uint8Array | undefined) => void,
  ): void {
    const { host, cluster } = this.#cell;
    const clock = this.#clocks.get(target.id) ?? new FarClock();
    this.#clocks.set(target.id, clock);
    const send = new TimelySend(clock, host.now, frameValidMs, frameAnswerMsMax);
    const attempt = (): void => {
      const until = send.until(host.now);
      const timer = host.after(frameAnswerMsMax, () => {
        abort();
        done(undefined);
      });
      const abort = cluster.network.request<Answer>(
        host,
        target.host,
        (reply) => {
          const answer = (octets: Uint8Array | undefined): void => reply({ octets, clock: target.host.now });
          if (until === undefined) answer(undefined);
          else handle(until, answer);
        },
        (answer) => {
          timer.isOff = true;
          if (answer?.octets !== undefined) clock.heard(answer.clock, host.now);
          else if (answer !== undefined && send.refused(answer.clock, host.now)) return attempt();
          done(answer?.octets);
        },
      );
    };
    attempt();
  }
}
