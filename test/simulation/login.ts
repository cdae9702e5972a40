import { challengeParameter, digestAnswer } from "../../kit/phone/digest-answer.ts";
import type { HeaderField } from "../../sip/message/build.ts";
import { Header } from "../../sip/message/header-names.ts";
import type { SipMessage } from "../../sip/message/sip-message.ts";
import { domain, passwordOf, simulatedHash } from "./cluster.ts";
import type { Phone } from "./phone.ts";

type Challenge = { readonly nonce: string; readonly at: number; count: number };

/** RFC 3261 22.2, 22.3: for the registrar, and for a proxy on the way. */
type CredentialsField = "Authorization" | "Proxy-Authorization";

/** A phone shows its password so often for one request: what is refused once more was not the password. */
const answersMax = 8;
/** Time enough for the replica that has made a nonce to be another one. */
const oldNonceMs = 10_000;

/**
 * A phone's password, and what it was asked last. It shows it before it is asked again (RFC 7616 3.6), with a nonce that may be another exchange's, or
 * of a replica that has started anew since.
 */
export class Login {
  readonly #phone: Phone;
  readonly #challenges = new Map<CredentialsField, Challenge>();
  /** In a row. */
  #answers = 0;

  constructor(phone: Phone) {
    this.#phone = phone;
  }

  /** For a request: what was asked last is answered. */
  fields(header: CredentialsField, method: string, uri: string): HeaderField[] {
    const challenge = this.#challenges.get(header);
    if (challenge === undefined) return [];
    const { cluster, user } = this.#phone;
    if (cluster.world.now - challenge.at > oldNonceMs) {
      cluster.moments.reached("a nonce of more than 10 s ago is answered again");
      cluster.oldNonces.add(challenge.nonce);
    }
    challenge.count += 1;
    const { nonce, count: nonceCount } = challenge;
    const question = { realm: domain, nonce, nonceCount, user, password: passwordOf(user), method, uri };
    return [[header, digestAnswer(question, (text) => simulatedHash("MD5", text))]];
  }

  /** True: the answer asks for the password, and the request is to be said once more with it. */
  isAsked(response: SipMessage): boolean {
    const header = response.status === 401 ? "Authorization" : "Proxy-Authorization";
    const text = response.status === 401 || response.status === 407 ? challengeIn(response) : undefined;
    const nonce = challengeParameter(text ?? "", "nonce");
    if (text === undefined || nonce === "" || this.#answers >= answersMax) {
      this.#answers = 0;
      return false;
    }
    this.#answers += 1;
    const { cluster } = this.#phone;
    if (text.includes("stale=true")) cluster.moments.reached("a nonce has become stale");
    this.#challenges.set(header, { nonce, at: cluster.world.now, count: 0 });
    return true;
  }
}

function challengeIn(response: SipMessage): string | undefined {
  return response.text(response.status === 401 ? Header.WwwAuthenticate : Header.ProxyAuthenticate);
}
