import { isParseError } from "../../sip/errors.ts";
import { retryAfterSeconds } from "../../sip/limits.ts";
import { buildResponse, type HeaderField } from "../../sip/message/build.ts";
import { Header } from "../../sip/message/header-names.ts";
import type { SipMessage } from "../../sip/message/sip-message.ts";
import { addressOfRecordOf } from "../../cluster/map/address-of-record.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import type { RecordStore } from "../../sip/record/record-store.ts";
import { unsupportedExtensions } from "../../sip/registrar/register.ts";
import { tagOfRefusal } from "../../sip/flow/brief-response.ts";
import type { Authority } from "./authority.ts";
import { addressOfRecordOfTo } from "./caller.ts";
import type { PhoneFinder } from "./phone-finder.ts";
import type { RegistrarDesk } from "./registrar-desk.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** A response to a REGISTER. `commit`: it leaves when every record up to this sequence number is at the peer; undefined: at once. */
export type RegisterAnswer = { readonly status: number; readonly octets: Uint8Array; readonly commit: number | undefined };

export type RegisterRequestsOptions = {
  readonly map: ClusterMap;
  readonly store: RecordStore;
  readonly registrar: RegistrarDesk;
  readonly authority: Authority;
  readonly finder: PhoneFinder;
};

/** RFC 3261 10.3: answers REGISTER. */
export class RegisterRequests {
  readonly #options: RegisterRequestsOptions;
  #isFenced = false;

  constructor(options: RegisterRequestsOptions) {
    this.#options = options;
  }

  /** True while this cell can reach nobody: REGISTER is answered 503, so that phones go where they can be called. */
  setFenced(isFenced: boolean): void {
    this.#isFenced = isFenced;
  }

  /**
   * True for a REGISTER that is answered alike however often it comes, and so needs no transaction (RFC 3261 8.2.7). Such is one that nobody has to
   * prove anything for, since a repeat has the CSeq that its binding has already. Such is one that is to be challenged, or whose password is not even
   * looked at. Credentials count once, so the transaction of a request with such remembers its answer. For half a minute each, transactions would be
   * most of what a registrar holds.
   */
  isAnsweredAlike(message: SipMessage, flow: string, now: SteadyMs): boolean {
    if (!message.has(Header.Authorization)) return true;
    const { authority, map } = this.#options;
    const domain = addressOfRecordOfTo(map, message)?.domain;
    return domain?.auth === "open" || (domain !== undefined && authority.isBraked(message, Header.Authorization, domain, flow, now));
  }

  /** Its To tag is made of the request, so that repeats have the same one. */
  answer(message: SipMessage, flow: string, now: SteadyMs): RegisterAnswer {
    const { authority, finder, map, registrar, store } = this.#options;
    const requestUri = message.parsedRequestUri;
    if (this.#isFenced) return answered(message, 503, undefined, [["Retry-After", String(retryAfterSeconds)]]);
    if (isParseError(requestUri) || addressOfRecordOf(map, requestUri) === undefined) return answered(message, 403, "Relaying Denied");
    const unsupported = unsupportedExtensions(message);
    if (unsupported.length > 0) return answered(message, 420, undefined, [["Unsupported", unsupported.join(", ")]]);
    const to = addressOfRecordOfTo(map, message);
    if (to === undefined || to.addressOfRecord.startsWith("@")) return answered(message, 404);
    if (to.domain.auth === "digest") {
      const verdict = authority.checkRegister(message, to.addressOfRecord, to.domain, flow, now);
      if (verdict.type === "refused") return answered(message, verdict.status, verdict.reason, verdict.headers);
    }
    const { status, reason, headers, changes } = registrar.register(message, to.addressOfRecord, flow, now);
    if (changes.length > 0) finder.registered(to.addressOfRecord);
    // What it says may have been changed by an earlier REGISTER that is not committed yet.
    const mustWait = changes.length > 0 || (status === 200 && message.has(Header.Contact));
    return answered(message, status, reason, headers, mustWait ? store.sequence : undefined);
  }
}

function answered(
  message: SipMessage,
  status: number,
  reason?: string,
  headers: readonly HeaderField[] = [],
  commit?: number,
): RegisterAnswer {
  const options = { ...(reason === undefined ? {} : { reason }), toTag: tagOfRefusal(message), headers };
  return { status, octets: buildResponse(message, status, options), commit };
}
