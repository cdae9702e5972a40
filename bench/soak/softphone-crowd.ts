import { NodeConnector } from "../../kit/connections/node-connector.ts";
import { nodeEnvironment } from "../../kit/connections/node-environment.ts";
import type { Target } from "../../kit/phone/link.ts";
import { Phone } from "../../kit/phone/phone.ts";

/** A softphone that is not registered by then is lost. */
const registerMsMax = 20_000;
/** How long one stays, and how long it is away; half as much more at random. */
export type Stay = { readonly presentMs: number; readonly awayMs: number };

export type CrowdOptions = {
  readonly domain: string;
  /** Where they connect: to the next one when one is gone. */
  readonly targets: readonly Target[];
  /** What their users begin with. */
  readonly prefix: string;
  readonly count: number;
  readonly stay: Stay;
};

/** Softphones that come and go: each connects, registers, stays for a while, is away, and comes again. */
export class SoftphoneCrowd {
  readonly #options: CrowdOptions;
  readonly #connector: NodeConnector;
  readonly #present = new Map<number, Phone>();
  readonly #timers = new Map<number, NodeJS.Timeout>();
  /** How often one came, and how often that came to nothing. */
  came = 0;
  readonly failures: string[] = [];

  constructor(options: CrowdOptions) {
    this.#options = options;
    this.#connector = new NodeConnector({ transport: "ws", domain: options.domain, host: "127.0.0.1", ca: undefined });
  }

  start(): void {
    for (let index = 0; index < this.#options.count; index += 1) this.#later(index, Math.random() * this.#options.stay.awayMs);
  }

  /** All go away, and none comes again. */
  stop(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    for (const phone of this.#present.values()) phone.stop();
    this.#timers.clear();
    this.#present.clear();
  }

  #later(index: number, ms: number, act: () => void = () => this.#come(index)): void {
    this.#timers.set(index, setTimeout(act, ms));
  }

  #come(index: number): void {
    const { domain, targets, prefix, stay } = this.#options;
    this.came += 1;
    const user = `${prefix}${index}`;
    const options = { transport: "ws", domain, targets, userAgent: "tandem soak", user, first: this.came, flows: 1 } as const;
    const phone = new Phone(
      options,
      { environment: nodeEnvironment, connector: this.#connector },
      {
        request: (_, message, reply) => reply(message.method === "INVITE" ? 486 : 481, "none"),
        ack: () => undefined,
      },
    );
    this.#present.set(index, phone);
    const go = (): void => {
      phone.stop();
      this.#present.delete(index);
      this.#later(index, stay.awayMs * (1 + Math.random() / 2));
    };
    this.#later(index, registerMsMax, () => {
      this.failures.push(`${user}: ${phone.registerFailures.at(-1) ?? phone.lastLinkEnd ?? "no answer to its REGISTER"}`);
      go();
    });
    void this.#stay(index, phone, go);
  }

  async #stay(index: number, phone: Phone, go: () => void): Promise<void> {
    await phone.start();
    // It may have been given up, or all have gone.
    if (this.#present.get(index) !== phone) return;
    clearTimeout(this.#timers.get(index));
    this.#later(index, this.#options.stay.presentMs * (1 + Math.random() / 2), go);
  }
}
