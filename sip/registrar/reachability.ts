import { isParseError } from "../errors.ts";
import type { Via } from "../message/via.ts";
import { isSipUri, parseUri, type Uri } from "../message/uri.ts";
import type { Binding } from "../record/values.ts";
import { defaultPort, isReliable, transportOfFlow, type FlowKey } from "../flow/flow.ts";
import type { BindingChange } from "./binding-change.ts";
import { isInvalidHost } from "./contact.ts";
import { formerFlowsOf } from "./former-flows.ts";

/**
 * Whether a binding is reached on the flow that its REGISTER came on, rather than by its contact's URI. The flow must come from the
 * phone itself: behind another proxy the Path, or the contact, says where to go.
 *
 * - RFC 5626 5.3, RFC 7118: outbound and WebSocket always. A contact with a host that cannot be dialled, or one that says `ob` (4.3), does too.
 * - TCP and TLS: when the contact names the host that the phone says it is, or the one we see: its connection is there already.
 * - UDP: when the contact is what the phone says it is while a NAT shows another address (RFC 3581), or is exactly the address seen. A port that
 *   differs shows a NAT only when the phone asks for `rport`. A phone that does not listens on the port that it names (RFC 3261 18.2.2).
 *
 * Anything else is a contact somewhere else: a third party's registration (RFC 3261 10.2), or another port of the same phone.
 */
export function isReachedOnFlow(contact: Uri, topVia: Via, key: FlowKey, isOutbound: boolean): boolean {
  if (isOutbound || key.transport === "WS" || key.transport === "WSS") return true;
  if (!isSipUri(contact)) return false;
  if (isInvalidHost(contact) || contact.params.has("ob")) return true;
  const seen = bare(key.address);
  const contactHost = bare(contact.host);
  const sentByHost = bare(topVia.host);
  if (isReliable(key.transport)) return contactHost === sentByHost || contactHost === seen;
  const port = contact.port ?? defaultPort("UDP");
  if (contactHost === seen && port === key.port) return true;
  const sentByPort = topVia.port ?? defaultPort("UDP");
  const isBehindNat = sentByHost !== seen || (topVia.rport !== undefined && sentByPort !== key.port);
  return isBehindNat && contactHost === sentByHost && port === sentByPort;
}

function bare(host: string): string {
  return host.startsWith("[") ? host.slice(1, -1) : host;
}

/**
 * What becomes of a binding whose flow is gone (RFC 5626 6 and 7: it must not be used any more). One that lives by its flow alone is removed:
 * outbound, WebSocket, a host that cannot be dialled. One over TCP or TLS loses its flow: its contact may be dialled. One over UDP stays as it is.
 * The address that did not answer is the contact as well, and a phone behind a NAT may come back there. Undefined: nothing. A REGISTER with a higher
 * CSeq that came meanwhile elsewhere wins over this change.
 */
export function withoutFlow(key: string, binding: Binding, flow: string): BindingChange | undefined {
  if (binding.flow !== flow || flow === "") return undefined;
  const transport = transportOfFlow(flow);
  const uri = parseUri(binding.contact);
  const isDiallable = !isParseError(uri) && isSipUri(uri) && !isInvalidHost(uri);
  const former = formerFlowsOf("", [binding]);
  const formerly = former === undefined ? {} : { formerFlows: former };
  if (binding.regId !== 0 || !isDiallable || transport === "WS" || transport === "WSS") {
    return { type: "remove", key, callId: binding.callId, cSeq: binding.cSeq, isLost: true, ...formerly };
  }
  if (transport === "UDP") return undefined;
  return { type: "put", key, value: { ...binding, flow: "", ...formerly } };
}

/** The changes of all bindings that were reached on a flow which is gone: `bindingsOnFlow` of the store, seen through {@link withoutFlow}. */
export function flowClosed(flow: string, bindings: Iterable<{ readonly key: string; readonly value: Binding }>): BindingChange[] {
  const changes: BindingChange[] = [];
  for (const { key, value } of bindings) {
    const change = withoutFlow(key, value, flow);
    if (change !== undefined) changes.push(change);
  }
  return changes;
}
