import type { ResponseContext } from "./response-context.ts";

/** RFC 3261 16.5: the places that a request is forwarded to, and in which order they have their turns. */

/** One place to forward a request to (RFC 3261 16.5). */
export type Target = {
  readonly requestUri: string;
  /** Route values to put on top: Path or Service-Route of the binding, first one topmost. */
  readonly routes: readonly string[];
  /** Send there, whatever Request-URI and Route say. */
  readonly flow?: string;
  /** Without a flow: the URI that says where to send, whatever the Request-URI says. A Route comes first. */
  readonly nextHop?: string;
  /** RFC 5626 7: targets that are flows to one instance have the same group: one at a time, the next only when this one fails. */
  readonly group?: string;
  /**
   * In-dialog requests: the phone may be elsewhere than its flow says (RFC 5626 4.3). `first`: its present flow is looked for, or waited for, before
   * anything is sent. `onFailure`: when the flow fails, or is silent (`onSilence`: so it is said then, and the branch goes on meanwhile). Initial
   * requests: `registration` is no place. It stands for phones that have lost their connections and are waited for. When one registers, its target is
   * added (RFC 3261 16.5).
   */
  readonly seek?: "first" | "onFailure" | "onSilence" | "registration";
  /** RFC 3261 20.10: higher ones first, equal ones in parallel. Absent is 1. */
  readonly q?: number;
};

/**
 * Adds targets that are not there yet (RFC 3261 16.5: "Targets can only be placed in the target set once"), highest q first.
 * Returns those.
 */
export function addToTargetSet(context: ResponseContext, targets: readonly Target[]): Target[] {
  const added: Target[] = [];
  for (const target of targets) {
    const isKnown = (other: Target): boolean => isSameTarget(other, target);
    if (added.some(isKnown) || context.waiting.some(isKnown) || context.branches.some((branch) => isKnown(branch.target))) continue;
    added.push(target);
  }
  const waiting = context.waiting.length === 0 ? added : [...context.waiting, ...added];
  context.waiting = waiting.length > 1 ? waiting.toSorted((left, right) => qOf(right) - qOf(left)) : waiting;
  return added;
}

/** The waiting targets to try now: the highest q, of each group one, none of a group that has had its turn (RFC 5626 7). */
export function nextBatch(context: ResponseContext): Target[] {
  const batch: Target[] = [];
  for (const target of context.waiting) {
    if (isGroupTaken(context, target)) continue;
    if (batch[0] !== undefined && qOf(batch[0]) !== qOf(target)) break;
    if (target.group === undefined || !batch.some((other) => other.group === target.group)) batch.push(target);
  }
  return batch;
}

/** True when a flow of the same instance is being tried, or has answered. */
export function isGroupTaken(context: ResponseContext, target: Target): boolean {
  return target.group !== undefined && context.branches.some((branch) => branch.target.group === target.group && !branch.isLost);
}

export function qOf(target: Target): number {
  return target.q ?? 1;
}

function isSameTarget(left: Target, right: Target): boolean {
  return (
    left.requestUri === right.requestUri &&
    left.flow === right.flow &&
    left.group === right.group &&
    left.routes.length === right.routes.length &&
    left.routes.every((route, index) => route === right.routes[index])
  );
}
