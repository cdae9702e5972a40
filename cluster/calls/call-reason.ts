import type { Call } from "../../sip/record/values.ts";

/** What a phone's refusal means to people (RFC 3261 21). */
const refusals: Readonly<Record<number, string>> = {
  403: "forbidden",
  404: "there is no such number there",
  408: "no answer",
  410: "the number is not in use any more",
  480: "not available",
  484: "the number is not complete",
  486: "busy",
  487: "the call was taken back",
  488: "the phones have no way to speak in common",
  600: "busy",
  603: "declined",
  604: "there is no such number there",
  606: "the phones have no way to speak in common",
  607: "declined as unwanted",
};

type Reasoned = Pick<Call, "cause" | "status" | "caller" | "callee" | "ring" | "end" | "start" | "isByOperator">;

/** Why a call is over, in words. */
export function callReason({ cause, status, caller, callee, ring, start, end, isByOperator }: Reasoned): string {
  if (isByOperator === true) return "ended by an operator";
  switch (cause) {
    case "callerHungUp":
      return `${userOf(caller)} hung up`;
    case "calleeHungUp":
      return `${userOf(callee)} hung up`;
    case "ended":
      return "hung up";
    case "broken":
      return "a phone did not know the call any more";
    case "vanished":
      return "nothing more was heard of it";
    case "unacknowledged":
      return "the answer was never acknowledged";
    case "unfollowed":
      return "answered, and not followed further: there was no room";
    case "cancelled":
      return "cancelled by the caller";
    case "refused":
      return refusals[status] ?? (status >= 500 && status < 600 ? `the other side failed (${status})` : `refused with ${status}`);
    case "nobody":
      return status === 404 ? `there is no user ${userOf(callee)}` : `${userOf(callee)} was not registered`;
    case "unanswered":
      return `no answer for ${Math.round((end - (ring ?? start)) / 1_000)} s`;
    case "unreachable":
      return `${userOf(callee)}'s phone could not be reached`;
    case "denied":
      return status === 503 || status === 500 ? `too much to do at that moment (${status})` : `refused here with ${status}`;
    case "lost":
      return "lost in a failure";
  }
}

function userOf(address: string): string {
  const at = address.indexOf("@");
  return at > 0 ? address.slice(0, at) : address === "" ? "somebody" : address;
}
