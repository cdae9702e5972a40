import { base36Of32 } from "../base-36.ts";
import { isParseError } from "../errors.ts";
import { messageOctetsMax, phoneReturnMs, phoneSearchMs, resolveMs } from "../limits.ts";
import type { SipMessage } from "../message/sip-message.ts";
import { serializeUri } from "../message/uri.ts";
import { Timer, type TimerTable } from "../transaction/timer-table.ts";
import type { TransportSink } from "../transaction/transaction.ts";
import { splitFlow, isStreamFlow } from "../flow/flow.ts";
import { fnv1a, makeBranch, verifyViaMark, viaMarkName } from "../flow/token.ts";
import { breadthOf } from "./breadth.ts";
import type { ProxyEnvironment } from "./environment.ts";
import { forwardRequest } from "./forward-request.ts";
import { nextHopOf } from "./next-hop.ts";
import { withoutOwnChallenges } from "./own-realms.ts";
import type { Target } from "./target-set.ts";
import type { Preprocessed } from "./route-preprocessing.ts";
import { withoutTopVia } from "./top-via.ts";
import type { SteadyMs } from "../time.ts";

/** An ACK that waits for an address. */
type Waiting = { readonly timer: Timer; readonly request: Preprocessed; readonly target: Target };

/** ACKs that wait for an address at once; over it, the oldest is forgotten. */
const waitingMax = 1_000;

/** RFC 3261 16.11: what is forwarded without state: the ACK for a 2xx, and responses to requests that another replica forwarded. */
export class StatelessForwarder {
  readonly #env: ProxyEnvironment;
  readonly #timers: TimerTable;
  readonly #transport: TransportSink;
  readonly #waiting = new Map<string, Waiting>();

  constructor(env: ProxyEnvironment, timers: TimerTable, transport: TransportSink) {
    this.#env = env;
    this.#timers = timers;
    this.#transport = transport;
  }

  get size(): number {
    return this.#waiting.size;
  }

  ack(request: Preprocessed, target: Target, now: SteadyMs): void {
    const { message } = request;
    if (message.maxForwards === 0 || isParseError(message.maxForwards)) return;
    if (target.seek === "first") {
      const reference = this.#wait(request, target, phoneReturnMs + phoneSearchMs, now);
      return this.#env.seek({ request, target, failed: [], until: now + phoneReturnMs, reference }, now);
    }
    if (target.flow !== undefined) return this.#send(request, target, target.flow);
    const nextHop = nextHopOf(request, target);
    if (nextHop === undefined) return;
    const flow = this.#env.numericFlow(nextHop.uri, request.flow);
    if (flow !== undefined) return this.#send(request, target, flow);
    this.#env.resolve(serializeUri(nextHop.uri), this.#wait(request, target, resolveMs, now), now);
  }

  /** The reference under which its flow will be said. */
  #wait(request: Preprocessed, target: Target, ms: number, now: SteadyMs): string {
    const [oldest] = this.#waiting.keys();
    if (this.#waiting.size >= waitingMax && oldest !== undefined) this.#forget(oldest);
    const reference = this.#env.nextReference();
    const timer = new Timer(() => this.#forget(reference));
    this.#waiting.set(reference, { timer, request, target });
    this.#timers.set(timer, now + ms);
    return reference;
  }

  resolved(reference: string, flows: readonly string[]): void {
    const waiting = this.#waiting.get(reference);
    if (waiting === undefined) return;
    this.#forget(reference);
    const [flow] = flows;
    if (flow !== undefined) this.#send(waiting.request, waiting.target, flow);
  }

  /**
   * A response without a client transaction goes on by what our Via says, when its signature proves that a replica of ours made it.
   * When the transaction was here it is late: it has ended, and RFC 6026 7.3 and RFC 4320 4.2 forbid to forward it. Returns the flow it goes
   * on, undefined when it is dropped; the caller sends it.
   */
  response(received: SipMessage, now: SteadyMs): { readonly flow: string; readonly octets: Uint8Array } | undefined {
    const via = received.topVia;
    if (isParseError(via) || via.branch === undefined) return undefined;
    const mark = verifyViaMark(via.branch, via.params.get(viaMarkName) ?? "", this.#env.sign);
    if (mark === undefined) return undefined;
    const cSeq = received.cSeq;
    if (isParseError(cSeq) || this.#env.isLate(via.branch, mark.cell, cSeq.method, now)) return undefined;
    const { upstream } = mark;
    const message = withoutOwnChallenges(this.#env, received);
    const octets = withoutTopVia(message, isStreamFlow(upstream));
    return octets !== undefined && splitFlow(upstream) !== undefined && message.status > 100 ? { flow: upstream, octets } : undefined;
  }

  /** RFC 3261 16.11: the branch is a function of the received one, so that a repeated ACK is the same message. */
  #send(request: Preprocessed, target: Target, flow: string): void {
    if (this.#env.leadsHere(flow)) return;
    const via = request.message.topVia;
    if (isParseError(via)) return;
    const received = `${via.host}|${via.branch ?? via.text}`;
    const reference = `k${base36Of32(fnv1a(received))}-${base36Of32(fnv1a(`${received}k`))}`;
    // No mark: an ACK has no response, and is the same octets whichever replica forwards it.
    const branch = makeBranch({ exchange: this.#env.exchange, reference, loop: "0" });
    const octets = forwardRequest(this.#env, request, target, flow, { branch, mark: "" }, false, breadthOf(request.message));
    if (octets.length <= messageOctetsMax) this.#transport.send(flow, octets);
  }

  #forget(reference: string): void {
    const waiting = this.#waiting.get(reference);
    if (waiting === undefined) return;
    this.#waiting.delete(reference);
    this.#timers.clear(waiting.timer);
  }
}
