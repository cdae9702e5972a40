import { frameAnswerMsMax, frameValidMs } from "../../actors/limits.ts";
import type { LineSockets } from "../../actors/exchange/line-sockets.ts";
import type { LinePort } from "../../actors/exchange/ports.ts";
import { cellOfLine } from "../../sip/flow/flow.ts";
import { within } from "../cells.ts";
import { clusterMapOf, type Environment, lineObject } from "../environment.ts";
import type { TimelyCalls } from "../timely-calls.ts";
import { warnOf } from "../way-lost.ts";

/** The way from an exchange to lines: a call within the cell, over a WebSocket that the line has opened to another one, or a signed request. */
export class Lines implements LinePort {
  readonly #env: Environment;
  readonly #exchange: number;
  readonly #calls: TimelyCalls;
  readonly #sockets: LineSockets;

  constructor(env: Environment, exchange: number, calls: TimelyCalls, sockets: LineSockets) {
    this.#env = env;
    this.#exchange = exchange;
    this.#calls = calls;
    this.#sockets = sockets;
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
    if (!Number.isInteger(line) || line < 0 || line >= clusterMapOf(this.#env).lineCount) throw new Error("no such line");
    const path = `/cell/line/${line}?exchange=${this.#exchange}`;
    if (cell !== this.#env.CELL) return await this.#calls.bring(cell, path, frame, () => this.#sockets.socketFor(access));
    return await within(this.#deliverHere(line, frame), frameAnswerMsMax);
  }

  async #deliverHere(line: number, frame: Uint8Array): Promise<Uint8Array> {
    const answer = await lineObject(this.#env, line).deliver(frame, Date.now() + frameValidMs);
    if (answer === undefined) throw new Error("it came too late");
    return answer;
  }
}
