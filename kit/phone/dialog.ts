import type { HeaderField } from "../../sip/message/build.ts";
import { Header } from "../../sip/message/header-names.ts";
import type { SipMessage } from "../../sip/message/sip-message.ts";
import { contactOf } from "./reading.ts";

/** One side of a dialog (RFC 3261 12), as far as its own requests need it. */
export type Dialog = {
  readonly callId: string;
  /** What stands in From and To. */
  readonly local: string;
  readonly remote: string;
  readonly routes: readonly string[];
  readonly target: string;
};

/** The caller's side, by the 2xx (RFC 3261 12.1.2). */
export function dialogOfResponse(response: SipMessage): Dialog {
  return {
    callId: response.callId,
    local: response.text(Header.From) ?? "",
    remote: response.text(Header.To) ?? "",
    routes: response.values(Header.RecordRoute).toReversed(),
    target: contactOf(response) ?? "",
  };
}

/** The callee's side, by the INVITE (RFC 3261 12.1.1). `tag`: its own. */
export function dialogOfRequest(request: SipMessage, tag: string): Dialog {
  return {
    callId: request.callId,
    local: `${request.text(Header.To) ?? ""};tag=${tag}`,
    remote: request.text(Header.From) ?? "",
    routes: request.values(Header.RecordRoute),
    target: contactOf(request) ?? "",
  };
}

/** What a request within a dialog, or the one that makes it, says of it (RFC 3261 12.2.1.1). */
export function dialogFields({ callId, local, remote, routes }: Omit<Dialog, "target">, cSeq: number, method: string): HeaderField[] {
  return [
    ...routes.map((route): HeaderField => ["Route", route]),
    ["From", local],
    ["To", remote],
    ["Call-ID", callId],
    ["CSeq", `${cSeq} ${method}`],
  ];
}
