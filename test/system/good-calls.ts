import { establish, exchange } from "./clients/call.ts";
import { Phone } from "./clients/phone.ts";
import { transports, type Transport } from "./clients/stack.ts";
import { accountOf, addSubscribers } from "../../kit/world/subscribers.ts";
import { wayOf } from "./clients/way.ts";
import type { Tandem } from "../../kit/world/tandem.ts";

/** Phones of every transport that call each other, one call after the other in each pairing's turn, for as long as they are wanted. */
export class GoodCalls {
  made = 0;
  readonly failures: string[] = [];
  readonly #phones: ReadonlyMap<Transport, readonly [Phone, Phone]>;

  private constructor(phones: ReadonlyMap<Transport, readonly [Phone, Phone]>) {
    this.#phones = phones;
  }

  static async open(system: Tandem): Promise<GoodCalls> {
    const names = transports.map((transport) => transport.toLowerCase());
    const users = names.flatMap((name) => [`from-${name}`, `to-${name}`]);
    await addSubscribers(system, users.map(accountOf));
    const phones = new Map<Transport, readonly [Phone, Phone]>();
    for (const transport of transports) {
      const open = (side: string): Promise<Phone> => Phone.open(wayOf(system, transport), accountOf(`${side}-${transport.toLowerCase()}`));
      phones.set(transport, [await open("from"), await open("to")]);
    }
    const calls = new GoodCalls(phones);
    await calls.register();
    return calls;
  }

  async register(): Promise<void> {
    for (const phone of [...this.#phones.values()].flat()) {
      const { status } = await phone.register();
      if (status !== 200) this.failures.push(`REGISTER of ${phone.account.user}: ${status}`);
    }
  }

  /** Calls in every pairing once, and on until the signal is there: each transport's caller on its own. */
  async run(until: AbortSignal = AbortSignal.abort()): Promise<void> {
    await Promise.all(
      [...this.#phones.values()].map(async ([caller], turn) => {
        for (let round = 0; round < transports.length || !until.aborted; round += 1) {
          // Each callee has one caller at a time.
          const to = transports[(turn + round) % transports.length] ?? "UDP";
          const callee = this.#phones.get(to)?.[1];
          if (callee !== undefined) await this.#call(caller, callee);
        }
      }),
    );
  }

  close(): void {
    for (const phone of [...this.#phones.values()].flat()) phone.close();
  }

  async #call(from: Phone, to: Phone): Promise<void> {
    try {
      const { caller } = await establish(from, to);
      const { status } = await exchange("BYE", caller, to);
      if (status === 200) this.made += 1;
      else this.failures.push(`BYE from ${from.account.user} to ${to.account.user}: ${status}`);
    } catch (error) {
      this.failures.push(`${from.account.user} to ${to.account.user}: ${String(error)}`);
    }
  }
}
