import type { Phone } from "./clients/phone.ts";
import { addressOfRecord } from "./clients/phone.ts";
import type { Subscriber, System } from "./system.ts";

/** What a call between two registered phones is to show. */
export interface CallPlan {
  readonly hangsUp: "caller" | "callee";
  /** Wait for what the other side says, where that side says something. */
  readonly media: boolean;
}

/** One whole call: rings, is answered, is established on both sides, carries media, ends on both sides. */
export async function callOnce(caller: Phone, callee: Phone, plan: CallPlan): Promise<void> {
  await caller.call(addressOfRecord(callee.account));
  await callee.ringing();
  await caller.ringback();
  await callee.answer();
  await Promise.all([caller.established(), callee.established()]);
  if (plan.media) {
    if (callee.sendsMedia) await caller.media();
    if (caller.sendsMedia) await callee.media();
  }
  await (plan.hangsUp === "caller" ? caller : callee).hangup();
  await Promise.all([caller.ended(), callee.ended()]);
}

/** Uses phones and ends them, whatever happens. They are started one after the other, so that a failed start leaves none behind. */
export async function withPhones<P extends Phone>(
  starts: readonly (() => Promise<P>)[],
  use: (...phones: P[]) => Promise<void>,
): Promise<void> {
  const phones: P[] = [];
  try {
    for (const start of starts) phones.push(await start());
    await use(...phones);
  } finally {
    await Promise.all(phones.map(async (phone) => await phone.stop()));
  }
}

/** Gives every test subscribers that no other test has: what one leaves behind does not reach the next. */
export class Subscribers {
  readonly #free: Subscriber[];

  private constructor(free: Subscriber[]) {
    this.#free = free;
  }

  /** Provisions `count` of them at once. */
  static async provision(system: System, count: number): Promise<Subscribers> {
    const all = Array.from({ length: count }, (_, index) => ({ user: `user${index}`, password: `user${index}pw` }));
    await system.addSubscribers(all);
    return new Subscribers(all);
  }

  next(): Subscriber {
    const subscriber = this.#free.shift();
    if (subscriber === undefined) throw new Error("provision more subscribers");
    return subscriber;
  }
}
