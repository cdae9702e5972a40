import { isParseError } from "../errors.ts";
import { unprovenTargetsMax } from "../limits.ts";
import type { SipMessage } from "../message/sip-message.ts";
import { transportOfFlow } from "../flow/flow.ts";
import { viaMarkName } from "../flow/token.ts";
import type { ProxyEnvironment } from "./environment.ts";
import type { Branch } from "./branch.ts";
import type { Target } from "./target-set.ts";
import type { SteadyMs } from "../time.ts";

/**
 * Whoever has a password may register Contacts at addresses of others. A stranger's datagram would go to all of them, again and again until they
 * answer. So a binding's place over UDP is unproven at first. It is proven when its REGISTER came from there, or when somebody there has answered a
 * request for it, whose Via nobody else knows. What goes to an unproven place is said once, and goes to few of them ({@link unprovenTargetsMax}).
 *
 * A phone on the flow of its REGISTER, most are, costs nothing here. Another one is proven with its first answer, and that is in its binding.
 */
export function isUnproven(env: ProxyEnvironment, target: Target, flow: string): boolean {
  if (target.flow !== undefined || transportOfFlow(flow) !== "UDP") return false;
  const key = bindingKeyOf(target);
  return key !== undefined && env.isUnproven(key, flow);
}

/** Notes that a branch goes to such a place. False: its request has been to enough of them. */
export function mayGo(env: ProxyEnvironment, branch: Branch, flow: string): boolean {
  const { context, target } = branch;
  branch.isUnproven = isUnproven(env, target, flow);
  if (!branch.isUnproven) return true;
  if (context.unproven >= unprovenTargetsMax) return false;
  context.unproven += 1;
  return true;
}

/** A response has come for an unproven branch. What repeats the signature of our Via has been sent by who got it. */
export function answeredThere(env: ProxyEnvironment, branch: Branch, { topVia }: SipMessage, now: SteadyMs): void {
  const key = bindingKeyOf(branch.target);
  if (key === undefined || isParseError(topVia) || topVia.params.get(viaMarkName) !== branch.via.mark) return;
  branch.isUnproven = false;
  env.proved(key, branch.flow, now);
}

function bindingKeyOf(target: Target): string | undefined {
  return "bindingKey" in target && typeof target.bindingKey === "string" ? target.bindingKey : undefined;
}
