import type { KeyObject } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { Failure } from "../errors.ts";
import { isListOf, isTable, isText, type Table } from "../json.ts";
import { type AcmeAnswer, type AcmeAsking, askAuthority, problemText } from "./acme-request.ts";
import { keyAuthorization, signedRequest } from "./jws.ts";
import { noncesMax, pollMsMax, pollMsMin } from "./limits.ts";

export type AcmeAccount = {
  /** URL of the authority's directory. */
  readonly directory: string;
  readonly mail: string;
  /** P-256. The same key is the same account. */
  readonly key: KeyObject;
};

/** Where challenges are answered for as long as they are open. `ready`: all that were opened are answered, wherever the authority may ask. */
export type OpenChallenges = { open(token: string, answer: string): void; ready(): Promise<void>; close(token: string): void };

/** A name that is to be shown to lead here: its authorization, where the challenge is answered to, and its token. */
type Proof = { readonly url: string; readonly name: string; readonly answerTo: string; readonly token: string };

/** A client of an authority that issues certificates by ACME (RFC 8555), with HTTP-01 (8.3). Each question that fails throws a {@link Failure}. */
export class AcmeClient {
  readonly #account: AcmeAccount;
  readonly #asking: AcmeAsking;
  #directory: Table = {};
  #nonce: string | undefined;
  #accountUrl: string | undefined;

  constructor(account: AcmeAccount, asking: AcmeAsking) {
    this.#account = account;
    this.#asking = asking;
  }

  /** A certificate for these names with its chain, PEM. `request`: PKCS #10, DER. */
  async order(names: readonly string[], request: Uint8Array, challenges: OpenChallenges): Promise<string> {
    this.#directory = good(await askAuthority("GET", this.#account.directory, this.#asking), "its directory").json;
    await this.#register();
    const identifiers = names.map((value) => ({ type: "dns", value }));
    const made = await this.#post(this.#urlOf("newOrder"), { identifiers }, "the order");
    const orderUrl = made.header("location") ?? "";
    const { authorizations, finalize } = made.json;
    if (!isListOf(authorizations, isText) || !isText(finalize)) throw new Failure("the authority's order has no authorizations");
    await this.#proveAll(authorizations, challenges);
    await this.#post(finalize, { csr: Buffer.from(request).toString("base64url") }, "the request");
    const order = await this.#until(orderUrl, ["valid", "invalid"], "the order");
    const { certificate, error } = order;
    if (order["status"] !== "valid" || !isText(certificate))
      throw new Failure(`the authority issues none: ${problemText(isTable(error) ? error : {})}`);
    return (await this.#post(certificate, undefined, "the certificate")).text;
  }

  /** 7.3: whoever has an account is told where it is. */
  async #register(): Promise<void> {
    const account = { termsOfServiceAgreed: true, contact: [`mailto:${this.#account.mail}`] };
    const { header } = await this.#post(this.#urlOf("newAccount"), account, "the account");
    this.#accountUrl = header("location");
    if (this.#accountUrl === undefined) throw new Failure("the authority says nothing of the account");
  }

  /** All challenges are opened before the authority is told to look for one: other machines may have to hear of them. */
  async #proveAll(urls: readonly string[], challenges: OpenChallenges): Promise<void> {
    const proofs: Proof[] = [];
    try {
      for (const url of urls) {
        const proof = await this.#openFor(url, challenges);
        if (proof !== undefined) proofs.push(proof);
      }
      if (proofs.length > 0) await challenges.ready();
      for (const proof of proofs) await this.#prove(proof);
    } finally {
      for (const { token } of proofs) challenges.close(token);
    }
  }

  /** 7.5: what shows that a name leads here. Undefined: that was shown before. */
  async #openFor(url: string, challenges: OpenChallenges): Promise<Proof | undefined> {
    const { json: authorization } = await this.#post(url, undefined, "an authorization");
    if (authorization["status"] === "valid") return undefined;
    const name = isTable(authorization["identifier"]) ? String(authorization["identifier"]["value"]) : "a name";
    const offered = authorization["challenges"];
    const challenge = isListOf(offered, isTable) ? offered.find(({ type }) => type === "http-01") : undefined;
    const { token, url: answerTo } = challenge ?? {};
    if (!isText(token) || !isText(answerTo) || !/^[\w-]{1,128}$/.test(token))
      throw new Failure(`the authority does not take HTTP-01 for ${name}`);
    challenges.open(token, keyAuthorization(token, this.#account.key));
    return { url, name, answerTo, token };
  }

  async #prove({ url, name, answerTo }: Proof): Promise<void> {
    await this.#post(answerTo, {}, "a challenge");
    const outcome = await this.#until(url, ["valid", "invalid", "deactivated", "expired", "revoked"], `the challenge for ${name}`);
    if (outcome["status"] === "valid") return;
    const looked = outcome["challenges"];
    const error = isListOf(looked, isTable) ? looked.map((each) => each["error"]).find(isTable) : undefined;
    throw new Failure(`${name} does not lead here, as the authority sees it: ${problemText(error ?? {})}`);
  }

  /** Asks until the status is one of these. What the authority says of when to ask again is kept to, within bounds. */
  async #until(url: string, statuses: readonly string[], what: string): Promise<Table> {
    for (let pauseMs = pollMsMin; ; pauseMs = Math.min(2 * pauseMs, pollMsMax)) {
      const { json, header } = await this.#post(url, undefined, what);
      if (statuses.includes(String(json["status"]))) return json;
      const askedMs = Number(header("retry-after") ?? Number.NaN) * 1000;
      const waitMs = Number.isNaN(askedMs) ? pauseMs : Math.min(Math.max(askedMs, pollMsMin), pollMsMax);
      // When the time is over the next question says so.
      await delay(waitMs, undefined, { signal: this.#asking.signal }).catch(() => undefined);
    }
  }

  #urlOf(name: string): string {
    const url = this.#directory[name];
    if (!isText(url)) throw new Failure(`${this.#account.directory} is no directory of ACME: it has no ${name}`);
    return url;
  }

  /** 6.5: each request has a nonce that the authority has given before. One that is refused brings the next. */
  async #post(url: string, payload: object | undefined, what: string): Promise<AcmeAnswer> {
    for (let attempt = 1; ; attempt += 1) {
      const nonce = this.#nonce ?? (await askAuthority("HEAD", this.#urlOf("newNonce"), this.#asking)).header("replay-nonce");
      if (nonce === undefined) throw new Failure("the authority gives no nonce");
      const body = signedRequest({ key: this.#account.key, url, nonce, account: this.#accountUrl }, payload);
      const answer = await askAuthority("POST", url, this.#asking, body);
      this.#nonce = answer.header("replay-nonce");
      const isStale = answer.json["type"] === "urn:ietf:params:acme:error:badNonce";
      if (!isStale || attempt === noncesMax) return good(answer, what);
    }
  }
}

/** Throws for an answer that is a refusal. */
function good(answer: AcmeAnswer, what: string): AcmeAnswer {
  const { status, json } = answer;
  if (status >= 200 && status < 300) return answer;
  throw new Failure(`the authority refuses ${what} (${status}): ${problemText(json)}`);
}
