import { inputsWaitingMax } from "../limits.ts";

type Input = (now: number) => void;

/** Where input waits, in order, while this replica must not serve. */
export class Gate {
  readonly #soon: (run: Input) => void;
  #waiting: Input[] = [];

  /** `soon`: see the port of this name. */
  constructor(soon: (run: Input) => void) {
    this.#soon = soon;
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
    for (const input of this.#waiting.splice(0)) this.#soon(input);
  }
}
