import { describe, expect, it } from "vitest";
import { isParseError } from "../../../sip/errors.ts";
import { parseMessage } from "../../../sip/message/sip-message.ts";
import { tortureMessage, tortureNames, type TortureSuite } from "../../fixtures/torture.ts";
import { TestExchange, TestPhone } from "./harness.ts";

/**
 * What this proxy and registrar does with every message of RFC 4475 and RFC 5118, end to end. It serves example.com, example.net,
 * example.org and company.com without passwords, and a phone is registered for whatever address-of-record a request is for. A number is
 * the status that comes back; "forwarded": the phone gets it; "dropped": nothing happens (responses to nothing we sent).
 *
 * 403 is for requests between strangers: this proxy relays for nobody, however well-formed the message is.
 */
const expected: Readonly<Record<TortureSuite, Readonly<Record<string, number | "forwarded" | "dropped">>>> = {
  rfc4475: {
    // 3.1.1 valid messages
    wsinv: 403, // a tortuous INVITE, from outside to outside
    intmeth: "forwarded", // a method made of marks
    esc01: "forwarded", // %-escapes in the user part
    escnull: 200, // %00 in a contact
    esc02: 403, // % is no escape in a method; from outside to outside
    lwsdisp: "forwarded", // no space between display name and <
    longreq: "forwarded",
    dblreq: 200, // the REGISTER in front; what follows Content-Length in a datagram is not looked at
    semiuri: "forwarded", // ;tag in the user part
    transports: "forwarded", // Vias with all transports
    mpart01: "forwarded", // multipart with octets that are no text
    unreason: "dropped",
    noreason: "dropped",
    // 3.1.2 invalid messages
    badinv01: 400,
    clerr: 400,
    ncl: 400,
    scalar02: 400,
    scalarlg: "dropped",
    quotbal: 400,
    ltgtruri: 400,
    lwsruri: 400,
    lwsstart: 400,
    trws: 400,
    escruri: 400,
    baddate: "forwarded", // a proxy does not look at Date
    regbadct: 400,
    badaspec: 400,
    baddn: 400,
    badvers: 505,
    mismatch01: 400,
    mismatch02: 501,
    bigcode: "dropped",
    // 3.2 transaction layer
    badbranch: 400,
    // 3.3 application layer
    insuf: 400,
    unkscm: 416,
    novelsc: 416,
    unksm2: 404, // REGISTER for an address-of-record that is no SIP URI
    bext01: 420,
    invut: "forwarded", // a body of an unknown type is the callee's business
    regaut01: 200, // an unknown authorization scheme, where none is needed
    multi01: 400,
    mcl01: 400,
    bcast: "dropped",
    zeromf: 483,
    cparam01: 200,
    cparam02: 200,
    regescrt: 200,
    sdp01: "forwarded",
    // 3.4 backward compatibility
    inv2543: "forwarded",
  },
  rfc5118: {
    "ipv6-good": 403,
    "ipv6-bad": 400,
    "port-ambiguous": 403,
    "port-unambiguous": 403,
    "via-received-param-with-delim": 403,
    "via-received-param-no-delim": 403,
    "ipv6-in-sdp": 403,
    "mult-ip-in-header": 403,
    "mult-ip-in-sdp": 403,
    "ipv4-mapped-ipv6": "forwarded",
    "ipv6-bug-abnf-3-colons": 403,
    "ipv6-correct-abnf-2-colons": 403,
  },
};

const attacker = "u0..c633640713ce";

function worldFor(suite: TortureSuite, name: string): { world: TestExchange; phone: TestPhone } {
  const domains = ["example.com", "example.net", "example.org", "company.com"].map((domain) => ({ name: domain, auth: "open" as const }));
  const world = new TestExchange("open", { map: { domains } });
  const phone = new TestPhone("callee", "203.0.113.9", 5080);
  const message = parseMessage(tortureMessage(suite, name));
  if (!isParseError(message) && message.isRequest && message.method !== "REGISTER" && /^sip:.*@/.test(message.requestUri)) {
    const to = `To: <${message.requestUri}>`;
    world.receive(phone.key, phone.request("REGISTER", "sip:example.com", [to, `From: <${message.requestUri}>;tag=r`, "Expires: 600"]));
  }
  return { world, phone };
}

describe.each(["rfc4475", "rfc5118"] as const)("torture messages of %s", (suite) => {
  it("are all here", () => {
    expect(tortureNames(suite)).toEqual(Object.keys(expected[suite]).toSorted());
    expect(tortureNames(suite)).toHaveLength(suite === "rfc4475" ? 49 : 12);
  });

  it.each(Object.entries(expected[suite]))("%s: %s, and the next good message is served", (name, outcome) => {
    const { world, phone } = worldFor(suite, name);
    const sent = world.receive(attacker, tortureMessage(suite, name));
    const forwarded = sent.find((each) => each.key === phone.key);
    const final = sent.find((each) => each.message.status >= 200);
    expect(forwarded !== undefined ? "forwarded" : (final?.message.status ?? "dropped")).toBe(outcome);

    const good = new TestPhone("alice", "198.51.100.8", 5070);
    const ok = world.receive(
      good.key,
      good.request("REGISTER", "sip:example.com", ["To: <sip:alice@example.com>", "From: <sip:alice@example.com>;tag=g"]),
    );
    expect(ok.map((each) => each.message.status)).toEqual([200]);
    world.advance(400_000);
    expect(world.exchange.counts(world.now).transactions).toBe(0);
  });

  it.each(["digest", "open"] as const)("crash nothing when they come all at once, cut anywhere, in a domain with auth %s", (auth) => {
    const world = new TestExchange(auth);
    for (const name of tortureNames(suite)) {
      const octets = tortureMessage(suite, name);
      for (let length = 0; length <= octets.length; length += 7) world.receive(attacker, octets.slice(0, length));
    }
    world.advance(400_000);
    expect(world.exchange.counts(world.now).transactions).toBe(0);
  });
});
