import { describe, expect, it } from "vitest";
import { isParseError } from "../../../sip/errors.ts";
import { headerOctetsMax } from "../../../sip/limits.ts";
import { octetsOf, stringOf } from "../../../sip/message/octets.ts";
import { parseMessage } from "../../../sip/message/sip-message.ts";
import { RecordKind } from "../../../cluster/backhaul/frame.ts";
import { TestExchange, TestPhone } from "../../actors/exchange/harness.ts";
import { cpuMs } from "../cpu-time.ts";

/** All but HTAB, and CR and LF, which end lines. */
const controls: readonly string[] = Array.from({ length: 0x80 }, (_, code) => code)
  .filter((code) => (code < 0x20 || code === 0x7f) && ![0x09, 0x0a, 0x0d].includes(code))
  .map((code) => String.fromCharCode(code));

const places: readonly (readonly [where: string, from: string, to: string])[] = [
  ["the Request-URI", "sip:bob@", "sip:bo?b@"],
  ["a display name of tokens", "From: A", "From: A?"],
  ["a quoted display name", 'To: "B', 'To: "B?'],
  ["a tag", ";tag=a", ";tag=a?"],
  ["the Call-ID", "Call-ID: c", "Call-ID: c?"],
  ["a Contact", "Contact: <sip:a", "Contact: <sip:a?"],
  ["the Subject", "Subject: s", "Subject: s?"],
  ["a Subject, behind a backslash", "Subject: s", 'Subject: "\\?"'],
  ["a header that nobody knows", "X-Y: z", "X-Y: z?"],
  ["a header name", "X-Y:", "X?Y:"],
  ["a continuation line", "Subject: s", "Subject: s\r\n ?"],
  ["the method", "MESSAGE sip", "MES?SAGE sip"],
  ["the version", " SIP/2.0\r\nVia", " SIP/2.0?\r\nVia"],
];

function messageOf(phone: TestPhone, changes: readonly [from: string, to: string][] = []): string {
  const headers = [
    "From: A <sip:alice@example.test>;tag=a",
    'To: "B" <sip:bob@example.test>',
    "Call-ID: c",
    "Subject: s",
    "X-Y: z",
    "Contact: <sip:alice@198.51.100.7>",
  ];
  let text = phone.request("MESSAGE", "sip:bob@example.test", headers, "b\0dy");
  for (const [from, to] of changes) {
    expect(text).toContain(from);
    text = text.replace(from, () => to);
  }
  return text;
}

function callers(): { readonly exchange: TestExchange; readonly alice: TestPhone } {
  const exchange = new TestExchange();
  const bob = new TestPhone("bob", "198.51.100.8", 5070);
  exchange.receive(bob.key, bob.register());
  return { exchange, alice: new TestPhone("alice", "198.51.100.7", 5070) };
}

/** How everything begins that is sent because of a request. A refusal has its headers, and so cannot be parsed either. */
function startsOf(world: TestExchange, phone: TestPhone, text: string): string[] {
  const { exchange, now } = world;
  exchange.receive(phone.access, { kind: RecordKind.message, key: phone.key, octets: octetsOf(text) }, now);
  return exchange.takeEffects().map((effect) => {
    if (effect.type !== "send" || effect.record.key !== phone.key) throw new Error("it went to somebody else");
    return stringOf(effect.record.octets, 0, 12);
  });
}

describe("[RFC3261 25.1] control octets", () => {
  it.each(places)("in %s are refused with 400, and nothing reaches the callee", (_, from, to) => {
    const { exchange, alice } = callers();
    for (const control of controls) {
      const starts = startsOf(exchange, alice, messageOf(alice, [[from, to.replace("?", () => control)]]));
      // What has no readable method is no request, and is not answered.
      const isAnswered = starts.length > 0 || !from.startsWith("MESSAGE");
      expect([control.charCodeAt(0), ...starts]).toEqual([control.charCodeAt(0), ...(isAnswered ? ["SIP/2.0 400 "] : [])]);
    }
  });

  it("in a body are nobody's business", () => {
    const { exchange, alice } = callers();
    const [forwarded] = exchange.receive(alice.key, messageOf(alice));
    expect(forwarded?.text).toMatch(/^MESSAGE sip:bob@198\.51\.100\.8:5070 [\s\S]*\r\n\r\nb\0dy$/);
  });

  it("do not stand for the tab and octets above ASCII, which are forwarded as they came", () => {
    const { exchange, alice } = callers();
    const high = Array.from({ length: 0x80 }, (_, code) => String.fromCharCode(code + 0x80)).join("");
    const text = messageOf(alice, [
      ["Subject: s", `Subject: s\t${high}`],
      ['To: "B"', `To: "B\t${high}"`],
      ["From: A", `From: ${high}`],
    ]);
    const [forwarded] = exchange.receive(alice.key, text);
    expect(forwarded?.message.method).toBe("MESSAGE");
    expect(forwarded?.text).toContain(`Subject: s\t${high}\r\n`);
    expect(forwarded?.text).toContain(`To: "B\t${high}" <`);
  });

  it("may be quoted by a backslash in a display name [RFC4475 3.1.1.2], and nowhere else", () => {
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const isRead = (from: string, to: string): boolean => !isParseError(parseMessage(octetsOf(messageOf(alice, [[from, to]]))));
    expect(isRead('To: "B"', 'To: "\\\0 \\\\\\\x7f"')).toBe(true);
    expect(isRead('To: "B"', 'To:\r\n "\\\0\r\n \\\0"')).toBe(true);
    expect(isRead('To: "B"', 'To: "\\\\\0"')).toBe(false);
    expect(isRead('To: "B"', 'To: "B"\\\0')).toBe(false);
    expect(isRead('To: "B" <sip:bob', 'To: "B" <sip:b\\\0ob')).toBe(false);
    expect(isRead("Call-ID: c", 'Call-ID: "\\\0"')).toBe(false);
  });

  it("that are quoted cost no more than their octets", () => {
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const pairs = "\\\0".repeat(headerOctetsMax / 2 - 100);
    const octets = octetsOf(messageOf(alice, [['To: "B"', `To: "${pairs}"`]]));
    const begun = cpuMs();
    for (let count = 0; count < 20; count += 1) expect(isParseError(parseMessage(octets))).toBe(false);
    // Were each looked for from the beginning, it would be seconds.
    expect(cpuMs() - begun).toBeLessThan(500);
  });
});
