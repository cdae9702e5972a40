import type { SipMessage } from "../../sip/message/sip-message.ts";
import { ClientTransaction, type ClientTransactionHandlers, type ClientTransactionOptions } from "./client-transaction.ts";
import type { PhoneTime } from "./environment.ts";
import { transactionMs } from "./limits.ts";
import { branchOf, cSeqOf } from "./reading.ts";

/** A phone's client transactions by branch and method (RFC 3261 17.1.3): a CANCEL has the branch of its INVITE. */
export class ClientTransactions {
  readonly #time: PhoneTime;
  readonly #byKey = new Map<string, ClientTransaction>();

  constructor(time: PhoneTime) {
    this.#time = time;
  }

  /** Makes a transaction, which has not said anything yet. */
  add(options: ClientTransactionOptions, handlers: ClientTransactionHandlers): ClientTransaction {
    const key = `${options.branch} ${options.method}`;
    // Late and repeated responses still find it for a while (RFC 3261 Timers D and K).
    const over = (): void => void this.#time.after(transactionMs, () => this.#byKey.delete(key));
    const transaction = new ClientTransaction(this.#time, options, handlers, over);
    this.#byKey.set(key, transaction);
    return transaction;
  }

  /** The transaction that a response belongs to. */
  of(response: SipMessage): ClientTransaction | undefined {
    return this.#byKey.get(`${branchOf(response)} ${cSeqOf(response).method}`);
  }

  /** Those that wait for a final response. */
  *waiting(): IterableIterator<ClientTransaction> {
    for (const transaction of this.#byKey.values()) if (!transaction.isOver) yield transaction;
  }

  stop(): void {
    for (const transaction of this.waiting()) transaction.giveUp();
  }
}
