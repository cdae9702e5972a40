import { exchangeOf, type Domain } from "../../cluster/map/cluster-map.ts";
import { unavailable, type Refusal } from "./refusal.ts";
import type { Asked, StepTools, Verdict } from "./request-step.ts";
import type { SteadyMs } from "../../sip/time.ts";

const unknownCaller: Refusal = { status: 403, reason: "Unknown Caller" };
const relayingDenied: Refusal = { status: 403, reason: "Relaying Denied" };

/** Whoever claims a name of ours proves it (RFC 3261 22.3), as his domain wants it proved. Strangers have none to prove. */
export function callerIsWhoHeSays(tools: StepTools, asked: Asked, now: SteadyMs): Verdict {
  const { tx, calling } = asked;
  const { callerDomain, caller, callee } = calling;
  if (callerDomain === undefined) return "goOn";
  if (callerDomain.auth !== "open") return isProved(tools, asked, caller, callerDomain, now);
  // Nobody proves anything here, so nobody is relayed to the outside but phones that are registered on this very flow.
  return callee !== undefined || isRegisteredOn(tools, caller ?? "", tx.flow, now) ? "goOn" : relayingDenied;
}

/** The same, by the caller's password. */
export function isProved(tools: StepTools, asked: Asked, caller: string | undefined, domain: Domain, now: SteadyMs): Verdict {
  const { tx, request } = asked;
  // An identity that nobody here can have is not asked for.
  if (caller === undefined) return unknownCaller;
  const verdict = tools.authority.checkCaller(request.message, caller, domain, tx.flow, now);
  switch (verdict.type) {
    case "granted":
      tx.isProven = true;
      return "goOn";
    case "refused":
      // Somebody else than he says, but somebody: his nonce is used up.
      tx.isProven = verdict.status === 403;
      return verdict;
    case "ask":
      return waitForCredentials(tools, verdict.addressOfRecord, asked, now);
  }
}

/** Another exchange has the secrets of this user: it is asked once for all that wait for them. */
function waitForCredentials({ waiting, outgoing, map }: StepTools, addressOfRecord: string, asked: Asked, now: SteadyMs): Verdict {
  const next = waiting.enter(addressOfRecord, asked, now);
  if (next === "full") return unavailable;
  if (next === "ask") outgoing.push({ type: "credentials", addressOfRecord, exchange: exchangeOf(map, addressOfRecord) });
  return "waits";
}

function isRegisteredOn({ registrar }: StepTools, addressOfRecord: string, flow: string, now: SteadyMs): boolean {
  return registrar.targets(addressOfRecord, now, false).some((target) => target.flow === flow);
}
