import type { FrameSocket } from "../actors/frame-socket.ts";
import { frameAnswerMsMax } from "../actors/limits.ts";
import { TimelyCalls as Calls, type TimelyOutcome } from "../actors/timely-calls.ts";
import { fetchCell, octetsOfAnswer } from "./cells.ts";
import { clusterMapOf, type Environment } from "./environment.ts";
import { isMoved, learnWhereTo } from "./moved.ts";
import type { Clocks, WallMs } from "../sip/time.ts";

/**
 * Requests that come in time or have no effect, in HTTP. The query `until` names the time, ms by the receiver's clock, after which what the request
 * carries is not wanted any more. It is empty when the sender does not know that clock. Every answer says it in `tandem-now`. Refused are what comes
 * later, with 412 (though what ends calls and answers requests may have been taken), and what names no time, with 428. Without the query it is wanted
 * whenever it comes.
 */
export const clockHeader = "tandem-now";
const tooLateStatus = 412;
const noTimeStatus = 428;

/** `socket`: the WebSocket that there is to its receiver. */
type Frame = { readonly path: string; readonly octets: Uint8Array; readonly socket: () => FrameSocket | undefined };

/** Frames to other cells, which must not be delivered when they are not waited for any more: over a WebSocket, or as signed requests. */
export class TimelyCalls {
  readonly #env: Environment;
  readonly #now: Clocks["now"];
  readonly #calls: Calls<Frame>;

  constructor(env: Environment, now: Clocks["now"]) {
    this.#env = env;
    this.#now = now;
    this.#calls = new Calls((cell, frame, until, over) => this.#send(cell, frame, until, over), now);
  }

  /** Brings a frame to another cell in time; the answer's octets. Rejects when it was not delivered, or nobody knows. */
  bring(cell: string, path: string, octets: Uint8Array, socket: Frame["socket"]): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#calls.bring(cell, { path, octets, socket }, (result) => (result instanceof Error ? reject(result) : resolve(result)));
    });
  }

  /** Asks what may be answered at any time; learns the cell's clock by it. */
  async ask(cell: string, path: string, body: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    const response = await fetchCell(this.#env, clusterMapOf(this.#env), cell, path, body, signal);
    this.#calls.heard(cell, clockOf(response));
    return await octetsOfAnswer(response, cell, path);
  }

  #send(cell: string, frame: Frame, until: WallMs | undefined, over: (outcome: TimelyOutcome) => void): void {
    const request = (): void => void this.#request(cell, frame, until).then(over);
    const asked = frame.socket()?.ask(frame.octets, until, (outcome) => {
      if (outcome === "untaken") return request();
      if (isMoved(outcome.result)) void learnWhereTo(this.#env).then(() => over(outcome));
      else over(outcome);
    });
    if (asked !== true) request();
  }

  async #request(cell: string, { path, octets }: Frame, until: WallMs | undefined): Promise<TimelyOutcome> {
    const timed = `${path}&until=${until ?? ""}`;
    let [isRefused, clock, heardAt] = [false, Number.NaN, this.#now()];
    try {
      const response = await fetchCell(this.#env, clusterMapOf(this.#env), cell, timed, octets, AbortSignal.timeout(frameAnswerMsMax));
      isRefused = response.status === tooLateStatus || response.status === noTimeStatus;
      [clock, heardAt] = [clockOf(response), this.#now()];
      return { result: await octetsOfAnswer(response, cell, timed), isRefused, clock, heardAt };
    } catch (error) {
      return { result: error instanceof Error ? error : new Error(String(error)), isRefused, clock, heardAt };
    }
  }
}

/** What the query `until` of a request says: a time; undefined: it is wanted whenever it comes; NaN: its sender asks for the time. */
export function untilOf(query: string | undefined): WallMs | undefined {
  if (query === undefined) return undefined;
  return query === "" ? Number.NaN : Number(query);
}

/** How a frame is answered that came too late. */
export function tooLate(): Response {
  return Response.json({ error: "it came too late" }, { status: tooLateStatus });
}

/** How a frame is answered that names no time. */
export function noTime(): Response {
  return Response.json({ error: "it names no time until which it is wanted" }, { status: noTimeStatus });
}

function clockOf(response: Response): WallMs {
  return Number(response.headers.get(clockHeader) ?? Number.NaN);
}
