import { addressOfRecordOfUsername, challenges, checkDigest, ownsAddressOfRecord, type Hash } from "../../sip/auth/digest.ts";
import { credentialsFor, type CredentialsHeader, type DigestAlgorithm } from "../../sip/auth/credentials.ts";
import { GuessBrake } from "../../sip/auth/guess-brake.ts";
import type { NonceIssuer } from "../../sip/auth/nonce.ts";
import { NonceMemory } from "../../sip/auth/nonce-memory.ts";
import type { HeaderField } from "../../sip/message/build.ts";
import { Header } from "../../sip/message/header-names.ts";
import type { SipMessage } from "../../sip/message/sip-message.ts";
import type { Domain } from "../../cluster/map/cluster-map.ts";
import { addressOf, sourceOf } from "../../sip/flow/flow.ts";
import type { Sign } from "../../sip/flow/token.ts";
import { CredentialCache, type SubscriberCredentials } from "./credential-cache.ts";
import type { FailedLogin } from "./failed-logins.ts";
import type { SteadyMs } from "../../sip/time.ts";

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
  readonly startedAt: SteadyMs;
  /** This start of this replica, as nonces name it. */
  readonly issuer: NonceIssuer;
  /** See {@link GuessBrake}; undefined: the default. */
  readonly failedLoginsPerAddress: number | undefined;
  /** Somebody has failed to prove who he is. */
  readonly failed: (login: FailedLogin, now: SteadyMs) => void;
};

/** See docs/decisions/0005-md5-is-what-we-ask-for.md. */
const digestDefault: readonly DigestAlgorithm[] = ["MD5"];
const granted: Granted = { type: "granted" };
const notTheirs: Refused = { type: "refused", status: 403, reason: "Not Your Address-of-Record", headers: [] };

/** Asks for passwords and checks the answers, for the registrar (401) and the proxy (407). */
export class Authority {
  readonly #options: AuthorityOptions;
  readonly #nonces: NonceMemory;
  readonly #brake: GuessBrake;
  readonly #cache = new CredentialCache();

  constructor(options: AuthorityOptions) {
    this.#options = options;
    this.#nonces = new NonceMemory(options.startedAt);
    this.#brake = new GuessBrake(options.failedLoginsPerAddress);
  }

  /** What another exchange said about a subscriber of its own. */
  learn(addressOfRecord: string, answer: SubscriberCredentials | "unknown", now: SteadyMs): void {
    this.#cache.put(addressOfRecord, answer, now);
  }

  /**
   * RFC 3261 10.3 3 and 4: may this REGISTER change the bindings of this address-of-record, which this exchange serves? Somebody whose secrets are
   * elsewhere may not, whatever the proof: he is somebody else.
   */
  checkRegister(message: SipMessage, addressOfRecord: string, domain: Domain, flow: string, now: SteadyMs): Granted | Refused {
    const verdict = this.#check(message, Header.Authorization, addressOfRecord, domain, flow, now);
    return verdict.type === "ask" ? notTheirs : verdict;
  }

  /** RFC 3261 22.3: is this request from the user whose address-of-record its From claims? */
  checkCaller(message: SipMessage, addressOfRecord: string, domain: Domain, flow: string, now: SteadyMs): Verdict {
    return this.#check(message, Header.ProxyAuthorization, addressOfRecord, domain, flow, now);
  }

  /** True when the password in this request would not be looked at: too many were wrong. */
  isBraked(message: SipMessage, header: CredentialsHeader, domain: Domain, flow: string, now: SteadyMs): boolean {
    if (this.#brake.isReleased) return false;
    const [first] = credentialsFor(message, header, domain.name);
    const user = first === undefined ? undefined : addressOfRecordOfUsername(first.username, domain.name);
    return user !== undefined && this.#brake.waitMs({ flow, source: sourceOf(flow), user }, now) > 0;
  }

  #check(message: SipMessage, header: CredentialsHeader, claimed: string, domain: Domain, flow: string, now: SteadyMs): Verdict {
    const realm = domain.name;
    const source = sourceOf(flow);
    const credentials = credentialsFor(message, header, realm);
    const [first] = credentials;
    const user = first === undefined ? undefined : addressOfRecordOfUsername(first.username, realm);
    if (user === undefined) return this.#challenge(header, domain, source, false, now);
    const { method } = message;
    const login = { flow, source, user };
    const waitMs = this.#brake.waitMs(login, now);
    if (waitMs > 0) {
      this.#options.failed({ address: addressOf(flow), addressOfRecord: user, method, isChecked: false }, now);
      return braked(waitMs);
    }
    const secrets = this.#secretsOf(user, now);
    if (secrets === "ask") return { type: "ask", addressOfRecord: user };
    const { sign, hash, isOurHost, issuer } = this.#options;
    const nonces = this.#nonces;
    const algorithms = algorithmsOf(domain);
    const secret = { sign, hash, nonces, issuer, algorithms, isOurHost };
    const checked = checkDigest({ ...secret, message, method, header, realm, credentials, secrets, source, now });
    if (checked.result === "ok") {
      this.#brake.succeeded(login, now);
      // A user speaks for itself only: one password is not good for another's bindings, nor for calls in another's name.
      return ownsAddressOfRecord(checked.username, claimed) ? granted : notTheirs;
    }
    if (checked.result === "bad") {
      this.#brake.failed(login, now);
      this.#options.failed({ address: addressOf(flow), addressOfRecord: user, method, isChecked: true }, now);
    }
    return this.#challenge(header, domain, source, checked.result === "challenge" && checked.stale, now);
  }

  #secretsOf(addressOfRecord: string, now: SteadyMs): SubscriberCredentials | undefined | "ask" {
    const { isServedHere, subscriber } = this.#options;
    if (isServedHere(addressOfRecord)) return subscriber(addressOfRecord);
    const known = this.#cache.get(addressOfRecord, now);
    if (known === undefined) return "ask";
    return known === "unknown" ? undefined : known;
  }

  #challenge(header: CredentialsHeader, domain: Domain, source: string, stale: boolean, now: SteadyMs): Refused {
    const { issuer, sign, nextId } = this.#options;
    const options = { issuer, source, now, random: nextId(), sign, stale, algorithms: algorithmsOf(domain) };
    const headers = challenges(header, domain.name, options);
    return { type: "refused", status: header === Header.Authorization ? 401 : 407, headers };
  }
}

/**
 * 503 and not 403: phones come again after Retry-After, and do not tell their users that the password is wrong. It may be right: nobody has
 * looked. RFC 3261 21.5.4.
 */
function braked(waitMs: number): Refused {
  return { type: "refused", status: 503, reason: "Too Many Failed Logins", headers: [["Retry-After", String(Math.ceil(waitMs / 1000))]] };
}

function algorithmsOf(domain: Domain): readonly DigestAlgorithm[] {
  return domain.digest ?? digestDefault;
}
