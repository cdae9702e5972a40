import { expect } from "vitest";
import { Header } from "../../../sip/message/header-names.ts";
import { answer, type Sent, type TestExchange, type TestPhone } from "./harness.ts";

/** The one message of an event that begins like this. */
export function one(sent: readonly Sent[], what: string): Sent {
  const found = sent.filter((each) => each.text.startsWith(what));
  const said = sent.map((each) => `${each.key} ${each.text.split("\r\n")[0]}`).join(" | ");
  expect(found, `one ${what} among ${said}`).toHaveLength(1);
  const [first] = found;
  if (first === undefined) throw new Error(`no ${what}`);
  return first;
}

/** `key STATUS` or `key METHOD` of what was sent. */
export function told(sent: readonly Sent[]): string[] {
  return sent.map(({ key, message }) => `${key} ${message.isRequest ? message.method : message.status}`);
}

export type CallOptions = {
  /** What the caller dials. */
  readonly uri?: string;
  readonly callId?: string;
  readonly headers?: readonly string[];
  readonly method?: string;
  /** Of the 180 and the 2xx; `below` and `above`: Record-Route values that other proxies added before and behind us. */
  readonly below?: readonly string[];
  readonly above?: readonly string[];
  readonly from?: string;
};

/** A dialog between two phones, as far as it has come: what each of them knows of it. */
export class DialogCall {
  readonly caller: TestPhone;
  readonly callee: TestPhone;
  readonly callId: string;
  readonly invite: Sent;
  readonly #options: CallOptions;
  readonly #uri: string;
  #cSeq = 100;

  constructor(world: TestExchange, caller: TestPhone, callee: TestPhone, options: CallOptions = {}) {
    this.caller = caller;
    this.callee = callee;
    this.callId = options.callId ?? "the-call";
    this.#options = options;
    this.#uri = options.uri ?? "sip:bob@example.test";
    const headers = [`Call-ID: ${this.callId}`, this.#from, ...(options.below ?? []).map((value) => `Record-Route: ${value}`)];
    const { method = "INVITE" } = options;
    const text = caller.request(method, this.#uri, [...headers, ...(options.headers ?? [])]);
    this.invite = one(world.receive(caller.key, text, caller.access), method);
  }

  get #from(): string {
    return this.#options.from ?? `From: <sip:${this.caller.user}@example.test>;tag=caller-tag`;
  }

  /** Our Record-Route values as the callee has them, and those of proxies behind us. */
  get recorded(): readonly string[] {
    return [...(this.#options.above ?? []), ...this.invite.message.values(Header.RecordRoute)];
  }

  /** The callee answers. */
  answer(world: TestExchange, status: number, headers: readonly string[] = [], tag = "callee-tag"): Sent[] {
    const contact = [`Contact: ${this.callee.contact}`, ...headers];
    const text = answer(this.invite.message, status, tag, contact);
    const above = (this.#options.above ?? []).map((value) => `Record-Route: ${value}\r\n`).join("");
    return world.receive(this.callee.key, text.replace("\r\n", `\r\n${above}`), this.callee.access);
  }

  /** A request of either side within the dialog, as text; what is named is another than the dialog's. */
  request(
    method: string,
    by: "caller" | "callee",
    changes: {
      readonly uri?: string;
      readonly routes?: readonly string[];
      readonly callId?: string;
      readonly fromTag?: string | undefined;
      readonly toTag?: string | undefined;
      readonly fromUri?: string;
      readonly toUri?: string;
      readonly headers?: readonly string[];
    } = {},
  ): string {
    this.#cSeq += 1;
    const isCaller = by === "caller";
    const sender = isCaller ? this.caller : this.callee;
    const receiver = isCaller ? this.callee : this.caller;
    const callerUri = /<([^>]*)>/.exec(this.#from)?.[1] ?? "";
    const tags = isCaller ? ["caller-tag", "callee-tag"] : ["callee-tag", "caller-tag"];
    const fromTag = "fromTag" in changes ? changes.fromTag : tags[0];
    const toTag = "toTag" in changes ? changes.toTag : tags[1];
    const routes = changes.routes ?? (isCaller ? this.recorded.toReversed() : this.recorded);
    const uris = isCaller ? [callerUri, this.#uri] : [this.#uri, callerUri];
    return sender.request(method, changes.uri ?? receiver.contact.slice(1, -1), [
      `From: <${changes.fromUri ?? uris[0] ?? ""}>${fromTag === undefined ? "" : `;tag=${fromTag}`}`,
      `To: <${changes.toUri ?? uris[1] ?? ""}>${toTag === undefined ? "" : `;tag=${toTag}`}`,
      `Call-ID: ${changes.callId ?? this.callId}`,
      `CSeq: ${method === "ACK" ? 1 : this.#cSeq} ${method}`,
      ...routes.map((route) => `Route: ${route}`),
      ...(changes.headers ?? []),
    ]);
  }

  /** It is sent, from where its sender is. */
  send(world: TestExchange, method: string, by: "caller" | "callee", changes: Parameters<DialogCall["request"]>[2] = {}): Sent[] {
    const { key, access } = by === "caller" ? this.caller : this.callee;
    return world.receive(key, this.request(method, by, changes), access);
  }
}
