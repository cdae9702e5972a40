import { frameAnswerMsMax, frameValidMs } from "../actors/limits.ts";
import type { ClusterMap } from "../cluster/map/cluster-map.ts";
import { FarClock, TimelySend } from "../cluster/time/far-clock.ts";
import { fetchCell, octetsOfAnswer } from "./cells.ts";
import type { Environment } from "./environment.ts";

/**
 * Requests that come in time or have no effect, in HTTP: the query `until` names the time, ms by the receiver's clock, after which what the
 * request carries is not wanted any more; it is empty when the sender does not know that clock. Every answer says it in `tandem-now`. Refused
 * are what comes later, with 412 (though what ends calls and answers requests may have been taken), and what names no time, with 428. Without the query it is wanted whenever it comes.
 */
export const clockHeader = "tandem-now";
const tooLateStatus = 412;
const noTimeStatus = 428;

/** Frames to other cells, which must not be delivered when they are not waited for any more, and what is known of those cells' clocks. */
export class TimelyCalls {
  readonly #env: Environment;
  readonly #map: ClusterMap;
  readonly #clocks = new Map<string, FarClock>();

  constructor(env: Environment, map: ClusterMap) {
    this.#env = env;
    this.#map = map;
  }

  /** Brings a frame to another cell within {@link frameValidMs}; the answer's octets. Rejects when it was not delivered, or nobody knows. */
  async bring(cell: string, path: string, frame: Uint8Array): Promise<Uint8Array> {
    const send = new TimelySend(this.#clockOf(cell), Date.now(), frameValidMs, frameAnswerMsMax);
    for (;;) {
      const timed = `${path}&until=${send.until(Date.now()) ?? ""}`;
      const response = await fetchCell(this.#env, this.#map, cell, timed, frame, AbortSignal.timeout(frameAnswerMsMax));
      const isRefused = response.status === tooLateStatus || response.status === noTimeStatus;
      if (!isRefused || !send.refused(clockOf(response), Date.now())) return await this.#read(response, cell, timed);
      await response.body?.cancel();
    }
  }

  /** Asks what may be answered at any time; learns the cell's clock by it. */
  async ask(cell: string, path: string, body: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    return await this.#read(await fetchCell(this.#env, this.#map, cell, path, body, signal), cell, path);
  }

  async #read(response: Response, cell: string, path: string): Promise<Uint8Array> {
    this.#clockOf(cell).heard(clockOf(response), Date.now());
    return await octetsOfAnswer(response, cell, path);
  }

  #clockOf(cell: string): FarClock {
    let clock = this.#clocks.get(cell);
    if (clock === undefined) this.#clocks.set(cell, (clock = new FarClock()));
    return clock;
  }
}

/** What the query `until` of a request says: a time; undefined: it is wanted whenever it comes; NaN: its sender asks for the time. */
export function untilOf(query: string | undefined): number | undefined {
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

function clockOf(response: Response): number {
  return Number(response.headers.get(clockHeader) ?? Number.NaN);
}
