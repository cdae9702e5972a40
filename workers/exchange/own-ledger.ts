import type { CallsPort } from "../../actors/exchange/call-courier.ts";
import type { Taking } from "../../cluster/calls/messages.ts";
import { within } from "../cells.ts";
import { type Environment, ledgerObject } from "../environment.ts";
import { deliveryAnswerMsMax } from "../limits.ts";
import { warnOf } from "../way-lost.ts";

/** The ledger of an exchange's own cell. */
export class OwnLedger implements CallsPort {
  readonly #env: Environment;
  readonly #exchange: number;

  constructor(env: Environment, exchange: number) {
    this.#env = env;
    this.#exchange = exchange;
  }

  deliver(delivery: string, told: (taking: Taking | undefined) => void): void {
    void this.#deliver(delivery).then(told);
  }

  async #deliver(delivery: string): Promise<Taking | undefined> {
    try {
      return await within(ledgerObject(this.#env).take(delivery), deliveryAnswerMsMax);
    } catch (error) {
      warnOf(`exchange ${this.#exchange}: the ledger does not take call records`, error);
      return undefined;
    }
  }
}
