import type { BindingRecord } from "../record/state-record.ts";
import type { WallMs } from "../time.ts";

/** A flow that a phone has registered: what another exchange needs to know of a binding to find the phone. */
export type PhoneFlow = {
  /** Whose it is, where phones were looked for by their Contact alone. */
  readonly addressOfRecord?: string;
  readonly contact: string;
  /** `+sip.instance`; empty when there was none. */
  readonly instanceId: string;
  readonly flow: string;
  /** When it was registered, ms since the epoch. */
  readonly registeredAt: WallMs;
  /** The flows that the phone had before, the latest first; absent: none. */
  readonly formerFlows?: readonly string[];
};

/** A phone that is looked for: a side of a dialog, or whoever sent a request. */
export type Phone = {
  /** The URI of its latest Contact. */
  readonly contact: string;
  /** `+sip.instance`; empty when unknown. */
  readonly instanceId: string;
  /** The flow that it had; empty: none. */
  readonly flow: string;
  /** When something came from it there, ms since the epoch; 0: nobody knows. */
  readonly heardAt: WallMs;
};

/** The flows of an address-of-record's current bindings. */
export function phoneFlowsOf(records: Iterable<BindingRecord>, now: WallMs): PhoneFlow[] {
  const flows: PhoneFlow[] = [];
  for (const { value } of records) {
    if (value === undefined || value.flow === "" || value.expiresAt <= now) continue;
    const { contact, instanceId, flow, registeredAt, formerFlows } = value;
    const found = { contact, instanceId, flow, registeredAt };
    flows.push(formerFlows === undefined ? found : { ...found, formerFlows });
  }
  return flows;
}

/**
 * The flow on which a phone can be reached now. It is that of its instance's latest binding: a softphone that comes back on a new flow takes its
 * dialogs along (RFC 5626 4.3). Else it is that of a binding with its very contact, if what was heard of the phone on the flow it had is not
 * later than the binding. Else it is that flow. A replica that has stood still, or has taken over, may hear both in one moment: a phone that has another
 * connection registers on it first of all. `isUsable` leaves flows out that are known to lead nowhere; undefined when nothing is left.
 */
export function presentFlow(phone: Phone, flows: Iterable<PhoneFlow>, isUsable: (flow: string) => boolean): string | undefined {
  const isKnownUsable = phone.flow !== "" && isUsable(phone.flow);
  let found = isKnownUsable ? phone.flow : undefined;
  let rank = isKnownUsable ? phone.heardAt : -1;
  for (const { contact, instanceId, flow, registeredAt } of flows) {
    const isSamePhone = phone.instanceId === "" ? isSameContact(contact, phone.contact) : instanceId === phone.instanceId;
    if (!isSamePhone) continue;
    // While the phone's own flow is among them there is no need to move.
    if (isKnownUsable && flow === phone.flow) return flow;
    if (registeredAt >= rank && isUsable(flow)) {
      rank = registeredAt;
      found = flow;
    }
  }
  return found;
}

/** RFC 5626 5.4: `ob` stands in the Contact of a dialog, and need not in that of the REGISTER (JsSIP). */
function isSameContact(one: string, other: string): boolean {
  return one === other || withoutOb(one) === withoutOb(other);
}

function withoutOb(contact: string): string {
  return contact.replace(/;ob(?=;|$)/i, "");
}
