import { phoneFlowsOf, type PhoneFlow } from "../../sip/dialog/present-flow.ts";
import { datagramRequestOctetsMax, phoneLostMs } from "../limits.ts";
import { DateTexts } from "../../sip/message/date-texts.ts";
import type { SipMessage } from "../../sip/message/sip-message.ts";
import type { RecordStore } from "../../sip/record/record-store.ts";
import type { Binding } from "../../sip/record/values.ts";
import { msOfVersion } from "../../sip/record/version.ts";
import { recordOfChange, type BindingChange } from "../../sip/registrar/binding-change.ts";
import { streamsFirst } from "../../sip/registrar/large-requests.ts";
import { flowClosed, withoutFlow } from "../../sip/registrar/reachability.ts";
import { processRegister, type RegisterResult } from "../../sip/registrar/register.ts";
import { targetsOf, type BindingTarget } from "../../sip/registrar/targets.ts";
import { cellOfLine, isLine, placeOfFlow } from "../../sip/flow/flow.ts";
import type { Registration } from "./effects.ts";
import type { SteadyMs } from "../../sip/time.ts";
import type { RecordClock } from "./record-clock.ts";

const leadsHere: RegisterResult = { status: 403, reason: "Contact Is This Server", headers: [], changes: [] };

/** The registrar over the record store: whatever changes a binding becomes a record here, and goes in through `apply`. */
export class RegistrarDesk {
  readonly #store: RecordStore;
  readonly #clock: RecordClock;
  readonly #dates = new DateTexts();

  readonly #ownNamedBy: (uri: string) => "name" | "address" | undefined;

  /** `ownNamedBy` says what in a URI, or a name-addr, leads to this cluster itself: nobody is reached there. */
  constructor(store: RecordStore, clock: RecordClock, ownNamedBy: (uri: string) => "name" | "address" | undefined) {
    this.#store = store;
    this.#clock = clock;
    this.#ownNamedBy = ownNamedBy;
  }

  /** RFC 3261 10.3 6 to 8. The changes are applied when the result says 200. */
  register(message: SipMessage, addressOfRecord: string, flow: string, now: SteadyMs): RegisterResult {
    const records = this.#store.bindingsOf(addressOfRecord);
    const wall = this.#clock.wallAt(now);
    const result = processRegister({ message, addressOfRecord, flow, now: wall, date: this.#dates.of(wall), records });
    for (const change of result.changes) {
      if (change.type === "put" && this.#leadsHere(change.value)) return leadsHere;
    }
    this.#apply(result.changes, now);
    return result;
  }

  /** `octets`: of the request as it came. */
  targets(addressOfRecord: string, now: SteadyMs, isSecure: boolean, octets = 0): BindingTarget[] {
    const targets = this.#abroad(targetsOf(this.#store.bindingsOf(addressOfRecord), this.#clock.wallAt(now), isSecure));
    if (octets <= datagramRequestOctetsMax || targets.length < 2) return targets;
    return streamsFirst(targets, (key) => this.#store.binding(key));
  }

  /** Those that do not lead back to us. */
  #abroad(targets: BindingTarget[]): BindingTarget[] {
    if (!targets.some((target) => target.flow === undefined)) return targets;
    return targets.filter(({ flow, requestUri, routes }) => flow !== undefined || this.#ownNamedBy(routes[0] ?? requestUri) === undefined);
  }

  /**
   * Whether requests for this binding would come back to us. On the flow of its REGISTER its phone is reached, whatever the Contact says. A Contact in
   * our own domain is a URI that says nothing (RFC 4475 3.1.1.12 has one): it is taken, and leads nowhere.
   */
  #leadsHere({ contact, flow, path }: Binding): boolean {
    return flow === "" && (path.some((value) => this.#ownNamedBy(value) !== undefined) || this.#ownNamedBy(contact) === "address");
  }

  /** Where the phones of an address-of-record are now. */
  flowsOf(addressOfRecord: string, now: SteadyMs): PhoneFlow[] {
    return phoneFlowsOf(this.#store.bindingsOf(addressOfRecord), this.#clock.wallAt(now));
  }

  /**
   * Whether a phone of this address-of-record may register again any moment, or just has. Its connection was lost lately, and it has not taken itself
   * off. `isLostLately` says so of the flow of a binding that still stands.
   */
  mayReturn(addressOfRecord: string, now: SteadyMs, isLostLately: (flow: string) => boolean): boolean {
    const wall = this.#clock.wallAt(now);
    return this.#store.bindingsOf(addressOfRecord).some((record) => {
      const { value, version } = record;
      const isYoung = wall - msOfVersion(version) <= phoneLostMs;
      if (value === undefined) return record.isLost === true && isYoung;
      if (value.expiresAt <= wall) return false;
      if (value.flow === "" && this.#ownNamedBy(value.path[0] ?? value.contact) !== undefined) return false;
      // A binding over TCP or TLS that has lost its flow was changed then, one that has a new one as well.
      return isYoung || (value.flow !== "" && isLostLately(value.flow));
    });
  }

  /** The targets that are not known to lead nowhere; by their Contacts alone only those registered after `since`. */
  targetsSince(
    addressOfRecord: string,
    since: SteadyMs,
    now: SteadyMs,
    isSecure: boolean,
    isUsable: (flow: string) => boolean,
  ): BindingTarget[] {
    const registeredSince = this.#clock.wallAt(since);
    return this.targets(addressOfRecord, now, isSecure).filter(({ flow, bindingKey }) => {
      return flow === undefined ? (this.#store.binding(bindingKey)?.registeredAt ?? 0) > registeredSince : isUsable(flow);
    });
  }

  /** A connection is gone: bindings that lived by it go, others lose it. */
  flowClosed(flow: string, now: SteadyMs): void {
    this.#apply(flowClosed(flow, this.#store.bindingsOnFlow(flow)), now);
  }

  /** A request could not be delivered on the flow of this binding. */
  flowFailed(bindingKey: string, flow: string, now: SteadyMs): void {
    const binding = this.#store.binding(bindingKey);
    const change = binding === undefined ? undefined : withoutFlow(bindingKey, binding, flow);
    if (change !== undefined) this.#apply([change], now);
  }

  /** Whether somebody at the far end of this flow has shown that requests for this binding are wanted there: see unproven-places.ts. */
  isProvenAt(bindingKey: string, flow: string): boolean {
    const binding = this.#store.binding(bindingKey);
    const place = placeOfFlow(flow);
    return binding !== undefined && (binding.provenAt === place || binding.received === place);
  }

  /** A request for this binding has been answered by who is at the far end of this flow. */
  proved(bindingKey: string, flow: string, now: SteadyMs): void {
    const value = this.#store.binding(bindingKey);
    if (value === undefined || value.flow !== "" || this.isProvenAt(bindingKey, flow)) return;
    this.#apply([{ type: "put", key: bindingKey, value: { ...value, provenAt: placeOfFlow(flow) } }], now);
  }

  /** A gateway has started anew: every connection of the one before is gone. `isGone` says so of a flow. */
  flowsGone(isGone: (flow: string) => boolean, now: SteadyMs): void {
    const flows = new Set<string>();
    for (const { value } of this.#store.records("binding")) if (value.flow !== "" && isGone(value.flow)) flows.add(value.flow);
    for (const flow of flows) this.flowClosed(flow, now);
  }

  /** The subscriber is gone, and its phones with it: no REGISTER that was on its way brings one back. */
  removeAll(addressOfRecord: string, now: SteadyMs): void {
    const changes = this.#store.bindingsOf(addressOfRecord).flatMap(({ key, value }): BindingChange[] => {
      return value === undefined ? [] : [{ type: "remove", key, callId: value.callId, cSeq: value.cSeq }];
    });
    this.#apply(changes, now);
  }

  /** Rows for people and the API; of one address-of-record, or of all. */
  registrations(
    addressOfRecord: string | undefined,
    { primary, wayOf }: { readonly primary: string; readonly wayOf: (flow: string) => string },
    now: SteadyMs,
  ): Registration[] {
    const records = addressOfRecord === undefined ? this.#store.records("binding") : this.#store.bindingsOf(addressOfRecord);
    const rows: Registration[] = [];
    const wall = this.#clock.wallAt(now);
    for (const { value } of records) {
      if (value === undefined || value.expiresAt <= wall) continue;
      const cameOn = value.flow === "" ? value.cameOn : value.flow;
      const gateway = cameOn === undefined ? "" : wayOf(cameOn);
      rows.push({
        aor: value.addressOfRecord,
        contact: value.contact,
        transport: value.transport.toLowerCase(),
        expiresSeconds: Math.ceil((value.expiresAt - wall) / 1000),
        primary,
        userAgent: value.userAgent,
        gateway,
        ...(isLine(gateway) ? { cell: cellOfLine(gateway) } : {}),
      });
    }
    return rows;
  }

  #apply(changes: readonly BindingChange[], now: SteadyMs): void {
    for (const change of changes) this.#store.apply(recordOfChange(change, this.#clock.tick(now), this.#clock.wallAt(now)));
  }
}
