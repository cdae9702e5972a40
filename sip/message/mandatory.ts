import { isParseError, parseError } from "../errors.ts";
import type { ParseError } from "../errors.ts";
import { cSeqMax, maxForwardsMax } from "../limits.ts";
import { lineCount, lineId } from "./header-lines.ts";
import { Header, canonicalHeaderName, isSingleHeader } from "./header-names.ts";
import type { SipMessage } from "./sip-message.ts";
import { parseUri } from "./uri.ts";

/**
 * The reasonable syntax of RFC 3261 16.3 1: everything a proxy or registrar relies on is there once and well-formed; what it does not
 * need is not looked at. The error has the message, to be answered when it is a request.
 */
export function checkMandatory(message: SipMessage): ParseError | undefined {
  const error = firstError(message);
  if (error === undefined) return undefined;
  return message.isAnswerable ? { ...error, message } : error;
}

function firstError(message: SipMessage): ParseError | undefined {
  return (
    repeatedHeader(message) ??
    missingHeader(message) ??
    errorIn(message.vias) ??
    errorIn(message.from) ??
    errorIn(message.to) ??
    errorInUri(message) ??
    errorInCallId(message) ??
    errorInCSeq(message) ??
    errorInMaxForwards(message) ??
    errorIn(message.routes) ??
    errorIn(message.contacts) ??
    errorIn(message.nameAddrs(Header.RecordRoute)) ??
    errorIn(message.nameAddrs(Header.Path))
  );
}

function errorIn(value: unknown): ParseError | undefined {
  return isParseError(value) ? value : undefined;
}

function repeatedHeader(message: SipMessage): ParseError | undefined {
  const seen = new Set<number>();
  for (let line = 0; line < lineCount(message.lines); line++) {
    const id = lineId(message.lines, line);
    if (!isSingleHeader(id)) continue;
    if (seen.has(id)) return parseError("repeated-header", 400, `Repeated ${canonicalHeaderName(id)}`, line);
    seen.add(id);
  }
  return undefined;
}

function missingHeader(message: SipMessage): ParseError | undefined {
  for (const id of [Header.Via, Header.From, Header.To, Header.CallId, Header.CSeq]) {
    if (!message.has(id)) return parseError("missing-header", 400, `Missing ${canonicalHeaderName(id)}`);
  }
  const vias = message.vias;
  return !isParseError(vias) && vias.length === 0 ? parseError("missing-header", 400, "Empty Via") : undefined;
}

function errorInUri(message: SipMessage): ParseError | undefined {
  if (message.isRequest) {
    const error = errorIn(message.parsedRequestUri);
    if (error !== undefined) return error;
  }
  for (const nameAddr of [message.from, message.to]) {
    if (isParseError(nameAddr)) return nameAddr;
    const error = errorIn(parseUri(nameAddr.uri));
    if (error !== undefined) return error;
  }
  return undefined;
}

/** `word [ "@" word ]` (RFC 3261 25.1), read leniently: no white space, nothing empty. */
function errorInCallId(message: SipMessage): ParseError | undefined {
  return message.callId === "" || /\s/.test(message.callId) ? parseError("call-id", 400, "Malformed Call-ID") : undefined;
}

function errorInCSeq(message: SipMessage): ParseError | undefined {
  const cSeq = message.cSeq;
  if (isParseError(cSeq)) return cSeq;
  if (cSeq.number > cSeqMax) return parseError("cseq", 400, "CSeq Too Large");
  if (message.isRequest && cSeq.method !== message.method) return parseError("cseq", 400, "CSeq Method Mismatch");
  return undefined;
}

function errorInMaxForwards(message: SipMessage): ParseError | undefined {
  const maxForwards = message.maxForwards;
  if (isParseError(maxForwards)) return maxForwards;
  if (maxForwards !== undefined && maxForwards > maxForwardsMax) return parseError("max-forwards", 400, "Max-Forwards Too Large");
  return undefined;
}
