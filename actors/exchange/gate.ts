import { inputsWaitingMax } from "../limits.ts";
import type { ExchangePorts } from "./ports.ts";
import type { Clocks, SteadyMs } from "../../sip/time.ts";

type Input = (now: SteadyMs) => void;

/** Where input waits, in order, while this replica must not serve. */
export class Gate {
  readonly #soon: (run: () => void) => void;
  readonly #now: Clocks["now"];
  #waiting: Input[] = [];

  /** See the ports of these names. */
  constructor({ soon, now }: Pick<ExchangePorts, "soon" | "now">) {
    this.#soon = soon;
    this.#now = now;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** Keeps an input until the gate opens. False: too much waits already. `isBounded` false: this one must not be refused. */
  keep(input: Input, isBounded: boolean): boolean {
    if (isBounded && this.#waiting.length >= inputsWaitingMax) return false;
    this.#waiting.push(input);
    return true;
  }

  /** Lets everything in that waits: each input for itself, so that the error of one takes no other along. */
  open(): void {
    for (const input of this.#waiting.splice(0)) this.#soon(() => input(this.#now()));
  }
}
