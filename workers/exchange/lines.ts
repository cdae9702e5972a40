import { frameAnswerMsMax, frameValidMs } from "../../actors/limits.ts";
import type { LinePort } from "../../actors/exchange/ports.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { cellOfLine } from "../../sip/flow/flow.ts";
import { within } from "../cells.ts";
import { lineName, type Environment } from "../environment.ts";
import type { TimelyCalls } from "../timely-calls.ts";
import { warnOf } from "../way-lost.ts";

/** The way from an exchange to lines: a call within the cell, a signed request to another one. */
export class Lines implements LinePort {
  readonly #env: Environment;
  readonly #map: ClusterMap;
  readonly #exchange: number;
  readonly #calls: TimelyCalls;

  constructor(env: Environment, map: ClusterMap, exchange: number, calls: TimelyCalls) {
    this.#env = env;
    this.#map = map;
    this.#exchange = exchange;
    this.#calls = calls;
  }

  bring(access: string, frame: Uint8Array, done: (answer: Uint8Array | undefined) => void): void {
    void this.#bring(access, frame, done);
  }

  async #bring(access: string, frame: Uint8Array, done: (answer: Uint8Array | undefined) => void): Promise<void> {
    let answer: Uint8Array | undefined;
    try {
      answer = await this.#call(access, frame);
    } catch (error) {
      warnOf(`exchange ${this.#exchange}: line ${access} is unreachable`, error);
    }
    done(answer);
  }

  async #call(access: string, frame: Uint8Array): Promise<Uint8Array> {
    const cell = cellOfLine(access);
    const line = Number(access.slice(cell.length + 1));
    if (!Number.isInteger(line) || line < 0 || line >= this.#map.lineCount) throw new Error("no such line");
    if (cell !== this.#env.CELL) return await this.#calls.bring(cell, `/cell/line/${line}?exchange=${this.#exchange}`, frame);
    return await within(this.#deliverHere(line, frame), frameAnswerMsMax);
  }

  async #deliverHere(line: number, frame: Uint8Array): Promise<Uint8Array> {
    const answer = await this.#env.LINE.getByName(lineName(line)).deliver(frame, Date.now() + frameValidMs);
    if (answer === undefined) throw new Error("it came too late");
    return answer;
  }
}
