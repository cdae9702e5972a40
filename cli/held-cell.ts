import { constants } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import type { ApiClient } from "./api-client.ts";
import { cellPath, untilHeard } from "./cell-service.ts";
import { Failure, reasonOf } from "./errors.ts";
import { ignoresHangup, startedBy } from "./hangup.ts";

/** A cell that is just started anew is back within seconds. Whoever has pressed Ctrl-C waits no longer than this. */
const backMsMax = 30_000;
const pollMs = 250;
/** npm, a launcher and a terminal may each pass on one signal. A later one is meant as "at once". */
const sameSignalMs = 500;
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

type Held = { readonly cell: string; readonly api: Pick<ApiClient, "get" | "put"> };

/**
 * The cell that a command has out of service for a while. A signal ends the command, and that cell serves again first: nobody else knows that it was not to stay so.
 * A closed terminal is such a signal.
 */
export class HeldCell {
  readonly #err: (text: string) => void;
  /** How the cell is taken back by hand, as it is typed. */
  readonly #byHand: (cell: string) => string;
  #held: Held | undefined;
  #endedAt: number | undefined;

  constructor(err: (text: string) => void, byHand: (cell: string) => string) {
    this.#err = err;
    this.#byHand = byHand;
  }

  /** Returns a function that listens to signals no longer. */
  listen(): () => void {
    const livesOn = ignoresHangup(startedBy());
    const handlers = signals.map(
      (signal) => [signal, (): void => (livesOn && signal === "SIGHUP" ? undefined : this.#end(signal))] as const,
    );
    for (const [signal, handler] of handlers) process.on(signal, handler);
    return () => {
      for (const [signal, handler] of handlers) process.off(signal, handler);
    };
  }

  /** Call it before the cell goes. Never resolves when the command is ending. */
  async hold(held: Held): Promise<void> {
    if (this.#endedAt !== undefined) await new Promise<never>(() => undefined);
    this.#held = held;
  }

  /** The cell serves again, or is to stay as it is. */
  release(): void {
    this.#held = undefined;
  }

  #end(signal: (typeof signals)[number]): void {
    const now = performance.now();
    const exit = (): void => process.exit(128 + constants.signals[signal]);
    if (this.#endedAt !== undefined) return now - this.#endedAt > sameSignalMs ? exit() : undefined;
    this.#endedAt = now;
    const held = this.#held;
    if (held === undefined) return exit();
    this.#err(`tandem: ended by ${signal}, and takes cell ${held.cell} back first\n`);
    void this.#takeBack(held).finally(exit);
  }

  async #takeBack(held: Held): Promise<void> {
    const { cell } = held;
    const missing = await giveBack(held).catch(reasonOf);
    if (missing !== "") this.#err(`tandem: cell ${cell} may be out of service: ${missing}; ${this.#byHand(cell)} takes it back\n`);
  }
}

/** Resolves to why a cell does not serve in all eyes; empty: it does. It is told again: it may be away, or told to go by a question that was under way. */
async function giveBack({ cell, api }: Held): Promise<string> {
  for (const until = performance.now() + backMsMax; ; await delay(pollMs)) {
    let missing: string;
    try {
      await api.put(cellPath(cell), { draining: false });
      missing = await untilHeard(api, cell);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      missing = error.message;
    }
    if (missing === "" || performance.now() > until) return missing;
  }
}
