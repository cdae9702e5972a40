import { isParseError } from "../../sip/errors.ts";
import { buildResponse, type HeaderField } from "../../sip/message/build.ts";
import { capabilityHeaders } from "../../sip/message/capabilities.ts";
import { Header } from "../../sip/message/header-names.ts";
import { type SipMessage, parseMessage } from "../../sip/message/sip-message.ts";
import { isSipUri } from "../../sip/message/uri.ts";
import { type ClusterMap, domainOf } from "../../cluster/map/cluster-map.ts";
import { briefResponse } from "../../sip/flow/brief-response.ts";
import { type Listener, defaultPort, joinFlow, splitFlow } from "../../sip/flow/flow.ts";
import { responseFlow, stampReceived } from "../../sip/flow/response-flow.ts";
import { fnv1a } from "../../sip/flow/token.ts";
import { retryAfterSeconds, retrySpreadSeconds } from "../../sip/limits.ts";
import { octetsOf } from "../../sip/message/octets.ts";

export type LocalAnswersOptions = {
  readonly gateway: string;
  /** Differs from start to start: part of the To tags. */
  readonly boot: string;
  listeners(): readonly Listener[];
  map(): ClusterMap | undefined;
  /** True when a cell can be reached, and this gateway is not being drained. */
  isReady(): boolean;
  send(flowKey: string, octets: Uint8Array): void;
};

/** What the gateway answers by itself, without state (RFC 3261 8.2.7): OPTIONS to it, and refusals when no exchange can be reached. */
export class LocalAnswers {
  readonly #options: LocalAnswersOptions;
  /** How the To tags of what this gateway has refused begin. */
  readonly #tagStart: string;
  readonly #tagOctets: Uint8Array;
  #hasRefused = false;

  constructor(options: LocalAnswersOptions) {
    this.#options = options;
    this.#tagStart = `r${fnv1a(options.boot).toString(36)}-`;
    this.#tagOctets = octetsOf(`tag=${this.#tagStart}`);
  }

  /**
   * Answers an OPTIONS that is meant for the gateway itself: no user in its Request-URI, and a host that is ours (RFC 3261 11.2). 200 when a
   * cell can be reached and nobody takes this gateway out of service, else 503: load balancers probe with it. False: it is another message, to be passed on.
   */
  answerOptions(flowKey: string, octets: Uint8Array): boolean {
    // A message may be led by CRLFs (RFC 3261 7.5); a probe never is.
    if (!startsWith(octets, optionsStart)) return false;
    const message = parseMessage(octets);
    if (isParseError(message) || message.method !== "OPTIONS" || message.has(Header.Route) || !this.#isForUs(message)) return false;
    // A malformed one is refused by the exchange, which knows how.
    if (message.checkMandatory() !== undefined) return false;
    if (this.#options.isReady()) {
      this.#answer(flowKey, message, 200, capabilityHeaders);
    } else {
      this.#answer(flowKey, message, 503, [["Retry-After", String(retryAfterSeconds)]]);
    }
    return true;
  }

  /** True for the ACK of a refusal of ours: it has done its work (RFC 3261 8.2.7), and no exchange knows of it. */
  isOwnAck(octets: Uint8Array): boolean {
    return this.#hasRefused && startsWith(octets, ackStart) && hasInHeaders(octets, this.#tagOctets);
  }

  /** Answers a request with 503 and Retry-After. `isSpread`: there are many, who must not come back together. False for what cannot be answered: a response, an ACK, junk. */
  refuse(flowKey: string, octets: Uint8Array, isSpread = false): boolean {
    const message = parseMessage(octets);
    if (isParseError(message)) {
      if (message.message === undefined || message.message.method === "ACK") return false;
      this.#answer(flowKey, message.message, message.status, []);
      return true;
    }
    if (!message.isRequest || !message.isAnswerable || message.method === "ACK") return false;
    const spread = isSpread ? fnv1a(message.callId) % (retrySpreadSeconds + 1) : 0;
    this.#answer(flowKey, message, 503, [["Retry-After", String(retryAfterSeconds + spread)]]);
    return true;
  }

  #isForUs(message: SipMessage): boolean {
    const uri = message.parsedRequestUri;
    if (isParseError(uri) || !isSipUri(uri) || uri.user !== undefined) return false;
    const map = this.#options.map();
    if (map !== undefined && domainOf(map, uri.host, uri.port) !== undefined) return true;
    return this.#options
      .listeners()
      .some(({ transport, host, port }) => host.toLowerCase() === uri.host && port === (uri.port ?? defaultPort(transport)));
  }

  #answer(flowKey: string, message: SipMessage, status: number, headers: readonly HeaderField[]): void {
    const flow = joinFlow(this.#options.gateway, flowKey);
    const request = stampReceived(message, flow);
    // 8.2.7: the same tag for every copy of a request, though nobody remembers it.
    const via = request.topVia;
    const branch = isParseError(via) ? "" : (via.branch ?? "");
    const toTag = `${this.#tagStart}${fnv1a(`${branch} ${request.callId}`).toString(36)}`;
    if (request.method === "INVITE") this.#hasRefused = true;
    const back = responseFlow(request, flow);
    // Whoever asks may have forged its source: see brief-response.ts.
    const response = briefResponse(request, back, buildResponse(request, status, { toTag, headers }));
    this.#options.send(splitFlow(back)?.key ?? flowKey, response);
  }
}

const optionsStart = octetsOf("OPTIONS ");
const ackStart = octetsOf("ACK ");
const [lineFeed, carriageReturn] = [0x0a, 0x0d];

function startsWith(octets: Uint8Array, start: Uint8Array, at = 0): boolean {
  for (let index = 0; index < start.length; index += 1) if (octets[at + index] !== start[index]) return false;
  return true;
}

function hasInHeaders(octets: Uint8Array, text: Uint8Array): boolean {
  for (let at = 0; at < octets.length; at += 1) {
    if (octets[at] === lineFeed && octets[at + 1] === carriageReturn) return false;
    if (octets[at] === text[0] && startsWith(octets, text, at)) return true;
  }
  return false;
}
