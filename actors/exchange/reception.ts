import { RecordKind } from "../../cluster/backhaul/frame.ts";
import { isParseError, type ParseError } from "../../sip/errors.ts";
import { briefResponse, tagOfRefusal } from "../../sip/flow/brief-response.ts";
import { splitFlow } from "../../sip/flow/flow.ts";
import { responseFlow, stampAnswer, stampReceived } from "../../sip/flow/response-flow.ts";
import { buildResponse } from "../../sip/message/build.ts";
import { Header } from "../../sip/message/header-names.ts";
import { parseMessage, type SipMessage } from "../../sip/message/sip-message.ts";
import { Specimen } from "../../sip/specimen.ts";
import type { TransactionLayer } from "../../sip/transaction/transaction-layer.ts";
import type { ElderRequests } from "./elder-requests.ts";
import type { Outgoing } from "./outgoing.ts";
import type { RegisterRequests } from "./register-requests.ts";
import type { SipTally } from "./sip-tally.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** Octets from an access become messages of the transaction layer; what needs no transaction is answered here. */
export class Reception {
  readonly #transactions: TransactionLayer;
  readonly #registers: RegisterRequests;
  readonly #outgoing: Outgoing;
  readonly #elderRequests: ElderRequests;
  readonly #tally: SipTally;
  readonly #specimens = { request: new Specimen(), response: new Specimen() };

  constructor(
    transactions: TransactionLayer,
    registers: RegisterRequests,
    outgoing: Outgoing,
    elderRequests: ElderRequests,
    tally: SipTally,
  ) {
    this.#elderRequests = elderRequests;
    this.#tally = tally;
    this.#transactions = transactions;
    this.#registers = registers;
    this.#outgoing = outgoing;
  }

  /** `isOurs`: it is for this exchange, whatever the map says. */
  receive(octets: Uint8Array, flow: string, now: SteadyMs, isOurs = false): void {
    const parsed = parseMessage(octets);
    if (isParseError(parsed)) return this.#refuseUnparsed(parsed, flow);
    const message = this.#stamped(parsed, flow);
    const wrong = message.checkMandatory();
    if (wrong !== undefined) return this.#refuseUnparsed(wrong.of(message), flow);
    this.#specimens[message.isRequest ? "request" : "response"].keep(message);
    if (!isOurs && message.isRequest && this.#isForAnother(message, octets, flow, now)) return;
    if (message.isRequest) this.#tally.requested(message.method);
    if (!this.#registerAtOnce(message, flow, now)) this.#transactions.receive(message, flow, now);
  }

  /** Takes what belongs to an INVITE that is in hand here. False: it does not. */
  takeOfInvite(octets: Uint8Array, flow: string, now: SteadyMs): boolean {
    const message = parseMessage(octets);
    if (isParseError(message) || !this.#elderRequests.hasInvite(message)) return false;
    this.receive(octets, flow, now, true);
    return true;
  }

  /** A request that another exchange is asked about, or is brought to (see {@link ElderRequests}). */
  #isForAnother(message: SipMessage, octets: Uint8Array, flow: string, now: SteadyMs): boolean {
    const split = splitFlow(flow);
    if (split === undefined) return false;
    const { access, key } = split;
    const record = { kind: RecordKind.message, key, octets };
    const elders = this.#elderRequests.askedFor(message, now);
    if (elders.length > 0) this.#outgoing.push({ type: "offer", access, record, elders, isCancel: message.method === "CANCEL" });
    const exchange = elders.length > 0 ? undefined : this.#elderRequests.placeOf(message);
    if (exchange !== undefined) this.#outgoing.push({ type: "pass", access, record, exchange });
    return elders.length > 0 || exchange !== undefined;
  }

  /** A request with its source. A REGISTER without credentials is answered at once, see {@link RegisterRequests.isAnsweredAlike}. */
  #stamped(message: SipMessage, flow: string): SipMessage {
    if (!message.isRequest) return message;
    if (message.method !== "REGISTER" || message.has(Header.Route) || message.has(Header.Authorization))
      return stampReceived(message, flow);
    stampAnswer(message, flow);
    return message;
  }

  /** RFC 3261 8.2, 16.3 1: a request that cannot be read is answered without a transaction, as far as it says whom to answer. */
  #refuseUnparsed(error: ParseError, flow: string): void {
    const { message } = error;
    if (message === undefined || !message.isRequest || message.method === "ACK" || !message.isAnswerable) return;
    const stamped = stampReceived(message, flow);
    const response = buildResponse(stamped, error.status, { reason: error.reason, toTag: tagOfRefusal(stamped) });
    const back = responseFlow(stamped, flow);
    this.#tally.requested(message.method);
    this.#tally.responded(message.method, error.status);
    this.#outgoing.send(back, briefResponse(stamped, back, response));
  }

  /** A REGISTER that needs no transaction has been answered. False: it goes on as other requests do. */
  #registerAtOnce(message: SipMessage, flow: string, now: SteadyMs): boolean {
    if (message.method !== "REGISTER" || message.has(Header.Route) || !this.#registers.isAnsweredAlike(message, flow, now)) return false;
    const { status, octets, commit } = this.#registers.answer(message, flow, now);
    const back = responseFlow(message, flow);
    this.#tally.responded(message.method, status);
    this.#outgoing.send(back, status < 300 ? octets : briefResponse(message, back, octets), commit);
    return true;
  }
}
