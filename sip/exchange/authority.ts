import { addressOfRecordOfUsername, challenges, checkDigest, digestUsername, ownsAddressOfRecord, type Hash } from "../auth/digest.ts";
import { NonceMemory } from "../auth/nonce-memory.ts";
import type { CredentialsHeader, DigestAlgorithm } from "../auth/credentials.ts";
import { takeoverNonceMs } from "../limits.ts";
import type { HeaderField } from "../message/build.ts";
import { Header } from "../message/header-names.ts";
import type { SipMessage } from "../message/sip-message.ts";
import type { Domain } from "../placement/cluster-map.ts";
import type { Sign } from "../transport/token.ts";
import { CredentialCache, type SubscriberCredentials } from "./credential-cache.ts";

/** What digest authentication (RFC 3261 22, RFC 8760) says of a request. */
export type Verdict =
  | Granted
  | Refused
  /** Another exchange serves the user: ask it, and come again. */
  | { readonly type: "ask"; readonly addressOfRecord: string };

export type Granted = { readonly type: "granted" };

export type Refused = {
  readonly type: "refused";
  readonly status: number;
  readonly reason?: string;
  readonly headers: readonly HeaderField[];
};

export type AuthorityOptions = {
  readonly sign: Sign;
  readonly hash: Hash;
  readonly nextId: () => string;
  /** Whether this exchange serves that address-of-record, and so holds its subscriber. */
  readonly isServedHere: (addressOfRecord: string) => boolean;
  readonly subscriber: (addressOfRecord: string) => SubscriberCredentials | undefined;
  readonly isOurHost: (host: string) => boolean;
  /** When this replica started, ms: nonces used before are not known to it. */
  readonly now: number;
};

/** See docs/decisions/0005-md5-is-what-we-ask-for.md. */
const digestDefault: readonly DigestAlgorithm[] = ["MD5"];
const granted: Granted = { type: "granted" };
const notTheirs: Refused = { type: "refused", status: 403, reason: "Not Your Address-of-Record", headers: [] };

/** Asks for passwords and checks the answers, for the registrar (401) and the proxy (407). */
export class Authority {
  readonly #options: AuthorityOptions;
  readonly #nonces: NonceMemory;
  readonly #cache = new CredentialCache();

  constructor(options: AuthorityOptions) {
    this.#options = options;
    this.#nonces = new NonceMemory(options.now);
  }

  /** What another exchange said about a subscriber of its own. */
  learn(addressOfRecord: string, answer: SubscriberCredentials | "unknown", now: number): void {
    this.#cache.put(addressOfRecord, answer, now);
  }

  /** This replica serves users of the other one: nonces from before that are stale, but those of an exchange that is going on. */
  tookOver(now: number): void {
    this.#nonces.raiseFloor(now - takeoverNonceMs);
  }

  /**
   * RFC 3261 10.3 3 and 4: may this REGISTER change the bindings of this address-of-record, which this exchange serves? Somebody whose secrets are
   * elsewhere may not, whatever the proof: he is somebody else.
   */
  checkRegister(message: SipMessage, addressOfRecord: string, domain: Domain, now: number): Granted | Refused {
    const verdict = this.#check(message, Header.Authorization, addressOfRecord, domain, now);
    return verdict.type === "ask" ? notTheirs : verdict;
  }

  /** RFC 3261 22.3: is this request from the user whose address-of-record its From claims? */
  checkCaller(message: SipMessage, addressOfRecord: string, domain: Domain, now: number): Verdict {
    return this.#check(message, Header.ProxyAuthorization, addressOfRecord, domain, now);
  }

  #check(message: SipMessage, header: CredentialsHeader, claimed: string, domain: Domain, now: number): Verdict {
    const realm = domain.name;
    const { method } = message;
    const username = digestUsername(message, header, realm);
    if (username === undefined) return this.#challenge(header, domain, false, now);
    const user = addressOfRecordOfUsername(username, realm);
    if (user === undefined) return this.#challenge(header, domain, false, now);
    const secrets = this.#secretsOf(user, now);
    if (secrets === "ask") return { type: "ask", addressOfRecord: user };
    const { sign, hash, isOurHost } = this.#options;
    const nonces = this.#nonces;
    const algorithms = algorithmsOf(domain);
    const checked = checkDigest({ message, method, header, realm, secrets, now, sign, hash, nonces, algorithms, isOurHost });
    if (checked.result !== "ok") return this.#challenge(header, domain, checked.result === "challenge" && checked.stale, now);
    // A user speaks for itself only: one password is not good for another's bindings, nor for calls in another's name.
    return ownsAddressOfRecord(checked.username, claimed) ? granted : notTheirs;
  }

  #secretsOf(addressOfRecord: string, now: number): SubscriberCredentials | undefined | "ask" {
    const { isServedHere, subscriber } = this.#options;
    if (isServedHere(addressOfRecord)) return subscriber(addressOfRecord);
    const known = this.#cache.get(addressOfRecord, now);
    if (known === undefined) return "ask";
    return known === "unknown" ? undefined : known;
  }

  #challenge(header: CredentialsHeader, domain: Domain, stale: boolean, now: number): Verdict {
    const { sign, nextId } = this.#options;
    const headers = challenges(header, domain.name, { now, random: nextId(), sign, stale, algorithms: algorithmsOf(domain) });
    return { type: "refused", status: header === Header.Authorization ? 401 : 407, headers };
  }
}

function algorithmsOf(domain: Domain): readonly DigestAlgorithm[] {
  return domain.digest ?? digestDefault;
}
