import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { WebSocket } from "ws";
import { messageText } from "../../../kit/phone/message-text.ts";
import { until } from "../../../kit/world/until.ts";

export type Registered = { readonly status: number; readonly retryAfter: string | undefined };

/** One WebSocket that registers users by hand, as many at the same time as one likes. Passwords are not asked for. */
export class Registrant {
  readonly socket: WebSocket;
  readonly domain: string;
  /** The code of its closing. */
  closed: number | undefined;
  readonly #host = `${randomUUID().slice(0, 8)}.invalid`;
  /** By branch. */
  readonly #answers = new Map<string, (answer: Registered | undefined) => void>();
  readonly #callIds = new Map<string, { readonly callId: string; cSeq: number }>();

  /** `url`: of a cell. Rejects when it does not take the WebSocket. */
  static async connect(url: string, domain: string): Promise<Registrant> {
    const registrant = new Registrant(url, domain);
    await once(registrant.socket, "open");
    return registrant;
  }

  private constructor(url: string, domain: string) {
    this.domain = domain;
    this.socket = new WebSocket(url.replace(/^http/, "ws"), "sip");
    this.socket.on("error", () => {});
    this.socket.on("message", (data: Buffer) => this.#receive(data.toString("latin1")));
    this.socket.on("close", (code) => {
      this.closed = code;
      for (const answer of this.#answers.values()) answer(undefined);
      this.#answers.clear();
    });
  }

  /** Registers so many contacts of a user. Resolves with the answer; undefined: the WebSocket was closed before there was one. */
  async register(user: string, contacts = 1): Promise<Registered | undefined> {
    if (this.closed !== undefined) return undefined;
    const registration = this.#callIds.get(user) ?? { callId: randomUUID(), cSeq: 0 };
    this.#callIds.set(user, registration);
    registration.cSeq += 1;
    const branch = `z9hG4bK${randomUUID()}`;
    const lines = [
      `Via: SIP/2.0/WS ${this.#host};branch=${branch}`,
      "Max-Forwards: 70",
      `From: <sip:${user}@${this.domain}>;tag=${user}`,
      `To: <sip:${user}@${this.domain}>`,
      `Call-ID: ${registration.callId}`,
      `CSeq: ${registration.cSeq} REGISTER`,
      ...Array.from({ length: contacts }, (_, index) => `Contact: <sip:${user}.${index}@${this.#host};transport=ws>;expires=600`),
    ];
    return await new Promise((resolve) => {
      this.#answers.set(branch, resolve);
      this.socket.send(messageText(`REGISTER sip:${this.domain} SIP/2.0`, lines));
    });
  }

  close(): void {
    this.socket.terminate();
  }

  async untilClosed(): Promise<number> {
    await until(() => this.closed !== undefined);
    return this.closed ?? 0;
  }

  #receive(text: string): void {
    const status = /^SIP\/2\.0 ([2-6]\d\d) /.exec(text)?.[1];
    const branch = /branch=(z9hG4bK[0-9a-f-]+)/.exec(text)?.[1] ?? "";
    if (status === undefined) return;
    this.#answers.get(branch)?.({ status: Number(status), retryAfter: /^Retry-After: *(\S+)/im.exec(text)?.[1] });
    this.#answers.delete(branch);
  }
}
