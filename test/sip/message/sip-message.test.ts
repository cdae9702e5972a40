import { describe, expect, test } from "vitest";
import { isParseError } from "../../../sip/errors.ts";
import type { ParseError } from "../../../sip/errors.ts";
import { headerOctetsMax, headersMax, listValuesMax, messageOctetsMax, startLineOctetsMax } from "../../../sip/limits.ts";
import { Header } from "../../../sip/message/header-names.ts";
import { octetsOf, stringOf } from "../../../sip/message/octets.ts";
import { parseMessage } from "../../../sip/message/sip-message.ts";
import type { SipMessage } from "../../../sip/message/sip-message.ts";

const mandatory = [
  "Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK776asdhds",
  "Max-Forwards: 70",
  "To: Bob <sip:bob@biloxi.com>",
  "From: Alice <sip:alice@atlanta.com>;tag=1928301774",
  "Call-ID: a84b4c76e66710",
  "CSeq: 314159 INVITE",
];

function octets(lines: readonly string[], body = "", startLine = "INVITE sip:bob@biloxi.com SIP/2.0"): Uint8Array {
  return octetsOf(`${[startLine, ...lines].join("\r\n")}\r\n\r\n${body}`);
}

function parsed(input: Uint8Array): SipMessage {
  const message = parseMessage(input);
  if (isParseError(message)) throw new Error(`${message.error}: ${message.reason}`);
  return message;
}

function valueOf<T>(value: T | ParseError): T {
  if (isParseError(value)) throw new Error(`${value.error}: ${value.reason}`);
  return value;
}

/** The mandatory headers, some replaced, some added; `undefined` takes one away. */
function withHeaders(changes: Readonly<Record<string, string | undefined>>): string[] {
  const kept = mandatory.filter((line) => !(line.slice(0, line.indexOf(":")) in changes));
  return [...kept, ...Object.entries(changes).flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}`]))];
}

function check(changes: Readonly<Record<string, string | undefined>>): ParseError | undefined {
  return parsed(octets(withHeaders(changes))).checkMandatory();
}

describe("[RFC3261 7] start line, headers, body", () => {
  test("a request", () => {
    const message = parsed(octets([...mandatory, "Content-Length: 4"], "body"));
    expect(message).toMatchObject({ isRequest: true, method: "INVITE", requestUri: "sip:bob@biloxi.com", status: 0, reasonPhrase: "" });
    expect(message.fromTag).toBe("1928301774");
    expect(message.toTag).toBeUndefined();
    expect(message.cSeq).toEqual({ number: 314159, method: "INVITE" });
    expect(stringOf(message.body())).toBe("body");
    expect(message.checkMandatory()).toBeUndefined();
  });

  test("a response", () => {
    const message = parsed(octets(mandatory, "", "SIP/2.0 180 Ringing now"));
    expect(message).toMatchObject({ isRequest: false, method: "", requestUri: "", status: 180, reasonPhrase: "Ringing now" });
    expect(message.checkMandatory()).toBeUndefined();
  });

  test("[RFC3261 7.1] the version is case-insensitive, a method is not", () => {
    expect(parsed(octets(mandatory, "", "SIP/2.0 200 OK")).status).toBe(200);
    expect(parsed(octets(mandatory, "", "sip/2.0 200 OK")).status).toBe(200);
    const invite = parsed(octets(mandatory, "", "Invite sip:a@b sip/2.0"));
    expect(invite.method).toBe("Invite");
    expect(invite.checkMandatory()).toMatchObject({ status: 501 });
  });

  test.each(["SIP/3.0", "SIP/2.1", "sip/20", "SIP/"])("version %s is 505", (version) => {
    expect(parseMessage(octets(mandatory, "", `INVITE sip:a@b ${version}`))).toMatchObject({ status: 505, message: {} });
  });

  test.each([
    "INVITE sip:a@b",
    "INVITE  SIP/2.0",
    "INVITE sip:a@b HTTP/1.1",
    "INV\tITE sip:a@b SIP/2.0",
    " INVITE sip:a@b SIP/2.0",
    "INVITE sip:a b@c SIP/2.0",
    "INVITE sip:a\tb@c SIP/2.0",
    "INV(ITE sip:a@b SIP/2.0",
    "INVITE",
    "",
    "INVITE sip:a@b\rSIP/2.0",
    "INVITE sip:a@b\nSIP/2.0",
  ])("start line %j is malformed", (startLine) => {
    expect(parseMessage(octets(mandatory, "", startLine))).toMatchObject({ status: 400 });
  });

  test.each([
    "SIP/2.0 20 OK",
    "SIP/2.0 2000 OK",
    "SIP/2.0 099 x",
    "SIP/2.0 700 x",
    "SIP/2.0  200 OK",
    "SIP/2.0 abc",
    "SIP/2.0",
    "SIP/9.0 200 OK",
  ])("status line %j is malformed", (startLine) => {
    const error = parseMessage(octets(mandatory, "", startLine));
    expect(error).toMatchObject({ error: expect.any(String) });
    expect(isParseError(error) && error.message).toBeUndefined();
  });

  test("[RFC4475 3.1.1.13] a liberal receiver takes a status line without the second space", () => {
    expect(parsed(octets(mandatory, "", "SIP/2.0 200"))).toMatchObject({ status: 200, reasonPhrase: "" });
  });

  test("[RFC3261 7.5] CRLFs before the start line are skipped", () => {
    const message = parsed(octetsOf(`\r\n\r\n${stringOf(octets(mandatory))}`));
    expect(message.start).toBe(4);
    expect(message.method).toBe("INVITE");
  });

  test("[RFC3261 7.3.1] folds are one space; names in any case; no space or much around the colon", () => {
    const message = parsed(octets(["SUBJECT  :  I know you're there,\r\n  pick up the phone  \r\n\tand talk \r\n ", "s:x", "X-y:"]));
    expect(message.values(Header.Subject)).toEqual(["I know you're there, pick up the phone and talk", "x"]);
    expect(message.text(Header.Subject)).toBe("I know you're there, pick up the phone and talk");
    expect(message.valuesOf("x-Y")).toEqual([""]);
    expect(message.has(Header.Via)).toBe(false);
    expect(message.text(Header.Via)).toBeUndefined();
  });

  test("[RFC3261 7.3.1] comma lists and lines are one list; quotes, escapes and brackets hide commas", () => {
    const message = parsed(
      octets([
        'Route: "a, \\" b" <sip:x,y@one;lr>, <sip:two;lr> ,\r\n <sip:three;lr>',
        "Supported: path,, outbound ,GRUU,",
        "Route: <sip:four;lr>",
        "k: timer",
        'Authorization: Digest username="a", realm="b"',
      ]),
    );
    expect(valueOf(message.routes).map((route) => route.uri)).toEqual(["sip:x,y@one;lr", "sip:two;lr", "sip:three;lr", "sip:four;lr"]);
    expect(message.optionTags(Header.Supported)).toEqual(["path", "outbound", "gruu", "timer"]);
    expect(message.values(Header.Authorization)).toEqual(['Digest username="a", realm="b"']);
  });

  test("a quote that never closes takes the rest of its line, not of the message", () => {
    const message = parsed(octets(['Contact: "a <sip:a@b>, <sip:c@d>', "Contact: <sip:e@f>"]));
    expect(message.values(Header.Contact)).toEqual(['"a <sip:a@b>, <sip:c@d>', "<sip:e@f>"]);
    expect(message.contacts).toMatchObject({ status: 400 });
  });

  test.each(["Subject x", ": x", "Sub ject: x", "Subject: a\rb", "Subject: a\nb", "Sübject: x", "\x01: x"])(
    "header line %j is malformed",
    (line) => {
      expect(parseMessage(octets([...mandatory, line]))).toMatchObject({ status: 400, message: {} });
    },
  );

  test("header lines behind a malformed one are read all the same, to answer it", () => {
    const error = parseMessage(octets([...mandatory.slice(0, 2), "what is this", ...mandatory.slice(2)]));
    const message = isParseError(error) ? error.message : undefined;
    expect(message?.callId).toBe("a84b4c76e66710");
    expect(message?.values(Header.Via)).toHaveLength(1);
  });

  test("a message without the empty line is malformed, wherever it ends", () => {
    const whole = octets(mandatory);
    for (let end = 0; end < whole.length; end++) expect(isParseError(parseMessage(whole, 0, end))).toBe(true);
    expect(isParseError(parseMessage(whole, 0, whole.length + 100))).toBe(false);
  });

  test("a message inside other octets: nothing outside start and end counts", () => {
    const inner = stringOf(octets([...mandatory, "Content-Length: 2"], "ab"));
    const outer = octetsOf(`xx${inner}yy`);
    const message = parseMessage(outer, 2, outer.length - 2);
    if (isParseError(message)) throw new Error(message.reason);
    expect(stringOf(message.octets, message.start, message.end)).toBe(inner);
    expect(stringOf(message.body())).toBe("ab");
    const headersEnd = outer.length - 2 - 2;
    expect(isParseError(parseMessage(outer, 2, headersEnd - 1))).toBe(true);
  });
});

describe("[RFC3261 18.3, 20.14] Content-Length", () => {
  test("octets behind it are not the message's; without it all are", () => {
    expect(stringOf(parsed(octets([...mandatory, "l: 2"], "abcd")).body())).toBe("ab");
    expect(stringOf(parsed(octets(mandatory, "abcd")).body())).toBe("abcd");
  });

  test.each(["5", "99999999999999999999999", "-1", "4x", "0x4", "", "4, 4", "+4"])("%j of four octets is refused", (value) => {
    expect(parseMessage(octets([...mandatory, `Content-Length: ${value}`], "abcd"))).toMatchObject({
      status: 400,
      error: "content-length",
    });
  });

  test("two are refused, even when they agree", () => {
    expect(parseMessage(octets([...mandatory, "l: 4", "Content-Length: 4"], "abcd"))).toMatchObject({
      status: 400,
      error: "content-length",
    });
  });
});

describe("[RFC3261 16.3 1] checkMandatory", () => {
  test.each(["Via", "From", "To", "Call-ID", "CSeq"])("without %s: 400", (name) => {
    expect(check({ [name]: undefined })).toMatchObject({ status: 400, error: "missing-header" });
  });

  test("without Max-Forwards: the proxy adds one (RFC 3261 16.6 3)", () => {
    expect(check({ "Max-Forwards": undefined })).toBeUndefined();
  });

  test.each(["From", "To", "Call-ID", "CSeq", "Max-Forwards", "Expires", "Content-Type"])("[RFC3261 7.3.1] two of %s: 400", (name) => {
    const line = mandatory.find((each) => each.startsWith(`${name}:`)) ?? `${name}: 1`;
    const message = parsed(octets([...withHeaders({ [name]: undefined }), line, line]));
    expect(message.checkMandatory()).toMatchObject({ status: 400, error: "repeated-header" });
  });

  test.each([
    ["CSeq", "2147483648 INVITE", "cseq"],
    ["CSeq", "1", "cseq"],
    ["CSeq", "-1 INVITE", "cseq"],
    ["CSeq", "1INVITE", "cseq"],
    ["CSeq", "1 ACK", "cseq"],
    ["CSeq", "1 INVITE x", "cseq"],
    ["Max-Forwards", "256", "max-forwards"],
    ["Max-Forwards", "x", "max-forwards"],
    ["Max-Forwards", "", "max-forwards"],
    ["Call-ID", "", "call-id"],
    ["Call-ID", "a b", "call-id"],
    ["From", "<sip:a b@c>;tag=1", "uri-user"],
    ["From", "sip:a@b;tag=1;tag=2", "duplicate-param"],
    ["From", "sip:a@b;tag", "tag"],
    ["To", "", "name-addr"],
    ["Via", "", "missing-header"],
    ["Via", "SIP/2.0/UDP a;branch=z9hG4bK", "branch"],
    ["Via", "SIP/2.0/UDP a;branch=z9hG4bK1, junk", "via"],
    ["Route", "junk <", "name-addr"],
    ["Record-Route", "<sip:a", "name-addr"],
    ["Path", "<sip:a", "name-addr"],
    ["Contact", "*, <sip:a@b>", "contact"],
  ])("%s: %s", (name, value, error) => {
    expect(check({ [name]: value })).toMatchObject({ status: 400, error, message: {} });
  });

  test("[RFC3261 8.1.1.5] CSeq up to 2^31-1, leading zeros", () => {
    expect(check({ CSeq: "2147483647 INVITE" })).toBeUndefined();
    expect(check({ CSeq: "0000000001 INVITE" })).toBeUndefined();
  });

  test("a response is judged by what matches it, not by the rest", () => {
    const message = parsed(octets(withHeaders({ Contact: "junk <", "Max-Forwards": "x" }), "", "SIP/2.0 200 OK"));
    expect(message.checkMandatory()).toBeUndefined();
    const broken = parsed(octets(withHeaders({ CSeq: "x" }), "", "SIP/2.0 200 OK")).checkMandatory();
    expect(broken).toMatchObject({ error: "cseq" });
    expect(broken?.message).toBeUndefined();
  });
});

describe("[RFC3261 20] header values", () => {
  test.each([
    ["60", 60],
    ["4294967295", 4294967295],
    ["4294967296", 4294967295],
    [`1${"0".repeat(100)}`, 4294967295],
    ["x", 3600],
    ["-1", 3600],
    ["", 3600],
    [undefined, undefined],
  ])("[RFC3261 20.19] Expires %s", (value, seconds) => {
    expect(parsed(octets(withHeaders({ Expires: value }))).expires).toBe(seconds);
  });

  test("[RFC3261 10.2.2] Contact: * alone", () => {
    expect(parsed(octets(withHeaders({ Contact: "*" }))).contacts).toBe("*");
    expect(parsed(octets(mandatory)).contacts).toEqual([]);
  });

  test("getters remember: the same object each time", () => {
    const message = parsed(octets([...mandatory, "Route: <sip:a;lr>"]));
    expect(message.topVia).toBe(message.topVia);
    expect(message.from).toBe(message.from);
    expect(message.routes).toBe(message.routes);
    expect(message.parsedRequestUri).toBe(message.parsedRequestUri);
  });

  test("missing headers are values too", () => {
    const message = parsed(octets([]));
    expect(message.topVia).toMatchObject({ status: 400 });
    expect(message.from).toMatchObject({ status: 400 });
    expect(message.to).toMatchObject({ status: 400 });
    expect(message.cSeq).toMatchObject({ status: 400 });
    expect(message).toMatchObject({ fromTag: undefined, toTag: undefined, callId: "", maxForwards: undefined });
    expect(message.vias).toEqual([]);
  });
});

function startLineOf(length: number): string {
  return `INVITE sip:${"a".repeat(length - "INVITE sip:@b SIP/2.0".length)}@b SIP/2.0`;
}

function manyHeaders(count: number): string[] {
  return [...mandatory, ...Array.from({ length: count - mandatory.length }, () => "x:")];
}

describe("limits, each with its hostile message", () => {
  test("a message over messageOctetsMax: 513, and it can be answered", () => {
    const error = parseMessage(octets(mandatory, "x".repeat(messageOctetsMax)));
    expect(error).toMatchObject({ status: 513, message: { callId: "a84b4c76e66710" } });
    const head = octets(mandatory).length;
    expect(isParseError(parseMessage(octets(mandatory, "x".repeat(messageOctetsMax - head))))).toBe(false);
  });

  test("a start line over startLineOctetsMax: 414", () => {
    expect(parseMessage(octets(mandatory, "", startLineOf(startLineOctetsMax + 1)))).toMatchObject({ status: 414, message: {} });
    expect(isParseError(parseMessage(octets(mandatory, "", startLineOf(startLineOctetsMax))))).toBe(false);
  });

  test("headers over headersMax: 400", () => {
    expect(parseMessage(octets(manyHeaders(headersMax + 1)))).toMatchObject({ status: 400, error: "headers-max", message: {} });
    expect(isParseError(parseMessage(octets(manyHeaders(headersMax))))).toBe(false);
  });

  test("a header over headerOctetsMax, in one line or in folds: 400", () => {
    expect(parseMessage(octets([...mandatory, `x: ${"a".repeat(headerOctetsMax)}`]))).toMatchObject({ status: 400, error: "header-max" });
    expect(parseMessage(octets([...mandatory, `x:${"\r\n a".repeat(headerOctetsMax / 4)}`]))).toMatchObject({
      status: 400,
      error: "header-max",
    });
    expect(isParseError(parseMessage(octets([...mandatory, `x:${"a".repeat(headerOctetsMax - 2)}`])))).toBe(false);
  });

  test.each(["Route", "Record-Route", "Path", "Contact"])("%s values over listValuesMax, on one line or many: 400", (name) => {
    const value = "<sip:a;lr>";
    const list = (count: number): string => Array.from({ length: count }, () => value).join(",");
    expect(check({ [name]: list(listValuesMax) })).toBeUndefined();
    expect(check({ [name]: list(listValuesMax + 1) })).toMatchObject({ status: 400, error: "list-max" });
    const lines = Array.from({ length: listValuesMax + 1 }, () => `${name}: ${value}`);
    expect(parsed(octets([...mandatory, ...lines])).checkMandatory()).toMatchObject({ status: 400, error: "list-max" });
  });

  test("Via values over listValuesMax: 400", () => {
    const via = Array.from({ length: listValuesMax + 1 }, () => "SIP/2.0/UDP a").join(",");
    expect(check({ Via: via })).toMatchObject({ status: 400, error: "list-max" });
  });
});
