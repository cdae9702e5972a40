import type { SipMessage } from "../../sip/message/sip-message.ts";
import type { Phone } from "./phone.ts";

/** RFC 3261 14.2: a re-INVITE that comes while one's own has no answer. */
export function refuseInGlare(phone: Phone, request: SipMessage, tag: string): void {
  phone.cluster.moments.reached("glare: re-INVITEs of both sides at once");
  phone.respond(request, 491, tag);
}

/** Hears of the end of a request: its final status, 408 when there is none. */
export function finallyTold(told: (status: number) => void): { response(message: SipMessage): void; timeout(): void } {
  return { response: ({ status }) => (status < 200 ? undefined : told(status)), timeout: () => told(408) };
}
