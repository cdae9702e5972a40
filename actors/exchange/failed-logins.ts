import { failedLoginLineMs, failedLoginLinesMax, failedLoginMethodOctetsMax, failedLoginUserOctetsMax } from "../limits.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** A password that was wrong, or not checked because too many were. */
export type FailedLogin = {
  /** The phone's address as it is, not the network it counts for. */
  readonly address: string;
  readonly addressOfRecord: string;
  readonly method: string;
  readonly isChecked: boolean;
};

/**
 * Failed logins as lines of a log, for people and for fail2ban; docs/operations.md has the filter. Bounded: somebody who fails often must not fill
 * the disk. What had no line is counted in the next one.
 */
export class FailedLoginLines {
  /** When as many lines as ever may be written at once (see limits.ts). */
  #fullAt = 0;
  #unwritten = 0;

  /** The line; undefined: there have been too many. */
  lineOf({ address, addressOfRecord, method, isChecked }: FailedLogin, now: SteadyMs): string | undefined {
    if (this.#fullAt - now > (failedLoginLinesMax - 1) * failedLoginLineMs) {
      this.#unwritten += 1;
      return undefined;
    }
    this.#fullAt = Math.max(this.#fullAt, now) + failedLoginLineMs;
    const unwritten = this.#unwritten === 0 ? "" : `, and ${this.#unwritten} more`;
    this.#unwritten = 0;
    const how = isChecked ? "wrong password" : "not checked, too many failed";
    return `failed login from ${address} as ${shown(addressOfRecord)} (${method.slice(0, failedLoginMethodOctetsMax)}, ${how}${unwritten})`;
  }
}

/** Its characters are those of a SIP URI already: escaped (see escapeUser). */
function shown(addressOfRecord: string): string {
  return addressOfRecord.length <= failedLoginUserOctetsMax ? addressOfRecord : `${addressOfRecord.slice(0, failedLoginUserOctetsMax)}...`;
}
