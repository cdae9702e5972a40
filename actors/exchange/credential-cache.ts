import { credentialsCachedMax, credentialsCacheMs } from "../limits.ts";
import type { Subscriber } from "../../sip/record/values.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** A subscriber's secrets as an exchange needs them: RFC 8760 HA1 values, hex. Never the password. */
export type SubscriberCredentials = Subscriber;

type Entry = { readonly answer: SubscriberCredentials | "unknown"; readonly until: SteadyMs };

/**
 * What other exchanges said about their subscribers, for a short while. A call is authenticated where the callee is served, and the caller's secrets
 * live in the caller's exchange. A changed password counts after {@link credentialsCacheMs} at the latest.
 */
export class CredentialCache {
  readonly #entries = new Map<string, Entry>();

  get(addressOfRecord: string, now: SteadyMs): SubscriberCredentials | "unknown" | undefined {
    const entry = this.#entries.get(addressOfRecord);
    if (entry === undefined) return undefined;
    if (entry.until > now) return entry.answer;
    this.#entries.delete(addressOfRecord);
    return undefined;
  }

  put(addressOfRecord: string, answer: SubscriberCredentials | "unknown", now: SteadyMs): void {
    this.#entries.delete(addressOfRecord);
    if (this.#entries.size >= credentialsCachedMax) {
      const oldest = this.#entries.keys().next().value;
      if (oldest !== undefined) this.#entries.delete(oldest);
    }
    this.#entries.set(addressOfRecord, { answer, until: now + credentialsCacheMs });
  }
}
