import type { Preprocessed } from "../../sip/proxy/route-preprocessing.ts";
import { isProved } from "./proving.ts";
import { ofStranger } from "./strangers.ts";
import { passesOn, staysOnPath } from "./forwarding.ts";
import type { Asked, StepTools, Verdict } from "./request-step.ts";
import type { NoWay } from "./dialog-ways.ts";
import type { DialogTarget, Whereabouts } from "./whereabouts.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** A request within a dialog that we are on the path of goes to whom the dialog says (RFC 3261 12.2, decision 0012). */
export function withinDialog(tools: StepTools, asked: Asked, now: SteadyMs): Verdict {
  const { tx, request } = asked;
  const { map, dialogs, proxy } = tools;
  const target = targetWithinDialog(tools.whereabouts, request, now);
  if (target === undefined) return "goOn";
  // Who brings the token of this dialog, or knows its Call-ID and both tags, takes part in it. Where its record knows him too he is not asked again.
  if ("status" in target) return target;
  const { unproved } = target;
  if (unproved !== undefined) {
    const verdict = isProved(tools, asked, unproved.caller, unproved.domain, now);
    if (verdict !== "goOn") return verdict;
  }
  tx.isProven = true;
  dialogs.requested(request.message, tx.flow, now);
  const said = target.isOfStranger === true ? ofStranger(map, request) : request;
  // RFC 6665 4.3: a NOTIFY may be what makes the dialog for its subscriber.
  proxy.forward(tx, said, [target], request.message.method === "NOTIFY" ? staysOnPath : passesOn, now);
  return "done";
}

/** Where a request goes by its dialog. Undefined: it is outside of dialogs, or in one that we are not on the path of. */
export function targetWithinDialog(whereabouts: Whereabouts, request: Preprocessed, now: SteadyMs): DialogTarget | NoWay | undefined {
  const { token, message } = request;
  if (token === undefined && message.toTag === undefined && message.method !== "ACK") return undefined;
  return whereabouts.dialogTarget(request, now);
}
