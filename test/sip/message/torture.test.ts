import { describe, expect, test } from "vitest";
import { isParseError } from "../../../sip/errors.ts";
import type { ParseError } from "../../../sip/errors.ts";
import { buildResponse } from "../../../sip/message/build.ts";
import { MessageEdit } from "../../../sip/message/edit.ts";
import { Header } from "../../../sip/message/header-names.ts";
import { octetsOf, stringOf } from "../../../sip/message/octets.ts";
import { unquote } from "../../../sip/message/params.ts";
import { parseMessage } from "../../../sip/message/sip-message.ts";
import type { SipMessage } from "../../../sip/message/sip-message.ts";
import { StreamFramer } from "../../../sip/message/stream-framer.ts";
import { isSipUri } from "../../../sip/message/uri.ts";
import type { SipUri, Uri } from "../../../sip/message/uri.ts";
import { tortureMessage, tortureNames } from "../../fixtures/torture.ts";
import type { TortureSuite } from "../../fixtures/torture.ts";

/** What a server does first: parse, then check what it relies on. */
function received(suite: TortureSuite, name: string): SipMessage | ParseError {
  const message = parseMessage(tortureMessage(suite, name));
  return isParseError(message) ? message : (message.checkMandatory() ?? message);
}

function valueOf<T>(value: T | ParseError): T {
  if (isParseError(value)) throw new Error(`${value.error}: ${value.reason}`);
  return value;
}

function sipUriOf(uri: Uri | ParseError): SipUri {
  const parsed = valueOf(uri);
  if (!isSipUri(parsed)) throw new Error("no SIP URI");
  return parsed;
}

const longreqUser = "amazinglylongcallername".repeat(5);

/** Well-formed: the section, and what the message says. */
const accepted: Readonly<Record<string, readonly [section: string, check: (message: SipMessage) => void]>> = {
  wsinv: [
    "3.1.1.1",
    (message) => {
      expect(message.method).toBe("INVITE");
      expect(sipUriOf(message.parsedRequestUri).params.has("unknownparam")).toBe(true);
      expect(valueOf(message.to).uri).toBe("sip:vivekg@chair-dnrc.example.com");
      expect(message.toTag).toBe("1918181833n");
      expect(unquote(valueOf(message.from).displayName)).toBe('J Rosenberg \\"');
      expect(message.fromTag).toBe("98asjd8");
      expect(message.maxForwards).toBe(68);
      expect(message.callId).toBe("wsinv.ndaksdj@192.0.2.1");
      expect(message.cSeq).toEqual({ number: 9, method: "INVITE" });
      expect(valueOf(message.vias).map((via) => [via.transport, via.host, via.branch])).toEqual([
        ["UDP", "192.0.2.2", "390skdjuw"],
        ["TCP", "spindle.example.com", "z9hG4bK9ikj8"],
        ["UDP", "192.168.255.111", "z9hG4bK30239"],
      ]);
      expect(message.text(Header.Subject)).toBe("");
      expect(message.valuesOf("newfangledheader")).toEqual(["newfangled value continued newfangled value"]);
      expect(message.valuesOf("UnknownHeaderWithUnusualValue")).toEqual([";;,,;;,;"]);
      expect(valueOf(message.routes).map((route) => route.uri)).toEqual(["sip:services.example.com;lr;unknownwith=value;unknown-no-value"]);
      const contacts = valueOf(message.contacts);
      if (contacts === "*") throw new Error("contact *");
      expect(unquote(contacts[0]?.displayName ?? "")).toBe('Quoted string ""');
      expect(contacts[0]?.params.entries()).toEqual([
        ["newparam", "newvalue"],
        ["secondparam", ""],
        ["q", "0.33"],
      ]);
      expect(message.body()).toHaveLength(150);
    },
  ],
  intmeth: [
    "3.1.1.2",
    (message) => {
      expect(message.method).toBe("!interesting-Method0123456789_*+`.%indeed'~");
      const uri = sipUriOf(message.parsedRequestUri);
      expect(uri.user).toBe("1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*");
      expect(uri.password).toBe("&it+has=1,weird!*pas$wo~d_too.(doesn't-it)");
      expect(valueOf(message.topVia).branch).toBe("z9hG4bK-.!%66*_+`'~");
      expect(unquote(valueOf(message.to).displayName)).toBe("BEL:\x07 NUL:\0 DEL:\x7f");
      expect(valueOf(message.from).displayName).toBe("token1~` token2'+_ token3*%!.-");
      expect(unquote(valueOf(message.from).params.get("fromparam''~+*_!.-%") ?? "")).toHaveLength(20);
      expect(message.fromTag).toBe("_token~1'+`*%!-.");
      expect(message.callId).toBe("intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{");
      expect(message.cSeq).toEqual({ number: 139122385, method: message.method });
      expect(message.maxForwards).toBe(255);
      expect(message.valuesOf("extensionHeader-!.%*+_`'~")[0]).toHaveLength(12);
    },
  ],
  esc01: [
    "3.1.1.3",
    (message) => {
      expect(sipUriOf(message.parsedRequestUri).user).toBe("sips%3Auser%40example.com");
      const contacts = valueOf(message.contacts);
      if (contacts === "*" || contacts[0] === undefined) throw new Error("no contact");
      const { params } = sipUriOf(contacts[0].parsedUri);
      expect(params.entries()).toEqual([
        ["lr", ""],
        ["name", "value%2541"],
      ]);
    },
  ],
  escnull: [
    "3.1.1.4",
    (message) => {
      expect(sipUriOf(valueOf(message.to).parsedUri).user).toBe("null-%00-null");
      expect(message.values(Header.Contact)).toEqual(["<sip:%00@host5.example.com>", "<sip:%00%00@host5.example.com>"]);
    },
  ],
  esc02: [
    "3.1.1.5",
    (message) => {
      expect(message.method).toBe("RE%47IST%45R");
      expect(unquote(valueOf(message.to).displayName)).toBe("%Z%45");
      expect(message.values(Header.Contact)).toHaveLength(2);
      expect(message.valuesOf("C%6Fntact")).toEqual(["<sip:alias2@host2.example.com>"]);
    },
  ],
  lwsdisp: [
    "3.1.1.6",
    (message) => {
      expect(valueOf(message.from)).toMatchObject({ displayName: "caller", uri: "sip:caller@example.com" });
      expect(message.fromTag).toBe("323");
    },
  ],
  longreq: [
    "3.1.1.7",
    (message) => {
      expect(valueOf(message.vias)).toHaveLength(34);
      expect(valueOf(message.vias).at(-1)).toMatchObject({ host: "host.example.com", received: "192.0.2.5" });
      expect(message.fromTag).toBe(`12${"982".repeat(50)}424`);
      expect(valueOf(message.from).uri).toBe(`sip:${longreqUser}@example.net`);
      expect(message.callId).toBe(`longreq.one${"really".repeat(20)}longcallid`);
      expect(sipUriOf(valueOf(message.to).parsedUri).port).toBe(6000);
    },
  ],
  dblreq: [
    "3.1.1.8",
    (message) => {
      expect(message.method).toBe("REGISTER");
      expect(message.body()).toHaveLength(0);
      expect(stringOf(new MessageEdit(message).serialize())).not.toContain("INVITE");
    },
  ],
  semiuri: [
    "3.1.1.9",
    (message) => {
      expect(sipUriOf(message.parsedRequestUri)).toMatchObject({ user: "user;par=u%40example.net", host: "example.com" });
      expect(message.values(Header.Accept)).toHaveLength(6);
    },
  ],
  transports: [
    "3.1.1.10",
    (message) => expect(valueOf(message.vias).map((via) => via.transport)).toEqual(["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]),
  ],
  mpart01: [
    "3.1.1.11",
    (message) => {
      expect(message.body()).toHaveLength(553);
      expect(message.body()).toContain(0);
      expect(valueOf(message.topVia).rport).toBe(true);
    },
  ],
  unreason: [
    "3.1.1.12",
    (message) => {
      expect(message.status).toBe(200);
      expect(message.reasonPhrase.startsWith("= 2**3 * 5**2 \xd0\xbd")).toBe(true);
    },
  ],
  noreason: [
    "3.1.1.13",
    (message) => {
      expect(message.status).toBe(100);
      expect(message.reasonPhrase).toBe("");
    },
  ],
  baddate: ["3.1.2.12, a Date that nobody reads", (message) => expect(message.text(Header.Date)).toBe("Fri, 01 Jan 2010 16:00:00 EST")],
  unkscm: [
    "3.3.2, 416 is the proxy's",
    (message) =>
      expect(message.parsedRequestUri).toEqual({ scheme: "nobodyknowsthisscheme", text: "nobodyKnowsThisScheme:totallyopaquecontent" }),
  ],
  novelsc: ["3.3.3, 416 is the proxy's", (message) => expect(message.parsedRequestUri).toMatchObject({ scheme: "soap.beep" })],
  unksm2: [
    "3.3.4, 400 is the registrar's",
    (message) => {
      expect(valueOf(valueOf(message.to).parsedUri)).toMatchObject({ scheme: "isbn" });
      expect(valueOf(valueOf(message.from).parsedUri)).toMatchObject({ scheme: "http" });
      expect(message.values(Header.Contact)).toEqual(["<name:John_Smith>"]);
    },
  ],
  bext01: [
    "3.3.5, 420 is the proxy's",
    (message) => {
      expect(message.optionTags(Header.Require)).toEqual(["nothingsupportsthis", "nothingsupportsthiseither"]);
      expect(message.optionTags(Header.ProxyRequire)).toEqual(["noproxiessupportthis", "nordoanyproxiessupportthis"]);
    },
  ],
  invut: ["3.3.6", (message) => expect(message.text(Header.ContentType)).toBe("application/unknownformat")],
  regaut01: ["3.3.7", (message) => expect(message.values(Header.Authorization)).toEqual(["NoOneKnowsThisScheme opaque-data=here"])],
  bcast: ["3.3.10, dropping it is the proxy's", (message) => expect(valueOf(message.vias)[1]?.host).toBe("255.255.255.255")],
  zeromf: ["3.3.11, 483 is the proxy's", (message) => expect(message.maxForwards).toBe(0)],
  cparam01: [
    "3.3.12",
    (message) => {
      const contacts = valueOf(message.contacts);
      expect(contacts).toMatchObject([{ uri: "sip:+19725552222@gw1.example.net" }]);
      expect(contacts !== "*" && contacts[0]?.params.has("unknownparam")).toBe(true);
    },
  ],
  cparam02: [
    "3.3.13",
    (message) => {
      const contacts = valueOf(message.contacts);
      expect(contacts).toMatchObject([{ uri: "sip:+19725552222@gw1.example.net;unknownparam" }]);
      expect(contacts !== "*" && contacts[0]?.params.size).toBe(0);
    },
  ],
  regescrt: [
    "3.3.14",
    (message) => {
      const contacts = valueOf(message.contacts);
      if (contacts === "*" || contacts[0] === undefined) throw new Error("no contact");
      expect(sipUriOf(contacts[0].parsedUri).headers).toBe("Route=%3Csip:sip.example.com%3E");
    },
  ],
  sdp01: ["3.3.15, 406 is the endpoint's", (message) => expect(message.values(Header.Accept)).toEqual(["text/nobodyKnowsThis"])],
  inv2543: [
    "3.4.1",
    (message) => {
      expect(valueOf(message.topVia).branch).toBeUndefined();
      expect(message.fromTag).toBeUndefined();
      expect(message.maxForwards).toBeUndefined();
      expect(valueOf(message.to)).toMatchObject({ uri: "sip:+16505552222@ss1.example.net" });
      expect(valueOf(message.to).params.get("user")).toBe("phone");
      expect(message.body()).toHaveLength(105);
    },
  ],
};

/** Refused: the section, the status, the error's code. */
const refused: Readonly<Record<string, readonly [section: string, status: number, error: string]>> = {
  badinv01: ["3.1.2.1", 400, "params"],
  clerr: ["3.1.2.2", 400, "content-length"],
  ncl: ["3.1.2.3", 400, "content-length"],
  scalar02: ["3.1.2.4", 400, "cseq"],
  quotbal: ["3.1.2.6", 400, "display-name"],
  ltgtruri: ["3.1.2.7", 400, "uri-scheme"],
  lwsruri: ["3.1.2.8", 400, "request-uri"],
  lwsstart: ["3.1.2.9", 400, "request-uri"],
  trws: ["3.1.2.10", 400, "request-uri"],
  escruri: ["3.1.2.11", 400, "request-uri"],
  regbadct: ["3.1.2.13", 400, "addr-spec"],
  badaspec: ["3.1.2.14", 400, "uri-scheme"],
  // The archive's octets end without the empty line that the text shows; see below.
  baddn: ["3.1.2.15", 400, "headers-end"],
  badvers: ["3.1.2.16", 505, "version"],
  mismatch01: ["3.1.2.17", 400, "cseq"],
  mismatch02: ["3.1.2.18", 501, "method"],
  badbranch: ["3.2.1", 400, "branch"],
  insuf: ["3.3.1", 400, "missing-header"],
  multi01: ["3.3.8", 400, "repeated-header"],
  mcl01: ["3.3.9", 400, "content-length"],
};

/** Responses that are dropped: an error without a message to answer. */
const dropped: Readonly<Record<string, readonly [section: string, error: string]>> = {
  scalarlg: ["3.1.2.5", "cseq"],
  bigcode: ["3.1.2.19", "status"],
};

/** Rows for test.each: the section comes first in a test's name. */
function rows<T extends readonly [section: string, ...rest: unknown[]]>(table: Readonly<Record<string, T>>): [string, string, T][] {
  return Object.entries(table).map(([name, row]) => [row[0], name, row]);
}

describe("[RFC4475] torture messages", () => {
  test("all 49 are listed, each once", () => {
    const listed = [...Object.keys(accepted), ...Object.keys(refused), ...Object.keys(dropped)].toSorted();
    expect(listed).toEqual(tortureNames("rfc4475"));
    expect(listed).toHaveLength(49);
  });

  test.each(rows(accepted))("[RFC4475 %s] %s is accepted", (_section, name, [, check]) => {
    expect.hasAssertions();
    check(valueOf(received("rfc4475", name)));
  });

  test.each(rows(accepted))("[RFC4475 %s] %s leaves unchanged", (_section, name) => {
    const message = valueOf(received("rfc4475", name));
    const octets = tortureMessage("rfc4475", name);
    expect(new MessageEdit(message).serialize()).toEqual(octets.slice(0, message.end));
  });

  test.each(rows(refused))("[RFC4475 %s] %s is refused and can be answered", (_section, name, [, status, code]) => {
    const error = received("rfc4475", name);
    expect(error).toMatchObject({ error: code, status });
    const request = isParseError(error) ? error.message : undefined;
    if (request === undefined) throw new Error("nothing to answer");
    const response = valueOf(parseMessage(buildResponse(request, status, { toTag: "t" })));
    expect(response.status).toBe(status);
    expect(response.values(Header.Via)).toEqual(request.values(Header.Via));
    expect(response.callId).toBe(request.callId);
  });

  test("baddn with the empty line that its octets lack is refused for its display names (3.1.2.15)", () => {
    const message = valueOf(parseMessage(octetsOf(`${stringOf(tortureMessage("rfc4475", "baddn"))}\r\n`)));
    expect(message.checkMandatory()).toMatchObject({ error: "display-name", status: 400 });
  });

  test.each(rows(dropped))("[RFC4475 %s] %s is dropped", (_section, name, [, code]) => {
    const error = received("rfc4475", name);
    expect(error).toMatchObject({ error: code });
    expect(isParseError(error) && error.message).toBeUndefined();
  });

  test.each([
    ["ncl", 400],
    ["mcl01", 400],
    ["inv2543", 400],
  ])("%s breaks a stream (3.1.2.3, 3.3.9)", (name, status) => {
    const events = new StreamFramer().push(tortureMessage("rfc4475", name));
    expect(events).toMatchObject([{ type: "error", error: { status, message: {} } }]);
  });

  test("clerr on a stream waits for more (3.1.2.2)", () => {
    const framer = new StreamFramer();
    expect(framer.push(tortureMessage("rfc4475", "clerr"))).toEqual([]);
    expect(framer.buffered).toBe(tortureMessage("rfc4475", "clerr").length);
  });

  test("dblreq on a stream is two messages: what is noise in a datagram is the next request there", () => {
    const events = new StreamFramer().push(tortureMessage("rfc4475", "dblreq"));
    // The INVITE's Content-Length is one short of its body: the LF left over begins no message.
    expect(events.map((event) => event.type)).toEqual(["message", "pong", "message", "error"]);
  });
});

type Ipv6Check = (message: SipMessage) => void;

const ipv6: Readonly<Record<string, readonly [section: string, check: Ipv6Check]>> = {
  "ipv6-good": [
    "4.1",
    (message) => {
      expect(sipUriOf(message.parsedRequestUri)).toMatchObject({ host: "[2001:db8::10]", port: undefined });
      expect(valueOf(message.topVia)).toMatchObject({ host: "[2001:db8::9:1]", port: undefined });
      expect(message.contacts).toMatchObject([{ uri: "sip:caller@[2001:db8::1]" }]);
    },
  ],
  "port-ambiguous": [
    "4.3",
    (message) => expect(sipUriOf(message.parsedRequestUri)).toMatchObject({ host: "[2001:db8::10:5070]", port: undefined }),
  ],
  "port-unambiguous": [
    "4.4",
    (message) => expect(sipUriOf(message.parsedRequestUri)).toMatchObject({ host: "[2001:db8::10]", port: 5070 }),
  ],
  "via-received-param-with-delim": ["4.5", (message) => expect(valueOf(message.topVia).received).toBe("2001:db8::9:255")],
  "via-received-param-no-delim": ["4.5", (message) => expect(valueOf(message.topVia).received).toBe("2001:db8::9:255")],
  "ipv6-in-sdp": ["4.6", (message) => expect(message.body()).toHaveLength(251)],
  "mult-ip-in-header": [
    "4.7",
    (message) => {
      expect(valueOf(message.vias).map((via) => [via.transport, via.host, via.port, via.received])).toEqual([
        ["UDP", "[2001:db8::9:1]", 6050, undefined],
        ["UDP", "192.0.2.1", undefined, undefined],
        ["TCP", "[2001:db8::9:255]", undefined, "192.0.2.200"],
      ]);
    },
  ],
  "mult-ip-in-sdp": ["4.8", (message) => expect(message.body()).toHaveLength(189)],
  "ipv4-mapped-ipv6": [
    "4.9",
    (message) => {
      expect(valueOf(message.vias).map((via) => [via.host, via.port])).toEqual([
        ["[::ffff:192.0.2.10]", 19823],
        ["[::ffff:192.0.2.2]", undefined],
      ]);
    },
  ],
  "ipv6-bug-abnf-3-colons": ["4.10", (message) => expect(sipUriOf(message.parsedRequestUri).host).toBe("[2001:db8::192.0.2.1]")],
  "ipv6-correct-abnf-2-colons": ["4.10", (message) => expect(sipUriOf(message.parsedRequestUri).host).toBe("[2001:db8::192.0.2.1]")],
};

describe("[RFC5118] IPv6 torture messages", () => {
  test("all 12 are listed, each once", () => {
    expect([...Object.keys(ipv6), "ipv6-bad"].toSorted()).toEqual(tortureNames("rfc5118"));
  });

  test.each(rows(ipv6))("[RFC5118 %s] %s is accepted", (_section, name, [, check]) => {
    expect.hasAssertions();
    check(valueOf(received("rfc5118", name)));
  });

  test("[RFC5118 4.2] ipv6-bad, an address without brackets, is refused with 400", () => {
    expect(received("rfc5118", "ipv6-bad")).toMatchObject({ status: 400, error: "host" });
  });
});
