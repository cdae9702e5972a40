import { randomBytes } from "node:crypto";
import sip, { type Challenge, type Headers, type Request, type Response } from "sip";
import digest from "sip/digest.js";
import type { Account } from "../../../kit/world/subscribers.ts";
import { until } from "../../../kit/world/until.ts";
import { openStack, type Endpoint, type Way } from "./stack.ts";

type RequestOptions = {
  readonly headers?: Readonly<Record<string, string>>;
  readonly content?: string;
  /** Hears of provisional responses. */
  readonly provisional?: (response: Response) => void;
  /** Is given every request as it goes out: the first, and the one with credentials. */
  readonly sent?: (request: Request) => void;
};

const retryMs = 500;
/** Requests signed for one: as often as a nonce may have become stale on the way. */
const staleMax = 3;
const sdpType = "application/sdp";

/** A phone of npm's `sip`: what that stack leaves to its user (digest by hand, dialogs, 2xx retransmissions), and no more. */
export class Phone {
  readonly way: Way;
  readonly account: Account;
  /** Requests that nobody has taken yet, ACK included. */
  readonly inbox: Request[] = [];
  /** Method and Call-ID of every request that came, repeated ones too. */
  readonly heard: string[] = [];
  readonly tag = randomId();
  #endpoint: Endpoint | undefined;
  #cSeq = 1;
  readonly #registrationId = randomId();
  /** By Call-ID: a 2xx is repeated until its ACK is here (RFC 3261 13.3.1.4). */
  readonly #unacknowledged = new Map<string, NodeJS.Timeout>();

  private constructor(way: Way, account: Account) {
    this.way = way;
    this.account = account;
  }

  static async open(way: Way, account: Account): Promise<Phone> {
    const phone = new Phone(way, account);
    phone.#endpoint = await openStack(way, {
      received: (request) => phone.#received(request),
      heard: ({ method, headers }) => {
        if (method !== undefined) phone.heard.push(`${method} ${headers["call-id"]}`);
      },
    });
    return phone;
  }

  get addressOfRecord(): string {
    return `sip:${this.account.user}@${this.way.domain}`;
  }

  get contact(): string {
    const { host, port } = this.#open;
    const transport = this.way.transport === "UDP" ? "" : `;transport=${this.way.transport.toLowerCase()}`;
    return `sip:${this.account.user}@${host}${port === undefined ? "" : `:${port}`}${transport}`;
  }

  /** REGISTER, answering a challenge. Resolves with the final response. */
  register(expires = 600): Promise<Response> {
    return this.request("REGISTER", `sip:${this.way.domain}`, this.addressOfRecord, {
      headers: { "call-id": this.#registrationId, contact: `<${this.contact}>`, expires: String(expires) },
    });
  }

  /**
   * A request outside of a dialog. A challenge is answered once, and again while it says only that the nonce was stale (RFC 7616 3.3): a replica
   * that takes over between challenge and credentials knows no older nonce. Resolves with the final response, 408 and 503 of the stack included.
   */
  async request(method: string, uri: string, to: string, options: RequestOptions = {}): Promise<Response> {
    const callId = options.headers?.["call-id"] ?? randomId();
    const make = (): Request => {
      const { host, port, transport } = this.way;
      return {
        method,
        uri,
        version: "2.0",
        headers: {
          ...options.headers,
          from: { uri: this.addressOfRecord, params: { tag: this.tag } },
          to: { uri: to, params: {} },
          "call-id": callId,
          cseq: { seq: this.#cSeq++, method },
          route: [{ uri: `sip:${host}:${port};transport=${transport.toLowerCase()};lr`, params: {} }],
          "max-forwards": "70",
        },
        content: options.content ?? "",
      };
    };
    let response = await this.transact(make(), options);
    for (let signed = 0; isChallenge(response) && (signed === 0 || (signed < staleMax && isStale(response))); signed += 1) {
      const again = make();
      this.#sign(again, response);
      response = await this.transact(again, options);
    }
    return response;
  }

  /** Sends a request as it is, except for the Via that the stack adds. Resolves with the final response; every repeated 2xx is told again. */
  transact(request: Request, options: RequestOptions & { readonly repeated?: (response: Response) => void } = {}): Promise<Response> {
    return new Promise((resolve) => {
      let isOver = false;
      this.#open.stack.send(request, (response) => {
        if (response.status < 200) return options.provisional?.(response);
        if (isOver) return options.repeated?.(response);
        isOver = true;
        resolve(response);
      });
      options.sent?.(request);
    });
  }

  /** Sends what is not answered (ACK). */
  send(request: Request): void {
    this.#open.stack.send(request);
  }

  /** Answers a request; Contact and, with `sdp`, a body go along. A 2xx to INVITE is repeated until its ACK comes. */
  answer(request: Request, status: number, reason: string, sdp?: string): void {
    const response = sip.makeResponse(request, status, reason);
    response.headers.to = { ...request.headers.to, params: { tag: this.tag, ...request.headers.to.params } };
    if (request.headers["record-route"] !== undefined) response.headers["record-route"] = request.headers["record-route"];
    if (status < 300) response.headers.contact = [{ uri: this.contact, params: {} }];
    if (sdp !== undefined) Object.assign(response, { content: sdp, headers: { ...response.headers, "content-type": sdpType } });
    this.#open.stack.send(response);
    if (request.method !== "INVITE" || status < 200 || status >= 300) return;
    const callId = request.headers["call-id"];
    clearInterval(this.#unacknowledged.get(callId));
    this.#unacknowledged.set(
      callId,
      setInterval(() => this.#open.stack.send(response), retryMs),
    );
  }

  /** Takes the next request of this method (and Call-ID) from the inbox, waiting for it, for ten seconds or as long as is said. */
  async next(method: string, callId?: string, msMax?: number): Promise<Request> {
    const isIt = (one: Request): boolean => one.method === method && (callId === undefined || one.headers["call-id"] === callId);
    try {
      await until(() => this.inbox.some(isIt), msMax);
    } catch {
      throw new Error(`${this.account.user} (${this.way.transport}) got no ${method}`);
    }
    const [request] = this.inbox.splice(this.inbox.findIndex(isIt), 1);
    if (request === undefined) throw new Error("it was there");
    return request;
  }

  close(): void {
    for (const timer of this.#unacknowledged.values()) clearInterval(timer);
    this.#open.stack.destroy();
  }

  get #open(): Endpoint {
    if (this.#endpoint === undefined) throw new Error("not open yet");
    return this.#endpoint;
  }

  /** The stack's digest knows MD5 only, and would take the first challenge, whatever it is. */
  #sign(request: Request, { status, reason, headers }: Response): void {
    const known: Headers = {
      ...headers,
      "www-authenticate": headers["www-authenticate"]?.filter(isMd5) ?? [],
      "proxy-authenticate": headers["proxy-authenticate"]?.filter(isMd5) ?? [],
    };
    digest.signRequest({}, request, { status, reason, headers: known }, { ...this.account });
  }

  #received(request: Request): void {
    if (request.method === "ACK") {
      const callId = request.headers["call-id"];
      clearInterval(this.#unacknowledged.get(callId));
      this.#unacknowledged.delete(callId);
    }
    this.inbox.push(request);
  }
}

export function randomId(): string {
  return randomBytes(8).toString("hex");
}

function isChallenge({ status }: Response): boolean {
  return status === 401 || status === 407;
}

function isStale({ headers }: Response): boolean {
  const challenges = [...(headers["www-authenticate"] ?? []), ...(headers["proxy-authenticate"] ?? [])];
  return challenges.some(({ stale = "" }) => stale.replaceAll('"', "").toLowerCase() === "true");
}

function isMd5({ algorithm = "MD5" }: Challenge): boolean {
  return algorithm.toUpperCase() === "MD5";
}
