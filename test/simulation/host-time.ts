import type { PhoneTime, Planned } from "../../kit/phone/environment.ts";
import type { Host } from "./host.ts";

/** The time of a simulated process for a phone of the kit. */
export class HostTime implements PhoneTime {
  readonly #host: Host;

  constructor(host: Host) {
    this.#host = host;
  }

  get now(): number {
    return this.#host.steady;
  }

  after(ms: number, act: () => void): Planned {
    const planned = this.#host.after(ms, act);
    return {
      cancel: () => {
        planned.isOff = true;
      },
    };
  }
}
