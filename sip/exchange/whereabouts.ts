import { contactOf } from "../dialog/dialog.ts";
import { presentFlow, type Phone, type PhoneFlow } from "../dialog/present-flow.ts";
import { isParseError } from "../errors.ts";
import type { SipMessage } from "../message/sip-message.ts";
import { isSipUri } from "../message/uri.ts";
import type { ClusterMap } from "../placement/cluster-map.ts";
import type { Target } from "../proxy/response-context.ts";
import type { Preprocessed } from "../proxy/route-preprocessing.ts";
import { msOfVersion } from "../record/version.ts";
import type { ServerTransaction } from "../transaction/transaction.ts";
import { accessOfFlow, isReliable, transportOfFlow } from "../transport/flow.ts";
import { fallbackFlow } from "../transport/response-flow.ts";
import type { Accesses } from "./accesses.ts";
import { addressOfRecordOfParty } from "./caller.ts";
import type { DialogKeeper } from "./dialog-keeper.ts";
import type { PhoneFinder } from "./phone-finder.ts";

/** ACKs, and responses without a transaction, that were sent again and are remembered, so that none goes to and fro. */
const sentAgainMax = 1_000;

export type WhereaboutsOptions = {
  readonly map: () => ClusterMap;
  readonly accesses: Accesses;
  readonly dialogs: DialogKeeper;
  readonly finder: PhoneFinder;
  /** The flows of an address-of-record of this exchange; undefined: another one serves it. */
  readonly flowsHere: (addressOfRecord: string, now: number) => readonly PhoneFlow[] | undefined;
  readonly send: (flow: string, octets: Uint8Array) => void;
  /** Where an in-dialog request goes, that waits under this reference. */
  readonly resolved: (reference: string, flows: readonly string[], now: number) => void;
  readonly moveResponse: (tx: ServerTransaction, response: SipMessage, flow: string | undefined, now: number) => void;
};

/**
 * Where the phones of dialogs and transactions are now: on the flow they had, on the one that they came back on (RFC 5626 4.3), or, having none,
 * at their Contact.
 */
export class Whereabouts {
  readonly #options: WhereaboutsOptions;
  /** By branch. */
  readonly #ackedAgain = new Set<string>();
  /** By branch and the flow that was found. */
  readonly #answeredAgain = new Set<string>();

  constructor(options: WhereaboutsOptions) {
    this.#options = options;
  }

  /** Where an in-dialog request goes: by its Request-URI, or on the flow that its phone has now. */
  dialogTarget(request: Preprocessed, now: number): Target {
    const { message } = request;
    const { requestUri } = message;
    const phone = this.#receiverOf(request);
    if (phone.flow === "") return { requestUri, routes: [] };
    const { addressOfRecord } = phone;
    const flows = (addressOfRecord === "" ? undefined : this.#options.flowsHere(addressOfRecord, now)) ?? [];
    const flow = presentFlow(phone, flows, (each) => this.#options.accesses.usable(each) !== undefined);
    if (flow === undefined) return { requestUri, routes: [], seek: "first", failedFlow: phone.flow };
    if (flow !== phone.flow) this.#options.dialogs.receiverMoved(message, flow, now);
    return { requestUri, routes: [], flow, seek: "onFailure" };
  }

  seek(request: Preprocessed, failed: string, reference: string, now: number): void {
    const phone = this.#receiverOf(request);
    this.#options.finder.find(
      { ...phone, failed },
      (found, at) => {
        if (found !== undefined) this.#options.dialogs.receiverMoved(request.message, found, at);
        const flow = found ?? this.#contactFlow(request, phone.contact, failed);
        this.#options.resolved(reference, flow === undefined ? [] : [flow], at);
      },
      now,
    );
  }

  /** The ACK of a 2xx is repeated by nobody when its connection has been lost: once more, where the phone is now. */
  ackLost(ack: SipMessage, failed: string, now: number): void {
    const side = this.#options.dialogs.receiverOf(ack);
    const via = ack.topVia;
    if (side === undefined || isParseError(via) || via.branch === undefined || this.#ackedAgain.has(via.branch)) return;
    if (this.#ackedAgain.size >= sentAgainMax) this.#ackedAgain.clear();
    this.#ackedAgain.add(via.branch);
    const octets = ack.octets.slice(ack.start, ack.end);
    this.#options.finder.find(
      { ...side, heardAt: 0, failed },
      (flow) => (flow === undefined ? undefined : this.#options.send(flow, octets)),
      now,
    );
  }

  /** The connection of a client is gone before it has got its answer: it may have come back on another one. */
  responseLost(tx: ServerTransaction, response: SipMessage, now: number): boolean {
    const failed = tx.responseFlow;
    const addressOfRecord = addressOfRecordOfParty(this.#options.map(), response.from);
    if (!isReliableFlow(failed) || addressOfRecord === "") return false;
    const contact = tx.request === undefined ? undefined : contactOf(tx.request);
    const known = this.#options.dialogs.senderOf(response);
    const phone = contact === undefined ? known : { contact: contact.uri, instanceId: contact.instanceId };
    if (phone === undefined) return false;
    const lost = { contact: phone.contact, instanceId: phone.instanceId, flow: "", heardAt: 0, addressOfRecord, failed };
    this.#options.finder.find(
      lost,
      (found, at) => {
        const via = response.topVia;
        if (found !== undefined) tx.isMoved = true;
        this.#options.moveResponse(tx, response, found ?? (isParseError(via) ? undefined : fallbackFlow(via, failed)), at);
      },
      now,
    );
    return true;
  }

  /**
   * A response that has no transaction here, and whose client is not where its Via says: once more, where the dialog's record finds it. The
   * callee says a 2xx again until it is acknowledged, so each time counts anew.
   */
  strayLost(response: SipMessage, failed: string, now: number): void {
    const side = this.#options.dialogs.senderOf(response);
    const via = response.topVia;
    if (side === undefined || isParseError(via) || via.branch === undefined) return;
    const { branch } = via;
    if (this.#answeredAgain.delete(`${branch} ${failed}`)) return;
    const octets = response.octets.slice(response.start, response.end);
    this.#options.finder.find(
      { ...side, flow: "", heardAt: 0, failed },
      (flow) => {
        if (flow === undefined) return;
        if (this.#answeredAgain.size >= sentAgainMax) this.#answeredAgain.clear();
        this.#answeredAgain.add(`${branch} ${flow}`);
        this.#options.send(flow, octets);
      },
      now,
    );
  }

  /** The phone that an in-dialog request is for, as the dialog's record knows it, else as the token and the request do. */
  #receiverOf(request: Preprocessed): Phone & { readonly addressOfRecord: string } {
    const { message, token, direction } = request;
    const tokenFlow = (direction === "toCaller" ? token?.caller : token?.callee) ?? "";
    const side = this.#options.dialogs.receiverOf(message);
    const addressOfRecord =
      side === undefined || side.addressOfRecord === "" ? addressOfRecordOfParty(this.#options.map(), message.to) : side.addressOfRecord;
    if (side === undefined) return { contact: message.requestUri, instanceId: "", flow: tokenFlow, heardAt: 0, addressOfRecord };
    const { contact, instanceId, version } = side;
    return { contact, instanceId, flow: side.flow === "" ? tokenFlow : side.flow, heardAt: msOfVersion(version), addressOfRecord };
  }

  /** A phone that has no connection any more may take one at its Contact. Only there: a token is no leave to call anybody. */
  #contactFlow(request: Preprocessed, contact: string, failed: string): string | undefined {
    const { requestUri, parsedRequestUri: uri } = request.message;
    if (contact !== requestUri || this.#options.dialogs.receiverOf(request.message) === undefined) return undefined;
    if (isParseError(uri) || !isSipUri(uri)) return undefined;
    const flow = this.#options.accesses.numericFlow(uri, accessOfFlow(request.flow));
    return flow === failed ? undefined : flow;
  }
}

/** True for flows that are connections. */
export function isReliableFlow(flow: string): boolean {
  return isReliable(transportOfFlow(flow) ?? "UDP");
}
