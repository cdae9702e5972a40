import type { SteadyMs } from "../../sip/time.ts";
import { isBackhaulError, type BackhaulEnd, type BackhaulInput, type Backhauls, type LostBackhaul } from "./backhauls.ts";
import type { EventRunner } from "./event-runner.ts";
import type { Exchange } from "./exchange.ts";
import type { ExchangePorts } from "./ports.ts";

export type BackhaulFramesOptions = {
  /** The exchange's. */
  readonly number: number;
  readonly exchange: Exchange;
  readonly backhauls: Backhauls;
  readonly events: EventRunner;
  readonly ports: Pick<ExchangePorts, "now" | "log">;
  readonly isServing: () => boolean;
  /** Why a frame is refused for which there is no room, or that is dismissed, and the code with which its backhaul is closed. */
  readonly refusal: () => { readonly reason: string; readonly code: number };
};

/** Frames from gateways: each is one event. */
export class BackhaulFrames {
  readonly #options: BackhaulFramesOptions;

  constructor(options: BackhaulFramesOptions) {
    this.#options = options;
  }

  /** `over` is called when it has been processed, or refused. */
  take(end: BackhaulEnd, octets: Uint8Array, over: () => void): void {
    const { backhauls, ports } = this.#options;
    const now = ports.now();
    try {
      const input = backhauls.receive(end, octets, now);
      if (!isBackhaulError(input)) return this.#take(end, input, now, over);
      this.refuse(end, input.backhaulError);
    } catch (error) {
      this.#lost(backhauls.refuse(end, error instanceof Error ? error.message : String(error), 1013, now), now);
    }
    over();
  }

  /** The other side broke the protocol. */
  refuse(end: BackhaulEnd, reason: string): void {
    const { backhauls, number, ports } = this.#options;
    const now = ports.now();
    ports.log.warn(`exchange ${number}: closed the backhaul of a confused gateway: ${reason}`);
    this.#lost(backhauls.refuse(end, reason, 1002, now), now);
  }

  closed(end: BackhaulEnd): void {
    const now = this.#options.ports.now();
    this.#lost(this.#options.backhauls.closed(end, now), now);
  }

  #take(end: BackhaulEnd, input: BackhaulInput, now: SteadyMs, over: () => void): void {
    const { access, seq, records, opened, roundTripMs } = input;
    const { backhauls, events, exchange, isServing, refusal } = this.#options;
    if (roundTripMs !== undefined) exchange.answeredAfter(roundTripMs, now);
    const isNewBoot = opened?.isNewBoot === true;
    if (opened !== undefined) {
      exchange.connectAccess(access, opened.listeners);
      events.arm(now);
      if (records.length === 0 && !isNewBoot) backhauls.finish(end, seq);
      backhauls.tellServing(isServing(), now, access);
      if (!isNewBoot) events.send(access, opened.again, now);
    }
    if (records.length === 0 && !isNewBoot) {
      backhauls.finish(end, seq);
      backhauls.send(access, [], now);
      return over();
    }
    const run = (at: SteadyMs): void => {
      if (isNewBoot) {
        exchange.forgetConnections(access, at, opened.boot);
        events.notTaken(access, opened.again, at);
      }
      events.receive(access, records, at);
    };
    events.event(run, now, {
      committed: () => backhauls.finish(end, seq),
      isKept: true,
      over: (_answer, at) => {
        backhauls.send(access, [], at);
        over();
      },
      refused: () => {
        const { reason, code } = refusal();
        this.#lost(backhauls.refuse(end, reason, code, now), now);
        over();
      },
    });
  }

  /**
   * The event waits at the gate while a hello does not: a newer backhaul of the same gateway may be there when it runs. What the old one may not have
   * delivered is tried another way all the same.
   */
  #lost(lost: LostBackhaul | undefined, now: SteadyMs): void {
    if (lost === undefined) return;
    const { access, records } = lost;
    const { backhauls, events, exchange } = this.#options;
    events.event((at) => {
      if (backhauls.has(access)) return events.send(access, records, at);
      exchange.disconnectAccess(access, at);
      events.notTaken(access, records, at);
    }, now);
  }
}
