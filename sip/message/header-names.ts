/** Header names (RFC 3261 7.3.1, 7.3.3, 20). The names that the core knows have small integer ids. A compact form has the id of its long form. */

export const Header = {
  Via: 1,
  From: 2,
  To: 3,
  CallId: 4,
  CSeq: 5,
  Contact: 6,
  Route: 7,
  RecordRoute: 8,
  MaxForwards: 9,
  ContentLength: 10,
  ContentType: 11,
  Expires: 12,
  MinExpires: 13,
  Require: 14,
  ProxyRequire: 15,
  Supported: 16,
  Unsupported: 17,
  Path: 18,
  Authorization: 19,
  ProxyAuthorization: 20,
  WwwAuthenticate: 21,
  ProxyAuthenticate: 22,
  UserAgent: 23,
  Server: 24,
  Allow: 25,
  Accept: 26,
  AcceptEncoding: 27,
  MaxBreadth: 28,
  Date: 29,
  Event: 30,
  Timestamp: 31,
  RetryAfter: 32,
  Warning: 33,
  Reason: 34,
  ServiceRoute: 35,
  FlowTimer: 36,
  SessionExpires: 37,
  MinSE: 38,
  Subject: 39,
  ReferTo: 40,
  ReferredBy: 41,
  Replaces: 42,
  AuthenticationInfo: 43,
  SubscriptionState: 44,
  AllowEvents: 45,
  ContentEncoding: 46,
  ContentLanguage: 47,
  ContentDisposition: 48,
  MimeVersion: 49,
  Organization: 50,
  Priority: 51,
  ReplyTo: 52,
  InReplyTo: 53,
  AlertInfo: 54,
  CallInfo: 55,
  ErrorInfo: 56,
  PAssertedIdentity: 57,
  PPreferredIdentity: 58,
  Privacy: 59,
  RemotePartyId: 60,
  Diversion: 61,
  RSeq: 62,
  RAck: 63,
  SipETag: 64,
  SipIfMatch: 65,
  RequestDisposition: 66,
  AcceptContact: 67,
  RejectContact: 68,
  Identity: 69,
  Join: 70,
  UserToUser: 71,
  HistoryInfo: 72,
  AcceptLanguage: 73,
  PCalledPartyId: 74,
  PServedUser: 75,
  AnswerMode: 76,
  PrivAnswerMode: 77,
  PAutoAnswer: 78,
  PAlertingMode: 79,
  XAutoAnswer: 80,
  ResourcePriority: 81,
  PAssertedService: 82,
  AutoAnswer: 83,
  XAutoAnswerDashed: 84,
} as const;

/** One of {@link Header}'s numbers; 0 stands for a name the core does not know. */
export type HeaderId = number;

/** True for a header by which elements that trust each other say who somebody is, or that this should not be said (RFC 3325, RFC 3323). */
export function isIdentityHeader(id: HeaderId): boolean {
  return id >= Header.PAssertedIdentity && id <= Header.RemotePartyId;
}

/** A header that may stand once only: two are a broken message (RFC 3261 7.3.1). */
const SINGLE = 1;
/** A header whose value is a comma list: `A: 1, 2` and two lines mean the same (RFC 3261 7.3.1). */
const LIST = 2;

type HeaderRow = readonly [id: HeaderId, name: string, compact: string, shape: number];

/** The challenge and credentials headers are neither: they repeat, and commas part their parameters (RFC 3261 7.3.1). */
const rows: readonly HeaderRow[] = [
  [Header.Via, "Via", "v", LIST],
  [Header.From, "From", "f", SINGLE],
  [Header.To, "To", "t", SINGLE],
  [Header.CallId, "Call-ID", "i", SINGLE],
  [Header.CSeq, "CSeq", "", SINGLE],
  [Header.Contact, "Contact", "m", LIST],
  [Header.Route, "Route", "", LIST],
  [Header.RecordRoute, "Record-Route", "", LIST],
  [Header.MaxForwards, "Max-Forwards", "", SINGLE],
  [Header.ContentLength, "Content-Length", "l", SINGLE],
  [Header.ContentType, "Content-Type", "c", SINGLE],
  [Header.Expires, "Expires", "", SINGLE],
  [Header.MinExpires, "Min-Expires", "", SINGLE],
  [Header.Require, "Require", "", LIST],
  [Header.ProxyRequire, "Proxy-Require", "", LIST],
  [Header.Supported, "Supported", "k", LIST],
  [Header.Unsupported, "Unsupported", "", LIST],
  [Header.Path, "Path", "", LIST],
  [Header.Authorization, "Authorization", "", 0],
  [Header.ProxyAuthorization, "Proxy-Authorization", "", 0],
  [Header.WwwAuthenticate, "WWW-Authenticate", "", 0],
  [Header.ProxyAuthenticate, "Proxy-Authenticate", "", 0],
  [Header.UserAgent, "User-Agent", "", 0],
  [Header.Server, "Server", "", 0],
  [Header.Allow, "Allow", "", LIST],
  [Header.Accept, "Accept", "", LIST],
  [Header.AcceptEncoding, "Accept-Encoding", "", LIST],
  [Header.MaxBreadth, "Max-Breadth", "", 0],
  [Header.Date, "Date", "", 0],
  [Header.Event, "Event", "o", 0],
  [Header.Timestamp, "Timestamp", "", 0],
  [Header.RetryAfter, "Retry-After", "", 0],
  [Header.Warning, "Warning", "", LIST],
  [Header.Reason, "Reason", "", LIST],
  [Header.ServiceRoute, "Service-Route", "", LIST],
  [Header.FlowTimer, "Flow-Timer", "", 0],
  [Header.SessionExpires, "Session-Expires", "x", 0],
  [Header.MinSE, "Min-SE", "", 0],
  [Header.Subject, "Subject", "s", 0],
  [Header.ReferTo, "Refer-To", "r", 0],
  [Header.ReferredBy, "Referred-By", "b", 0],
  [Header.Replaces, "Replaces", "", 0],
  [Header.AuthenticationInfo, "Authentication-Info", "", 0],
  [Header.SubscriptionState, "Subscription-State", "", 0],
  [Header.AllowEvents, "Allow-Events", "u", LIST],
  [Header.ContentEncoding, "Content-Encoding", "e", LIST],
  [Header.ContentLanguage, "Content-Language", "", LIST],
  [Header.ContentDisposition, "Content-Disposition", "", 0],
  [Header.MimeVersion, "MIME-Version", "", 0],
  [Header.Organization, "Organization", "", 0],
  [Header.Priority, "Priority", "", 0],
  [Header.ReplyTo, "Reply-To", "", 0],
  [Header.InReplyTo, "In-Reply-To", "", LIST],
  [Header.AlertInfo, "Alert-Info", "", LIST],
  [Header.CallInfo, "Call-Info", "", LIST],
  [Header.ErrorInfo, "Error-Info", "", LIST],
  [Header.PAssertedIdentity, "P-Asserted-Identity", "", LIST],
  [Header.PPreferredIdentity, "P-Preferred-Identity", "", LIST],
  [Header.Privacy, "Privacy", "", 0],
  [Header.RemotePartyId, "Remote-Party-ID", "", LIST],
  [Header.Diversion, "Diversion", "", LIST],
  [Header.RSeq, "RSeq", "", 0],
  [Header.RAck, "RAck", "", 0],
  [Header.SipETag, "SIP-ETag", "", 0],
  [Header.SipIfMatch, "SIP-If-Match", "", 0],
  [Header.RequestDisposition, "Request-Disposition", "d", LIST],
  [Header.AcceptContact, "Accept-Contact", "a", LIST],
  [Header.RejectContact, "Reject-Contact", "j", LIST],
  [Header.Identity, "Identity", "y", 0],
  [Header.Join, "Join", "", 0],
  [Header.UserToUser, "User-to-User", "", 0],
  [Header.HistoryInfo, "History-Info", "", LIST],
  [Header.AcceptLanguage, "Accept-Language", "", LIST],
  [Header.PCalledPartyId, "P-Called-Party-ID", "", LIST],
  [Header.PServedUser, "P-Served-User", "", 0],
  [Header.AnswerMode, "Answer-Mode", "", 0],
  [Header.PrivAnswerMode, "Priv-Answer-Mode", "", 0],
  [Header.PAutoAnswer, "P-Auto-Answer", "", 0],
  [Header.PAlertingMode, "P-Alerting-Mode", "", 0],
  [Header.XAutoAnswer, "X-AutoAnswer", "", 0],
  [Header.ResourcePriority, "Resource-Priority", "", LIST],
  [Header.PAssertedService, "P-Asserted-Service", "", LIST],
  [Header.AutoAnswer, "Auto-Answer", "", 0],
  [Header.XAutoAnswerDashed, "X-Auto-Answer", "", 0],
];

const names: readonly string[] = ["", ...rows.map((row) => row[1])];
const shapes: Uint8Array = Uint8Array.from([0, ...rows.map((row) => row[3])]);

/** The name as RFC 3261 writes it: `Call-ID`. Empty for an id that does not exist. */
export function canonicalHeaderName(id: HeaderId): string {
  return names[id] ?? "";
}

/** True when the header's value is a comma list (RFC 3261 7.3.1). */
export function isListHeader(id: HeaderId): boolean {
  return shapes[id] === LIST;
}

/** True when a message with two of these is malformed. */
export function isSingleHeader(id: HeaderId): boolean {
  return shapes[id] === SINGLE;
}

/*
 * Looking a name up in the octets, without making a string: buckets by length, first and last octet (lower-cased), then a comparison.
 * The tables hold every known name and compact form; most buckets hold one.
 */
const BUCKETS = 512;
const entries: readonly (readonly [string, HeaderId])[] = [
  ["", 0],
  ...rows.flatMap(([id, name, compact]): [string, HeaderId][] =>
    compact === ""
      ? [[name.toLowerCase(), id]]
      : [
          [name.toLowerCase(), id],
          [compact, id],
        ],
  ),
];
const firstInBucket = new Uint8Array(BUCKETS);
const nextInBucket = new Uint8Array(entries.length);
const nameIds: Uint8Array = Uint8Array.from(entries, (entry) => entry[1]);
const nameLengths: Uint8Array = Uint8Array.from(entries, (entry) => entry[0].length);
/** Where each name begins in {@link nameOctets}. */
const nameStarts = new Uint16Array(entries.length);
const nameOctets: Uint8Array = Uint8Array.from(entries.map((entry) => entry[0]).join(""), (character) => character.charCodeAt(0));

fillTables();

function fillTables(): void {
  let nameStart = 0;
  for (const [entry, [name]] of entries.entries()) {
    nameStarts[entry] = nameStart;
    nameStart += name.length;
    if (entry === 0) continue;
    const bucket = bucketOf(name.length, name.charCodeAt(0), name.charCodeAt(name.length - 1));
    nextInBucket[entry] = firstInBucket[bucket] ?? 0;
    firstInBucket[bucket] = entry;
  }
}

function bucketOf(length: number, first: number, last: number): number {
  return (length * 41 + (first | 0x20) * 7 + (last | 0x20) * 3) & (BUCKETS - 1);
}

/**
 * The id of the header name at these octets, 0 when it is not known. No octet may be a control: lower-casing with `| 0x20`
 * would otherwise take a CR for a hyphen.
 */
export function headerIdAt(octets: Uint8Array, start: number, end: number): HeaderId {
  const length = end - start;
  let entry = firstInBucket[bucketOf(length, octets[start] ?? 0, octets[end - 1] ?? 0)] ?? 0;
  while (entry !== 0) {
    if (nameLengths[entry] === length) {
      const nameAt = nameStarts[entry] ?? 0;
      let i = 0;
      while (i < length && ((octets[start + i] ?? 0) | 0x20) === nameOctets[nameAt + i]) i++;
      if (i === length) return nameIds[entry] ?? 0;
    }
    entry = nextInBucket[entry] ?? 0;
  }
  return 0;
}
