import { challengeParameter, digestAnswer, type Md5 } from "./digest-answer.ts";
import type { PhoneEnvironment } from "./environment.ts";
import { linesOf, messageText, responseText } from "./message-text.ts";
import { News } from "./news.ts";

export type HandPhoneOptions = {
  readonly user: string;
  readonly domain: string;
  /** How it answers challenges; undefined: not at all. */
  readonly credentials?: { readonly password: string; readonly md5: Md5 };
  /** How long it waits for what should come. */
  readonly patienceMs: number;
};

/**
 * A softphone (RFC 7118) that says what it is told to, message by message, and keeps what comes. Nothing is repeated, and nothing is answered that
 * nobody answers.
 */
export class HandPhone {
  readonly user: string;
  readonly domain: string;
  /** Every message that came, in order. */
  readonly messages: string[] = [];
  readonly #options: HandPhoneOptions;
  readonly #environment: PhoneEnvironment;
  readonly #say: (text: string) => void;
  readonly #id: string;
  #cSeq = 0;
  /** So many messages have been taken. */
  #taken = 0;
  readonly #news: News;

  constructor(options: HandPhoneOptions, environment: PhoneEnvironment, say: (text: string) => void) {
    this.user = options.user;
    this.domain = options.domain;
    this.#options = options;
    this.#environment = environment;
    this.#say = say;
    this.#id = environment.newId();
    this.#news = new News(environment);
  }

  get addressOfRecord(): string {
    return `sip:${this.user}@${this.domain}`;
  }

  get contact(): string {
    return `sip:${this.user}@${this.user}.invalid;transport=ws`;
  }

  /** A message has come. */
  receive(text: string): void {
    this.messages.push(text);
    this.#news.tell();
  }

  /** The next message that comes and has not been taken; waits for it. */
  async take(): Promise<string> {
    return await this.#until("a message", () => {
      const next = this.messages[this.#taken];
      if (next !== undefined) this.#taken += 1;
      return next;
    });
  }

  /** The first message that begins so, taken or not; waits for it. */
  async received(start: string): Promise<string> {
    return await this.#until(start, () => this.messages.find((message) => message.startsWith(start)));
  }

  /** The next final response; requests and provisional responses are skipped. */
  async takeFinal(): Promise<string> {
    for (;;) {
      const message = await this.take();
      if (message.startsWith("SIP/2.0 ") && !message.startsWith("SIP/2.0 1")) return message;
    }
  }

  /** A request with the next number, unless a header has one. */
  request(method: string, uri: string, headers: readonly string[], body = ""): string {
    const via = `Via: SIP/2.0/WS ${this.user}.invalid;branch=z9hG4bK${this.#environment.newId()}`;
    const hasNumber = headers.some((header) => header.startsWith("CSeq:"));
    if (!hasNumber) this.#cSeq += 1;
    const number = hasNumber ? [] : [`CSeq: ${this.#cSeq} ${method}`];
    return messageText(`${method} ${uri} SIP/2.0`, [via, "Max-Forwards: 70", ...headers, ...number], body);
  }

  /** Sends a request, answers a challenge, returns the final response. */
  async transact(method: string, uri: string, headers: readonly string[], body = ""): Promise<string> {
    this.#say(this.request(method, uri, headers, body));
    const response = await this.takeFinal();
    const { credentials } = this.#options;
    const [, name, challenge] = /^(WWW|Proxy)-Authenticate: *(.*algorithm=MD5.*)$/im.exec(response) ?? [];
    if (challenge === undefined || credentials === undefined) return response;
    if (method === "INVITE") this.#say(this.ackOf(response, uri, headers));
    const { password, md5 } = credentials;
    const [realm, nonce] = [challengeParameter(challenge, "realm"), challengeParameter(challenge, "nonce")];
    const answer = digestAnswer({ realm, nonce, nonceCount: 1, user: this.user, password, method, uri }, md5);
    const authorization = `${name === "WWW" ? "Authorization" : "Proxy-Authorization"}: ${answer}`;
    this.#say(this.request(method, uri, [...headers, authorization], body));
    return await this.takeFinal();
  }

  async register(expires = 600): Promise<string> {
    const instance = `urn:uuid:00000000-0000-4000-8000-${this.user.padStart(12, "0").slice(-12)}`;
    return await this.transact("REGISTER", `sip:${this.domain}`, [
      `From: <${this.addressOfRecord}>;tag=${this.user}`,
      `To: <${this.addressOfRecord}>`,
      `Call-ID: ${this.#id}`,
      `Contact: <${this.contact}>;reg-id=1;+sip.instance="<${instance}>"`,
      "Supported: path, outbound",
      `Expires: ${expires}`,
      "User-Agent: test phone",
    ]);
  }

  /** A MESSAGE to a user of its domain, as text. */
  message(user: string, body: string): string {
    const to = `sip:${user}@${this.domain}`;
    return this.request("MESSAGE", to, [...this.partiesOf(to), "Content-Type: text/plain"], body);
  }

  /** From, To and a Call-ID of its own, for a request outside of dialogs. */
  partiesOf(to: string): string[] {
    return [`From: <${this.addressOfRecord}>;tag=${this.user}`, `To: <${to}>`, `Call-ID: ${this.#environment.newId()}`];
  }

  /** [RFC3261 17.1.1.3] The ACK for a final response that is no 2xx. */
  ackOf(response: string, uri: string, headers: readonly string[]): string {
    const sent = headers.filter((header) => /^(From|Call-ID):/.test(header));
    const { vias, to, cSeq } = linesOf(response);
    return messageText(`ACK ${uri} SIP/2.0`, [...vias, "Max-Forwards: 70", ...sent, to, cSeq.replace(/\w+$/, "ACK")]);
  }

  /** A response to a request that came. */
  respond(request: string, status: string, headers: readonly string[] = [], body = ""): void {
    this.#say(responseText(status, linesOf(request), this.user, headers, body));
  }

  async #until(what: string, find: () => string | undefined): Promise<string> {
    const found = await this.#news.find(find, this.#options.patienceMs);
    if (found === undefined) throw new Error(`${this.user} is still waiting for ${what}`);
    return found;
  }
}
