import { isParseError } from "../errors.ts";
import { isSipUri, parseUri } from "../message/uri.ts";
import type { BindingRecord } from "../record/state-record.ts";
import type { Binding } from "../record/values.ts";
import { transportOfFlow } from "../flow/flow.ts";
import { isUndialable } from "./contact.ts";
import type { WallMs } from "../time.ts";

/** Where a request for an address-of-record may go (RFC 3261 16.5, RFC 5626 7). It is what the proxy takes as a target, and whose binding that is. */
export type BindingTarget = {
  readonly requestUri: string;
  /** RFC 3327 5.4: Route values to put on top. */
  readonly routes: readonly string[];
  /** Send on this flow, whatever the URI says. */
  readonly flow?: string;
  /** The instance: its targets are tried one after the other, never at once (RFC 5626 7). */
  readonly group?: string;
  readonly q?: number;
  /** Key of the binding's record, for what happens when the flow fails. */
  readonly bindingKey: string;
};

/**
 * The targets of an address-of-record at `now`: highest q first, and within one instance the flow that was registered last. Left out are
 * expired bindings, schemes that no proxy can send to, and contacts that cannot be dialled and have no flow.
 *
 * `isSecure`: the Request-URI is a sips URI; only bindings over TLS or WSS, or with a sips contact, will do (RFC 3261 26.2.2).
 *
 * All targets of one instance have the q of its latest one: they stand for one phone.
 */
export function targetsOf(records: readonly BindingRecord[], now: WallMs, isSecure = false): BindingTarget[] {
  const usable: { readonly key: string; readonly value: Binding }[] = [];
  for (const { key, value } of records) {
    if (value !== undefined && value.expiresAt > now && isUsable(value, isSecure)) usable.push({ key, value });
  }
  usable.sort((first, second) => second.value.registeredAt - first.value.registeredAt);
  const qOfInstance = new Map<string, number | undefined>();
  const targets = usable.map(({ key, value }): BindingTarget => {
    const { instanceId } = value;
    if (instanceId !== "" && !qOfInstance.has(instanceId)) qOfInstance.set(instanceId, value.q);
    const q = instanceId === "" ? value.q : qOfInstance.get(instanceId);
    return {
      requestUri: value.contact,
      routes: value.path,
      ...(value.flow === "" ? {} : { flow: value.flow }),
      ...(instanceId === "" ? {} : { group: instanceId }),
      ...(q === undefined ? {} : { q }),
      bindingKey: key,
    };
  });
  // RFC 3261 16.6: no q counts as 1. The sort is stable: within one q the latest stays first.
  return targets.toSorted((first, second) => (second.q ?? 1) - (first.q ?? 1));
}

function isUsable(binding: Binding, isSecure: boolean): boolean {
  const uri = parseUri(binding.contact);
  if (isParseError(uri) || !isSipUri(uri)) return false;
  if (binding.flow === "" && binding.path.length === 0 && isUndialable(uri)) return false;
  if (!isSecure || uri.scheme === "sips") return true;
  const transport = transportOfFlow(binding.flow);
  return transport === "TLS" || transport === "WSS";
}
