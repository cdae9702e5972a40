import type { CoreGroupPort } from "../../actors/exchange/ports.ts";
import type { SeenCause, View } from "../../cluster/group/view.ts";
import type { PairState } from "../../cluster/replication/peer-link.ts";
import { coreGroupName, type Environment } from "../environment.ts";
import { PairNews } from "./pair-news.ts";

export type OwnCoreGroupOptions = {
  readonly env: Environment;
  readonly exchange: number;
  /** Takes the view that was asked for. */
  readonly told: (view: View, now: number) => void;
  /** What the last batch to the peer met; empty: nothing. */
  readonly lastError: () => string;
};

/** The core group of an exchange's own cell. */
export class OwnCoreGroup implements CoreGroupPort {
  readonly #options: OwnCoreGroupOptions;
  readonly #news: PairNews;

  constructor(options: OwnCoreGroupOptions) {
    this.#options = options;
    this.#news = new PairNews(
      (cause) =>
        void this.#object()
          .replicaIsAlone(options.exchange, cause)
          .catch(() => undefined),
    );
  }

  askForView(isSyncing: boolean): void {
    void this.#orSay(async () => {
      const { isAlone, ...view } = await this.#object().viewFor(this.#options.exchange, isSyncing);
      if (isAlone) this.#news.wasTold();
      this.#options.told(view, Date.now());
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
    this.#news.changed(state, () => this.#options.lastError() || cause);
  }

  async #orSay(ask: () => Promise<void>): Promise<void> {
    try {
      await ask();
    } catch (error) {
      console.warn(`exchange ${this.#options.exchange}: the core group does not say what it sees: ${String(error)}`);
    }
  }

  #object(): ReturnType<Environment["CORE_GROUP"]["getByName"]> {
    return this.#options.env.CORE_GROUP.getByName(coreGroupName);
  }
}
