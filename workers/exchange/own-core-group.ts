import { LoneReplica } from "../../actors/exchange/lone-replica.ts";
import type { CoreGroupPort } from "../../actors/exchange/ports.ts";
import type { MakeTimer } from "../../actors/timer.ts";
import type { SeenCause, View } from "../../cluster/group/view.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import type { PairState } from "../../cluster/replication/peer-link.ts";
import { coreGroupObject, type Environment } from "../environment.ts";
import type { PeerWays } from "./peer-ways.ts";

export type OwnCoreGroupOptions = {
  readonly env: Environment;
  readonly exchange: number;
  readonly timer: MakeTimer;
  /** Takes the view that was asked for, and the newest map. */
  readonly told: (view: View, map: ClusterMap) => void;
  /** What batches to the peer meet. */
  readonly errors: Pick<PeerWays, "lastError" | "forgetError">;
};

/** The core group of an exchange's own cell. */
export class OwnCoreGroup implements CoreGroupPort {
  readonly #options: OwnCoreGroupOptions;
  readonly #lone: LoneReplica;
  /** Why the state of the pair changed last. */
  #cause = "";

  constructor(options: OwnCoreGroupOptions) {
    this.#options = options;
    this.#lone = new LoneReplica({
      timer: options.timer,
      causeNow: () => options.errors.lastError || this.#cause,
      tell: (cause) =>
        void this.#object()
          .replicaIsAlone(options.exchange, cause)
          .catch(() => undefined),
    });
  }

  askForView(isSyncing: boolean): void {
    void this.#orSay(async () => {
      const { isAlone, view, map } = await this.#object().viewFor(this.#options.exchange, isSyncing);
      if (isAlone) this.#lone.wasTold();
      this.#options.told(view, map);
    });
  }

  caughtUp(): void {
    void this.#orSay(() => this.#object().caughtUp(this.#options.exchange));
  }

  suspect(cell: string, cause: SeenCause): void {
    void this.#object()
      .suspect(cell, cause)
      .catch(() => undefined);
  }

  pairChanged(state: PairState, cause: string): void {
    this.#cause = cause;
    this.#options.errors.forgetError();
    this.#lone.changed(state);
  }

  copied(cell: string | undefined): void {
    // Said again with the next view.
    void this.#object()
      .replicaIsCopied(this.#options.exchange, cell)
      .catch(() => undefined);
  }

  handedOver(exchangeCount: number): void {
    // Said again with the next view.
    void this.#object()
      .exchangeHasHandedOver(this.#options.exchange, exchangeCount)
      .catch(() => undefined);
  }

  emptied(): void {
    void this.#orSay(() => this.#object().emptied(this.#options.exchange));
  }

  async #orSay(ask: () => Promise<void>): Promise<void> {
    try {
      await ask();
    } catch (error) {
      console.warn(`exchange ${this.#options.exchange}: the core group does not say what it sees: ${String(error)}`);
    }
  }

  #object(): ReturnType<Environment["CORE_GROUP"]["getByName"]> {
    return coreGroupObject(this.#options.env);
  }
}
