import { dialogFields, type Dialog } from "../../kit/phone/dialog.ts";
import type { HeaderField } from "../../sip/message/build.ts";
import type { SipMessage } from "../../sip/message/sip-message.ts";
import type { Phone } from "./phone.ts";

/** RFC 3261 14.2: a re-INVITE that comes while one's own has no answer. */
export function refuseInGlare(phone: Phone, request: SipMessage, tag: string): void {
  phone.cluster.moments.reached("glare: re-INVITEs of both sides at once");
  phone.respond(request, 491, tag);
}

/** `nextCSeq`: of this side of the dialog. Where nobody knows the dialog any more, whoever hangs up is asked for his password (RFC 3261 22.3). */
export function sayBye(
  phone: Phone,
  dialog: Dialog,
  nextCSeq: () => number,
  told: (status: number) => void,
  credentials: readonly HeaderField[] = [],
): void {
  phone.request("BYE", dialog.target, [...dialogFields(dialog, nextCSeq(), "BYE"), ...credentials], {
    response: (message) => {
      if (message.status < 200) return;
      if (!phone.login.isAsked(message)) return told(message.status);
      sayBye(phone, dialog, nextCSeq, told, phone.login.fields("Proxy-Authorization", "BYE", dialog.target));
    },
    timeout: () => told(408),
  });
}

/** Hears of the end of a request: its final status, 408 when there is none. */
export function finallyTold(told: (status: number) => void): { response(message: SipMessage): void; timeout(): void } {
  return { response: ({ status }) => (status < 200 ? undefined : told(status)), timeout: () => told(408) };
}
