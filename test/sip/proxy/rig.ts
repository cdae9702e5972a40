import { isParseError } from "../../../sip/errors.ts";
import { buildResponse } from "../../../sip/message/build.ts";
import { Header } from "../../../sip/message/header-names.ts";
import { octetsOf, stringOf } from "../../../sip/message/octets.ts";
import type { SipMessage } from "../../../sip/message/sip-message.ts";
import { Proxy } from "../../../sip/proxy/proxy.ts";
import { isResponseContext } from "../../../sip/proxy/response-context.ts";
import type { ResponseContext } from "../../../sip/proxy/response-context.ts";
import type { Target } from "../../../sip/proxy/target-set.ts";
import type { Preprocessed } from "../../../sip/proxy/route-preprocessing.ts";
import { TimerTable } from "../../../sip/transaction/timer-table.ts";
import { TransactionLayer } from "../../../sip/transaction/transaction-layer.ts";
import type { ServerTransaction, TransactionUser, TransportSink } from "../../../sip/transaction/transaction.ts";
import { isReliable, transportOfFlow } from "../../../sip/flow/flow.ts";
import { stampReceived } from "../../../sip/flow/response-flow.ts";
import { fnv1a } from "../../../sip/flow/token.ts";
import { parsed } from "../transaction/recorder.ts";
import { environment } from "./environment.ts";
import type { Sent } from "../transaction/recorder.ts";

/** 192.0.2.1 is the caller, .11, .12, .13 are phones of the callee, 198.51.100.1 is the cluster. */
export const caller = "g1~u0..c000020113c4";
export const callerTcp = "g1~t1.c1.c000020113c4";
export const phone1 = "g1~u0..c000020b13c4";
export const phone2 = "g1~u0..c000020c13c4";
export const phone3 = "g1~u0..c000020d13c4";
export const phoneTcp = "g1~t1.c9.c000020b13c4";

export function target(flow: string, options: Partial<Target> = {}): Target {
  return { requestUri: `sip:bob@${flow.slice(-12)}.invalid`, routes: [], flow, ...options };
}

export type RigOptions = { cell?: string; transactionsMax?: number; secret?: string };

/** A proxy over its transactions, in simulated time: requests are forwarded to `targets`, whatever leaves is written down. */
export class Rig {
  now = 1_000_000;
  readonly timers = new TimerTable();
  readonly layer: TransactionLayer;
  readonly proxy: Proxy;
  /** Everything that has left. */
  readonly sent: Sent[] = [];
  readonly sought: { failed: readonly string[]; reference: string; until: number; seek: Target["seek"] }[] = [];
  readonly stopped: string[] = [];
  /** Flows to which there is no way. */
  readonly unreachable = new Set<string>();
  /** What phones may do that have lost their connections. */
  mayReturn = false;
  readonly resolves: { uri: string; reference: string }[] = [];
  readonly flowsFailed: string[] = [];
  readonly finals: number[] = [];
  readonly changes: ResponseContext[] = [];
  readonly servers: ServerTransaction[] = [];
  /** Where requests outside a dialog go. */
  targets: readonly Target[] = [];
  recordRoute = false;
  mayBeRepeated = false;
  /** Set: numeric hosts are not flows, everything is resolved. */
  resolvesAll = false;
  commit: number | undefined;
  readonly sign: (text: string) => string;
  readonly #ended = new Set<string>();
  #references = 0;
  /** How much of `sent` has been taken. */
  #taken = 0;
  #tags = 0;

  constructor(options: RigOptions = {}) {
    const cell = options.cell ?? "a";
    const secret = options.secret ?? "secret";
    this.sign = (text) => fnv1a(secret + text).toString(36) + fnv1a(text + secret).toString(36);
    const env = environment({
      exchange: 3,
      cell,
      sign: this.sign,
      wallAt: (moment: number) => moment,
      nextReference: () => `${cell}${(this.#references += 1)}`,
      isLate: (branch, _cell, method) => this.#ended.has(`${branch} ${method}`),
      mayBeRepeated: () => this.mayBeRepeated,
      nextTag: () => `tag-${(this.#tags += 1)}`,
      sentBy: (flow) => listenerOf(flow),
      resolve: (uri, reference) => this.resolves.push({ uri, reference }),
      seek: ({ failed, reference, target: { seek }, until }) => this.sought.push({ failed, reference, until, seek }),
      stopSeeking: (reference) => this.stopped.push(reference),
      mayReturn: () => this.mayReturn,
      numericFlow: (uri) => (this.resolvesAll ? undefined : numericFlow(uri.host, uri.port ?? 5060)),
      isOurs: (host) => host === "example.test" || host === "198.51.100.1",
      flowFailed: (flow) => {
        this.flowsFailed.push(flow);
        return this.unreachable.has(flow) ? "unreachable" : "dead";
      },
      final: (_context, status) => {
        this.finals.push(status);
        return this.commit;
      },
      changed: (context) => this.changes.push(context),
    });
    const leaves = (flow: string, octets: Uint8Array, commit: number | undefined, isAnswer: boolean): void => {
      this.sent.push({ flow, message: parsed(octets), text: stringOf(octets), commit, isAnswer });
    };
    const transport: TransportSink = {
      send: (flow, octets, commit) => leaves(flow, octets, commit, false),
      answer: (flow, octets, commit) => leaves(flow, octets, commit, true),
    };
    const user: TransactionUser = {
      request: (tx, message, now) => this.#request(tx, message, now),
      ack: (message, flow, now) => {
        const ack = this.proxy.preprocess(message, flow);
        if (!isParseError(ack)) this.proxy.ack(ack, dialogTarget(ack), now);
      },
      cancel: (tx, cancelTx, message, now) => this.proxy.cancel(tx, cancelTx, message, now),
      response: (tx, message, now) => void this.proxy.response(tx, message, now),
      strayResponse: (message, _flow, now) => {
        const onward = this.proxy.strayResponse(message, now);
        if (onward !== undefined) transport.send(onward.flow, onward.octets);
      },
      terminated: (tx) => {
        if (tx.kind === "inviteClient" || tx.kind === "nonInviteClient") this.#ended.add(`${tx.branch} ${tx.method}`);
      },
      timeout: (tx, now) => void this.proxy.timeout(tx, now),
      transportError: (tx, now) => void this.proxy.transportError(tx, now),
    };
    this.layer = new TransactionLayer({
      timers: this.timers,
      transport,
      user,
      isReliable: (flow) => isReliable(transportOfFlow(flow) ?? "UDP"),
      ...(options.transactionsMax === undefined ? {} : { transactionsMax: options.transactionsMax }),
    });
    this.proxy = new Proxy(env, this.layer, this.timers, transport);
  }

  #request(tx: ServerTransaction, message: SipMessage, now: number): void {
    this.servers.push(tx);
    const received = this.proxy.preprocess(message, tx.flow);
    if (isParseError(received)) return this.proxy.refuse(tx, message, { status: received.status, headers: [] }, now);
    const isInside = received.token !== undefined || this.targets.length === 0;
    const targets = isInside ? [dialogTarget(received)] : this.targets;
    this.proxy.forward(tx, received, targets, { recordRoute: this.recordRoute }, now);
  }

  /** The response context of the last request. */
  get context(): ResponseContext {
    const owner = this.servers.at(-1)?.owner;
    if (!isResponseContext(owner)) throw new Error("no request has been forwarded");
    return owner;
  }

  receive(text: string, flow: string): void {
    const message = parsed(octetsOf(text));
    this.layer.receive(message.isRequest ? stampReceived(message, flow) : message, flow, this.now);
  }

  /** The last message that left on a flow, as `INVITE` or `200` when that is given. */
  last(flow: string, what?: string): Sent {
    const found = this.sent.findLast((sent) => sent.flow === flow && (what === undefined || nameOf(sent.message) === what));
    if (found === undefined) throw new Error(`no ${what ?? "message"} on ${flow}: ${this.log().join(", ")}`);
    return found;
  }

  /** A phone answers the last request on its flow. */
  answer(flow: string, status: number, options: { toTag?: string; headers?: [string, string][]; method?: string } = {}): void {
    const { message } = this.last(flow, options.method ?? "INVITE");
    const response = buildResponse(message, status, { toTag: options.toTag ?? `of-${flow.slice(-6)}`, headers: options.headers ?? [] });
    this.receive(stringOf(response), flow);
  }

  /** The transport says that the last request on a flow could not be delivered. */
  undeliverable(flow: string, what = "INVITE"): void {
    this.layer.undeliverable(this.last(flow, what).message, flow, this.now);
  }

  advance(ms: number): void {
    const end = this.now + ms;
    for (let next = this.timers.nextDeadline(); next !== undefined && next <= end; next = this.timers.nextDeadline()) {
      this.now = Math.max(this.now, next);
      this.timers.fireDue(this.now);
    }
    this.now = end;
  }

  /** What has left since the last call: `caller 180`, `phone1 INVITE`. */
  take(): string[] {
    const log = this.log();
    this.#taken = this.sent.length;
    return log;
  }

  /** The same, without forgetting it. */
  log(): string[] {
    return this.sent.slice(this.#taken).map((sent) => `${names.get(sent.flow) ?? sent.flow} ${nameOf(sent.message)}`);
  }

  /** True when nothing is remembered of any request. */
  get isIdle(): boolean {
    return this.layer.size === 0 && this.proxy.size === 0 && this.timers.size === 0;
  }
}

/** By the flow that the token has for that side, else by the Request-URI: what an exchange without any records would do. */
export function dialogTarget({ token, direction, message: { requestUri } }: Preprocessed): Target {
  const flow = direction === "toCaller" ? token?.caller : token?.callee;
  return { requestUri, routes: [], ...(flow === undefined ? {} : { flow }) };
}

const names: ReadonlyMap<string, string> = new Map([
  [caller, "caller"],
  [callerTcp, "caller"],
  [phone1, "phone1"],
  [phone2, "phone2"],
  [phone3, "phone3"],
  [phoneTcp, "phoneTcp"],
]);

function nameOf(message: SipMessage): string {
  return message.isRequest ? message.method : String(message.status);
}

function listenerOf(flow: string): { transport: "UDP" | "TCP" | "TLS" | "WS"; host: string; port: number } {
  const host = "198.51.100.1";
  switch (transportOfFlow(flow)) {
    case "TCP":
      return { transport: "TCP", host, port: 5060 };
    case "TLS":
      return { transport: "TLS", host, port: 5061 };
    case "WS":
      return { transport: "WS", host: "example.test", port: 80 };
    default:
      return { transport: "UDP", host, port: 5060 };
  }
}

function numericFlow(host: string, port: number): string | undefined {
  const parts = host.split(".").map(Number);
  if (parts.length !== 4 || parts.some(Number.isNaN)) return undefined;
  return `g1~u0..${parts.map((part) => part.toString(16).padStart(2, "0")).join("")}${port.toString(16).padStart(4, "0")}`;
}

export type RequestOptions = {
  branch?: string;
  requestUri?: string;
  /** Lines without their CRLF. */
  headers?: string[];
  maxForwards?: number | "none";
  toTag?: string;
  fromTag?: string;
  via?: string;
  cSeq?: number;
  callId?: string;
  body?: string;
};

/** A request of the caller's as text. */
export function request(method: string, options: RequestOptions = {}): string {
  const via = options.via ?? `SIP/2.0/UDP 192.0.2.1:5060;rport;branch=${options.branch ?? "z9hG4bKcaller"}`;
  const lines = [
    `${method} ${options.requestUri ?? "sip:bob@example.test"} SIP/2.0`,
    `Via: ${via}`,
    ...(options.maxForwards === "none" ? [] : [`Max-Forwards: ${options.maxForwards ?? 70}`]),
    `From: <sip:alice@example.test>;tag=${options.fromTag ?? "from-alice"}`,
    `To: <sip:bob@example.test>${options.toTag === undefined ? "" : `;tag=${options.toTag}`}`,
    `Call-ID: ${options.callId ?? "call-1"}`,
    `CSeq: ${options.cSeq ?? 1} ${method}`,
    "Contact: <sip:alice@192.0.2.1:5060>",
    ...(options.headers ?? []),
    `Content-Length: ${options.body?.length ?? 0}`,
  ];
  return `${lines.join("\r\n")}\r\n\r\n${options.body ?? ""}`;
}

/** Values of a header in a message that left. */
export function valuesOf(sent: Sent, id: keyof typeof Header): string[] {
  return sent.message.values(Header[id]);
}
