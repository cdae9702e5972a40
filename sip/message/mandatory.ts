import { errorIn, isParseError, parseError } from "../errors.ts";
import type { ParseError } from "../errors.ts";
import { cSeqMax, maxForwardsMax } from "../limits.ts";
import { lineId } from "./header-lines.ts";
import { Header, canonicalHeaderName } from "./header-names.ts";
import type { SipMessage } from "./sip-message.ts";
import { isKnownMethod } from "./methods.ts";
import { isSipUri } from "./uri.ts";

/**
 * The reasonable syntax of RFC 3261 16.3 1. Everything that a proxy or registrar relies on is there once and well-formed. What it does not need is
 * not looked at. The error has the message, to be answered when it is a request.
 */
export function checkMandatory(message: SipMessage): ParseError | undefined {
  const error = firstError(message);
  if (error === undefined) return undefined;
  return message.isAnswerable ? error.of(message) : error;
}

function firstError(message: SipMessage): ParseError | undefined {
  return (
    repeatedHeader(message) ??
    missingHeader(message) ??
    errorIn(message.vias) ??
    errorIn(message.from) ??
    errorIn(message.to) ??
    errorInTags(message) ??
    errorInCallId(message) ??
    errorInCSeq(message) ??
    (message.isRequest ? errorInRequest(message) : undefined)
  );
}

/** What only requests are refused for: a response is forwarded by its Via alone, whatever else is in it. */
function errorInRequest(message: SipMessage): ParseError | undefined {
  return (
    errorInBranch(message) ??
    errorInUris(message) ??
    errorInMaxForwards(message) ??
    errorIn(message.routes) ??
    errorIn(message.contacts) ??
    errorIn(message.nameAddrs(Header.RecordRoute)) ??
    errorIn(message.nameAddrs(Header.Path))
  );
}

function repeatedHeader(message: SipMessage): ParseError | undefined {
  const line = message.repeatedLine;
  if (line < 0) return undefined;
  return parseError("repeated-header", 400, `Repeated ${canonicalHeaderName(lineId(message.lines, line))}`, line);
}

function missingHeader(message: SipMessage): ParseError | undefined {
  for (const id of [Header.Via, Header.From, Header.To, Header.CallId, Header.CSeq]) {
    if (!message.has(id)) return parseError("missing-header", 400, `Missing ${canonicalHeaderName(id)}`);
  }
  const vias = message.vias;
  return !isParseError(vias) && vias.length === 0 ? parseError("missing-header", 400, "Empty Via") : undefined;
}

function errorInUris(message: SipMessage): ParseError | undefined {
  const requestUri = message.parsedRequestUri;
  if (isParseError(requestUri)) return requestUri;
  // RFC 3261 19.1.1: a Request-URI has no headers.
  if (isSipUri(requestUri) && requestUri.headers !== "") return parseError("request-uri", 400, "Headers in Request-URI");
  for (const nameAddr of [message.from, message.to]) {
    const error = isParseError(nameAddr) ? nameAddr : nameAddr.uriError;
    if (error !== undefined) return error;
  }
  return undefined;
}

/** A tag has a value (RFC 3261 25.1); none at all is how RFC 2543 called, and legal (RFC 4475 3.4.1). */
function errorInTags(message: SipMessage): ParseError | undefined {
  return message.fromTag === "" || message.toTag === "" ? parseError("tag", 400, "Empty Tag") : undefined;
}

/** The magic cookie alone identifies nothing: two requests of this client would look like one (RFC 4475 3.2.1). */
function errorInBranch(message: SipMessage): ParseError | undefined {
  const via = message.topVia;
  if (isParseError(via)) return via;
  return via.branch?.toLowerCase() === "z9hg4bk" ? parseError("branch", 400, "Empty Branch") : undefined;
}

/** `word [ "@" word ]` (RFC 3261 25.1), read leniently: no white space, nothing empty; control octets are refused in every header (scan.ts). */
function errorInCallId(message: SipMessage): ParseError | undefined {
  return message.callId === "" || /[ \t]/.test(message.callId) ? parseError("call-id", 400, "Malformed Call-ID") : undefined;
}

function errorInCSeq(message: SipMessage): ParseError | undefined {
  const cSeq = message.cSeq;
  if (isParseError(cSeq)) return cSeq;
  if (cSeq.number > cSeqMax) return parseError("cseq", 400, "CSeq Too Large");
  if (!message.isRequest || cSeq.method === message.method) return undefined;
  // RFC 4475 3.1.2.18: a method nobody here knows is better refused as such.
  if (!isKnownMethod(message.method)) return parseError("method", 501, "Not Implemented");
  return parseError("cseq", 400, "CSeq Method Mismatch");
}

function errorInMaxForwards(message: SipMessage): ParseError | undefined {
  const maxForwards = message.maxForwards;
  if (isParseError(maxForwards)) return maxForwards;
  if (maxForwards !== undefined && maxForwards > maxForwardsMax) return parseError("max-forwards", 400, "Max-Forwards Too Large");
  return undefined;
}
