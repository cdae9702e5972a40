import type { Binding } from "../record/values.ts";
import { transportOfFlow } from "../flow/flow.ts";
import { isSamePhone } from "./room.ts";
import type { BindingTarget } from "./targets.ts";

/**
 * RFC 3261 18.1.1: the targets for a request that is too large for a datagram. A phone that has registered over UDP and over a connection is tried
 * over its connection, and over UDP when that fails. The flows of one instance are tried in the same way (RFC 5626 7). Who has registered over UDP
 * alone gets it over UDP.
 */
export function streamsFirst(targets: readonly BindingTarget[], bindingOf: (key: string) => Binding | undefined): BindingTarget[] {
  const ordered: BindingTarget[] = targets.filter((target) => !isOverUdp(target, bindingOf));
  const streams = ordered.length;
  for (const target of targets) {
    const binding = bindingOf(target.bindingKey);
    if (binding === undefined || !isOverUdp(target, bindingOf)) continue;
    const at = ordered.findIndex((other, index) => index < streams && hasConnection(other) && isOfPhone(other, binding, bindingOf));
    const stream = ordered[at];
    if (stream === undefined) {
      ordered.push(target);
      continue;
    }
    const group = stream.group ?? stream.bindingKey;
    ordered[at] = { ...stream, group };
    ordered.push({ ...target, group, ...(stream.q === undefined ? {} : { q: stream.q }) });
  }
  return ordered.toSorted((first, second) => (second.q ?? 1) - (first.q ?? 1));
}

function isOfPhone(target: BindingTarget, binding: Binding, bindingOf: (key: string) => Binding | undefined): boolean {
  const other = bindingOf(target.bindingKey);
  return other !== undefined && isSamePhone(other, binding);
}

function hasConnection(target: BindingTarget): boolean {
  return target.flow !== undefined && transportOfFlow(target.flow) !== "UDP";
}

/** By its flow; where there is none the REGISTER's transport tells, which the Contact repeats in the rule. */
function isOverUdp(target: BindingTarget, bindingOf: (key: string) => Binding | undefined): boolean {
  if (target.flow !== undefined) return transportOfFlow(target.flow) === "UDP";
  return target.routes.length === 0 && bindingOf(target.bindingKey)?.transport === "UDP";
}
