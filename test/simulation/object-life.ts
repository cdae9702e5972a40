import { SteadyTimers } from "../../actors/steady-timers.ts";
import type { MakeTimer } from "../../actors/timer.ts";
import type { Host } from "./host.ts";
import { timeoutsOf } from "./workerd-timeouts.ts";
import type { Clocks, SteadyMs } from "../../sip/time.ts";

/** A call was not answered: the object was reset, or refused it. */
export class Unanswered extends Error {}

/**
 * One start of a Durable Object in its process: from its constructor until it sleeps, is reset, or dies with the process. What it has planned, and what
 * it waits for, ends with it.
 */
export class ObjectLife {
  readonly host: Host;
  /** Its steady clock is its own, and begins anew. */
  readonly clock: Clocks & { readonly latest: SteadyMs };
  readonly #timer: MakeTimer;
  /** What is under way, by how it is given up. The runtime lets no object sleep that has any. */
  readonly #underWay = new Set<() => void>();
  /** Events that have come while the constructor still asks for something (`blockConcurrencyWhile`). */
  #blocked: (() => void)[] | undefined;
  #isOver = false;

  constructor(host: Host) {
    this.host = host;
    const { clock, timer } = new SteadyTimers(timeoutsOf(host, true));
    this.clock = clock;
    this.#timer = timer;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get maySleep(): boolean {
    return this.#underWay.size === 0 && this.#blocked === undefined;
  }

  /** Something begins. It takes until the returned function is called, which says whether it was still under way. `givenUp`: the object has ended. */
  begin(givenUp: () => void): () => boolean {
    this.#underWay.add(givenUp);
    return () => this.#underWay.delete(givenUp);
  }

  readonly timer: MakeTimer = (run) => {
    let isSet: (() => boolean) | undefined;
    const timer = this.#timer(() => {
      if (isSet?.() === true) this.event(run);
    });
    const clear = (): void => {
      timer.clear();
      isSet?.();
    };
    return {
      clear,
      set: (delayMs) => {
        clear();
        if (this.#isOver) return;
        isSet = this.begin(() => timer.clear());
        timer.set(delayMs);
      },
    };
  };

  /** Runs when the present event is over and before the next one. */
  soon(run: () => void): void {
    const isUnderWay = this.begin(() => {});
    this.host.soon(() => {
      if (isUnderWay()) this.event(run);
    });
  }

  /** Something happens to the object, or goes on in it. What ends it, ends the event too. */
  event(act: () => void): void {
    if (this.#isOver) return;
    if (this.#blocked !== undefined) {
      this.#blocked.push(act);
      return;
    }
    try {
      act();
    } catch (error) {
      if (!this.isOver) throw error;
    }
  }

  /** Nothing happens to the object until the returned function is called. */
  block(): () => void {
    this.#blocked = [];
    return () => {
      const blocked = this.#blocked ?? [];
      this.#blocked = undefined;
      for (const act of blocked) this.event(act);
    };
  }

  /** Its memory is gone. */
  end(): void {
    this.#isOver = true;
    this.#blocked = undefined;
    const underWay = [...this.#underWay];
    this.#underWay.clear();
    for (const giveUp of underWay) giveUp();
  }
}
