import { createHash, createHmac } from "node:crypto";
import { secretsOf } from "../../../sip/auth/digest.ts";
import { isParseError } from "../../../sip/errors.ts";
import type { Effect } from "../../../actors/exchange/effects.ts";
import { Exchange } from "../../../actors/exchange/exchange.ts";
import { octetsOf, stringOf } from "../../../sip/message/octets.ts";
import { parseMessage, type SipMessage } from "../../../sip/message/sip-message.ts";
import type { ClusterMap } from "../../../cluster/map/cluster-map.ts";
import { isLine, parseFlowKey, serializeFlowKey, type Transport } from "../../../sip/flow/flow.ts";
import { RecordKind } from "../../../cluster/backhaul/frame.ts";

export const startedAt = Date.UTC(2026, 10, 21);

export function hash(algorithm: "MD5" | "SHA-256", text: string): string {
  return createHash(algorithm === "MD5" ? "md5" : "sha256")
    .update(text, "latin1")
    .digest("hex");
}

export function testMap(auth: "digest" | "open" = "open", exchangeCount = 1): ClusterMap {
  return {
    version: 1,
    cells: [
      { id: "a", url: "http://127.0.0.1:8801" },
      { id: "b", url: "http://127.0.0.1:8802" },
    ],
    exchangeCount,
    lineCount: 1,
    domains: [{ name: "example.test", auth }],
    aliases: ["192.0.2.1", "192.0.2.1:5060"],
    heartbeat: { periodMs: 1000, missed: 3 },
    replication: { ackTimeoutMs: 200 },
    flushMs: 1000,
  };
}

export const listeners = [
  { transport: "UDP", host: "192.0.2.1", port: 5060 },
  { transport: "TCP", host: "192.0.2.1", port: 5060 },
  { transport: "TLS", host: "192.0.2.1", port: 5061 },
  { transport: "WS", host: "192.0.2.1", port: 5080 },
  { transport: "WSS", host: "192.0.2.1", port: 443 },
] as const;

/** The listener of an access for a transport: a line has none but that for WS. */
export function listenerOf(access: string, transport: Transport): number {
  return isLine(access) ? 0 : listeners.findIndex((listener) => listener.transport === transport);
}

export type Sent = {
  readonly access: string;
  readonly key: string;
  readonly text: string;
  readonly committed: boolean;
  /** What the peer must have before it leaves. */
  readonly commit: number | undefined;
  readonly message: SipMessage;
};

/** `now`: when it starts, if not with the others; a later start has other ids. */
export type TestExchangeOptions = {
  readonly exchange?: number;
  readonly exchangeCount?: number;
  readonly cell?: string;
  readonly now?: number;
  readonly map?: Partial<ClusterMap>;
  /** What one that wakes knows of before it slept. */
  readonly orphansUntil?: number;
  /** False: no gateway has come yet. */
  readonly hasGateway?: boolean;
};

/** One exchange with a gateway g1 and a line a.0, simulated time, and what it sent. Nothing is faked but the world around it. */
export class TestExchange {
  readonly exchange: Exchange;
  now: number;
  sent: Sent[] = [];
  asked: string[] = [];
  /** Exchanges that something was passed on to. */
  readonly passed: number[] = [];
  logged: string[] = [];
  flowsAsked: { readonly addressOfRecord: string; readonly exchange: number; readonly reference: string }[] = [];
  resolving: { readonly id: string; readonly uri: string }[] = [];
  /** What the wall clock is ahead of the steady one. */
  aheadMs = 0;
  #ids = 0;

  constructor(auth: "digest" | "open" = "open", options: TestExchangeOptions = {}) {
    const map = { ...testMap(auth, options.exchangeCount ?? 1), ...options.map };
    this.now = options.now ?? startedAt;
    const boot = options.now === undefined ? "" : (options.now - startedAt + 1_000_000).toString(36);
    this.exchange = new Exchange(
      { exchange: options.exchange ?? 0, cell: options.cell ?? "a", map, orphansUntil: options.orphansUntil },
      {
        sign: (text) => createHmac("sha256", "test").update(text).digest("hex").slice(0, 20),
        hash,
        wallAt: (moment) => moment + this.aheadMs,
        nextId: () => {
          this.#ids += 1;
          return `id${options.cell ?? "a"}${boot}${this.#ids.toString(36).padStart(14, "0")}`;
        },
      },
      this.now,
    );
    if (options.hasGateway !== false) this.exchange.connectAccess("g1", listeners);
    this.exchange.connectAccess("a.0", [{ transport: "WS", host: "example.test", port: 80 }]);
  }

  addSubscriber(user: string, password: string): void {
    this.exchange.putSubscriber(`${user}@example.test`, secretsOf(hash, `${user}@example.test`, password), this.now);
  }

  /** A message arrives; what is sent because of it is returned, and kept in `sent`. */
  receive(key: string, text: string | Uint8Array, access = "g1"): Sent[] {
    const octets = typeof text === "string" ? octetsOf(text) : text;
    this.exchange.receive(access, { kind: RecordKind.message, key, octets }, this.now);
    return this.drain();
  }

  record(kind: number, key: string, text: string, access = "g1"): Sent[] {
    this.exchange.receive(access, { kind, key, octets: octetsOf(text) }, this.now);
    return this.drain();
  }

  /** Time goes on; every timer that comes due on the way fires at its time. */
  advance(ms: number): Sent[] {
    const until = this.now + ms;
    const before = this.sent.length;
    for (let next = this.exchange.nextDeadline(); next !== undefined && next <= until; next = this.exchange.nextDeadline()) {
      this.now = Math.max(this.now, next);
      this.exchange.tick(this.now);
      this.drain();
    }
    this.now = until;
    return this.sent.slice(before);
  }

  drain(): Sent[] {
    const now: Sent[] = [];
    for (const effect of this.exchange.takeEffects()) this.#carryOut(effect, now);
    this.sent.push(...now);
    return now;
  }

  #carryOut(effect: Effect, now: Sent[]): void {
    if (effect.type === "flows") {
      this.flowsAsked.push(effect);
      return;
    }
    if (effect.type === "log") {
      this.logged.push(effect.text);
      return;
    }
    if (effect.type === "credentials") {
      this.asked.push(effect.addressOfRecord);
      return;
    }
    if (effect.type === "pass") this.passed.push(effect.exchange);
    if (effect.type === "offer" || effect.type === "pass") return;
    const { kind, key, octets } = effect.record;
    if (kind === RecordKind.resolve) {
      this.resolving.push({ id: key, uri: stringOf(octets) });
      return;
    }
    if (kind !== RecordKind.send) return;
    const message = parseMessage(octets);
    if (isParseError(message)) throw new Error(`sent what cannot be parsed: ${message.reason}\n${stringOf(octets)}`);
    now.push({
      access: effect.access,
      key,
      text: stringOf(octets),
      committed: effect.commit !== undefined,
      commit: effect.commit,
      message,
    });
  }
}

/** A phone at an address: makes its requests and responses as octets, and holds its dialogs by hand. */
export class TestPhone {
  readonly user: string;
  readonly key: string;
  readonly contact: string;
  readonly via: string;
  readonly access: string;
  #branches = 0;
  #cSeq = 0;

  constructor(user: string, address: string, port: number, transport: Transport = "UDP", access = transport === "WS" ? "a.0" : "g1") {
    this.user = user;
    const isWebSocket = transport === "WS" || transport === "WSS";
    const listener = listenerOf(access, transport);
    const connection = transport === "UDP" ? "" : `c${port}`;
    this.key = serializeFlowKey({ transport, listener, connection, address, port });
    this.access = access;
    const host = isWebSocket ? `${user}.invalid` : `${address}:${port}`;
    // RFC 7118 5.2: `ws` over TLS, too.
    const parameter = transport === "UDP" ? "" : `;transport=${isWebSocket ? "ws" : transport.toLowerCase()}`;
    this.contact = `<sip:${user}@${host}${parameter}>`;
    this.via = `SIP/2.0/${transport} ${host};rport`;
    if (parseFlowKey(this.key) === undefined) throw new Error(`not a flow key: ${this.key}`);
  }

  request(method: string, uri: string, headers: readonly string[] = [], body = ""): string {
    this.#branches += 1;
    this.#cSeq += 1;
    const lines = [
      `${method} ${uri} SIP/2.0`,
      `Via: ${this.via};branch=z9hG4bK${this.user}${this.#branches}`,
      ...(headers.some((line) => line.startsWith("Max-Forwards")) ? [] : ["Max-Forwards: 70"]),
      ...(headers.some((line) => line.startsWith("From")) ? [] : [`From: <sip:${this.user}@example.test>;tag=${this.user}-tag`]),
      ...(headers.some((line) => line.startsWith("To:")) ? [] : [`To: <${uri}>`]),
      ...(headers.some((line) => line.startsWith("Call-ID")) ? [] : [`Call-ID: call-of-${this.user}`]),
      ...(headers.some((line) => line.startsWith("CSeq")) ? [] : [`CSeq: ${this.#cSeq} ${method}`]),
      ...(headers.some((line) => line.startsWith("Contact")) || method === "BYE" ? [] : [`Contact: ${this.contact}`]),
      ...headers,
      `Content-Length: ${body.length}`,
    ];
    return `${lines.join("\r\n")}\r\n\r\n${body}`;
  }

  register(expires = 600, headers: readonly string[] = []): string {
    const to = `To: <sip:${this.user}@example.test>`;
    return this.request("REGISTER", "sip:example.test", [to, `Expires: ${expires}`, `Call-ID: register-of-${this.user}`, ...headers]);
  }
}

/** A response to a request as it was received: the headers that RFC 3261 8.2.6.2 copies, and the given ones. */
export function answer(request: SipMessage, status: number, tag: string, headers: readonly string[] = []): string {
  const lines = stringOf(request.octets, request.start, request.bodyStart).split("\r\n").slice(1, -2);
  const copied = lines
    .filter((line) => /^(?:Via|From|To|Call-ID|CSeq|Record-Route):/i.test(line))
    .map((line) => (/^To:/i.test(line) && !line.includes(";tag=") && status > 100 ? `${line};tag=${tag}` : line));
  return `${[`SIP/2.0 ${status} Whatever`, ...copied, ...headers, "Content-Length: 0"].join("\r\n")}\r\n\r\n`;
}

/** The header values of a message, for readable expectations. */
export function valuesOf(sent: Sent | undefined, name: string): string[] {
  return sent?.message.valuesOf(name) ?? [];
}
