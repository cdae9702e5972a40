import { isParseError } from "../../../sip/errors.ts";
import { buildResponse } from "../../../sip/message/build.ts";
import { octetsOf, stringOf } from "../../../sip/message/octets.ts";
import { parseMessage } from "../../../sip/message/sip-message.ts";
import type { SipMessage } from "../../../sip/message/sip-message.ts";
import { TimerTable } from "../../../sip/transaction/timer-table.ts";
import { TransactionLayer } from "../../../sip/transaction/transaction-layer.ts";
import type { ServerTransaction, TransactionUser } from "../../../sip/transaction/transaction.ts";
import { isReliable, transportOfFlow } from "../../../sip/flow/flow.ts";

/** A message that left: where to, and what. */
export type Sent = {
  readonly flow: string;
  readonly message: SipMessage;
  readonly text: string;
  readonly commit: number | undefined;
  /** It was handed over as a 2xx to an INVITE. */
  readonly isAnswer: boolean;
};

/** Flows of one phone: over UDP and over TCP. */
export const udp = "g1~u0..c000020213c4"; // 192.0.2.2:5060
export const tcp = "g1~t1.c1.c000020213c4";

/** A transaction layer in simulated time that writes down what leaves and what its user is told. */
export class Recorder {
  now = 1_000_000;
  readonly timers = new TimerTable();
  readonly layer: TransactionLayer;
  /** Events of the transaction user: `request INVITE`, `timeout`, `response 200`, ... */
  readonly events: string[] = [];
  readonly sent: Sent[] = [];
  servers: ServerTransaction[] = [];
  cancelled: (ServerTransaction | undefined)[] = [];

  constructor(options: { transactionsMax?: number } = {}) {
    const user: TransactionUser = {
      request: (tx, message) => {
        this.events.push(`request ${message.method}`);
        this.servers.push(tx);
      },
      ack: (message) => this.events.push(`ack ${message.method}`),
      cancel: (tx, cancelTx) => {
        this.events.push("cancel");
        this.cancelled.push(tx);
        this.servers.push(cancelTx);
      },
      response: (_tx, message) => this.events.push(`response ${message.status}`),
      strayResponse: (message) => this.events.push(`stray ${message.status}`),
      timeout: () => this.events.push("timeout"),
      transportError: () => this.events.push("transportError"),
      terminated: (tx) => this.events.push(`terminated ${tx.kind}`),
    };
    this.layer = new TransactionLayer({
      timers: this.timers,
      transport: {
        send: (flow, octets, commit) => this.#leaves(flow, octets, commit, false),
        answer: (flow, octets, commit) => this.#leaves(flow, octets, commit, true),
      },
      user,
      isReliable: (flow) => isReliable(transportOfFlow(flow) ?? "UDP"),
      ...options,
    });
  }

  #leaves(flow: string, octets: Uint8Array, commit: number | undefined, isAnswer: boolean): void {
    this.sent.push({ flow, message: parsed(octets), text: stringOf(octets), commit, isAnswer });
  }

  get server(): ServerTransaction {
    const last = this.servers.at(-1);
    if (last === undefined) throw new Error("no request has been passed on");
    return last;
  }

  receive(text: string, flow: string): void {
    this.layer.receive(parsed(octetsOf(text)), flow, this.now);
  }

  respond(status: number, options: { toTag?: string; commit?: number; tx?: ServerTransaction; request?: SipMessage } = {}): void {
    const tx = options.tx ?? this.server;
    const request = options.request ?? tx.request;
    if (request === undefined) throw new Error("answered already");
    this.layer.respond(tx, status, buildResponse(request, status, { toTag: options.toTag ?? "t" }), this.now, options.commit);
  }

  /** Lets time pass, firing every timer at its moment. */
  advance(ms: number): void {
    const end = this.now + ms;
    for (let next = this.timers.nextDeadline(); next !== undefined && next <= end; next = this.timers.nextDeadline()) {
      this.now = Math.max(this.now, next);
      this.timers.fireDue(this.now);
    }
    this.now = end;
  }

  /** What has left since the last call, as `INVITE` or `200`. */
  take(): string[] {
    return this.sent.splice(0).map(({ message }) => (message.isRequest ? message.method : String(message.status)));
  }

  /** When each message left, in ms since the call, while time passes. */
  sendTimes(ms: number): number[] {
    const start = this.now;
    const times: number[] = [];
    this.sent.length = 0;
    while (this.now < start + ms) {
      const next = this.timers.nextDeadline();
      this.advance(next === undefined ? start + ms - this.now : Math.min(next, start + ms) - this.now);
      for (let count = this.sent.splice(0).length; count > 0; count -= 1) times.push(this.now - start);
      if (next === undefined || next > start + ms) break;
    }
    this.now = start + ms;
    return times;
  }
}

export function parsed(octets: Uint8Array): SipMessage {
  const message = parseMessage(octets);
  if (isParseError(message)) throw new Error(`unreadable: ${message.error}: ${stringOf(octets)}`);
  return message;
}

/** A request as text; the branch decides the transaction. */
export function requestText(method: string, branch = "z9hG4bK1", options: { toTag?: string; cSeq?: number; via?: string } = {}): string {
  const via = options.via ?? `SIP/2.0/UDP 192.0.2.2:5060;rport;branch=${branch}`;
  const to = options.toTag === undefined ? "" : `;tag=${options.toTag}`;
  return (
    `${method} sip:bob@example.test SIP/2.0\r\nVia: ${via}\r\nMax-Forwards: 70\r\nFrom: <sip:alice@example.test>;tag=a\r\n` +
    `To: <sip:bob@example.test>${to}\r\nCall-ID: call-1\r\nCSeq: ${options.cSeq ?? 1} ${method}\r\n` +
    `Contact: <sip:alice@192.0.2.2>\r\nContent-Length: 0\r\n\r\n`
  );
}

/** A response to a request of ours, as text. */
export function responseText(request: SipMessage, status: number, toTag = "b"): string {
  return stringOf(buildResponse(request, status, { toTag }));
}
