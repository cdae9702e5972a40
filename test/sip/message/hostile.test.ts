import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isParseError } from "../../../sip/errors.ts";
import { buildAckForNon2xx, buildCancel, buildResponse } from "../../../sip/message/build.ts";
import { MessageEdit } from "../../../sip/message/edit.ts";
import { Header } from "../../../sip/message/header-names.ts";
import { octetsOf } from "../../../sip/message/octets.ts";
import { parseMessage } from "../../../sip/message/sip-message.ts";
import type { SipMessage } from "../../../sip/message/sip-message.ts";
import { serializeUri } from "../../../sip/message/uri.ts";
import { tortureMessage, tortureNames } from "../../fixtures/torture.ts";
import { cpuMs } from "../cpu-time.ts";

/** Asks a message everything there is to ask. Nothing may throw. */
function readAll(message: SipMessage): void {
  void [
    message.method,
    message.reasonPhrase,
    message.fromTag,
    message.toTag,
    message.callId,
    message.cSeq,
    message.maxForwards,
    message.expires,
  ];
  void [message.topVia, message.vias, message.checkMandatory(), message.body()];
  const uri = message.parsedRequestUri;
  if (!isParseError(uri)) serializeUri(uri);
  for (const list of [message.routes, message.contacts]) {
    if (isParseError(list) || list === "*") continue;
    for (const nameAddr of list) void nameAddr.parsedUri;
  }
  for (const id of Object.values(Header)) void [message.values(id), message.text(id), message.nameAddrs(id), message.optionTags(id)];
  for (let line = 0; line < message.lines.length / 3 - 1; line++) message.valuesOf(message.nameAt(line));
  new MessageEdit(message)
    .prepend(Header.Via, "x")
    .removeFirst(Header.Route)
    .replaceFirst(Header.Contact, "y")
    .set(Header.MaxForwards, "1")
    .serialize();
  buildResponse(message, 400, { toTag: "t" });
  buildAckForNon2xx(message, message);
  buildCancel(message);
}

/** Parses and reads everything. What is no message is an error with a status that a response can have. */
function feed(octets: Uint8Array): void {
  const result = parseMessage(octets);
  const error = isParseError(result) ? result : undefined;
  expect([undefined, 400, 414, 505, 513]).toContain(error?.status);
  const message = isParseError(result) ? result.message : result;
  if (message !== undefined) readAll(message);
}

/** Valid and invalid messages of the RFCs, to be mutated. */
const corpus = [
  ...tortureNames("rfc4475").map((name) => tortureMessage("rfc4475", name)),
  ...tortureNames("rfc5118").map((name) => tortureMessage("rfc5118", name)),
];

const interesting = fc.constantFrom(...'\r\n \t:;,<>"\\=?@[]%*/\0\xff09azAZ');
const mutation = fc.record({
  at: fc.nat(4000),
  remove: fc.nat(12),
  insert: fc.oneof(
    fc.array(interesting, { maxLength: 4 }).map((each) => each.join("")),
    fc.string({ maxLength: 6 }),
  ),
});

describe("never throws, never hangs", () => {
  test("any octets", () => {
    expect.hasAssertions();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (octets) => feed(octets)),
      { numRuns: 2000 },
    );
  });

  test("any headers", () => {
    expect.hasAssertions();
    const line = fc.tuple(
      fc.constantFrom("Via", "v", "From", "To", "Contact", "Route", "CSeq", "Call-ID", "l", "Max-Forwards", "X"),
      fc.array(fc.oneof(interesting, fc.constantFrom("sip:", "SIP/2.0/UDP ", "a", "<sip:a@b>")), { maxLength: 12 }),
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 12 }), fc.string({ maxLength: 30 }), (lines, uri) => {
        feed(octetsOf(`INVITE ${uri} SIP/2.0\r\n${lines.map(([name, value]) => `${name}: ${value.join("")}\r\n`).join("")}\r\n`));
      }),
      { numRuns: 1000 },
    );
  });

  test("mutated messages of RFC 4475 and 5118", () => {
    expect.hasAssertions();
    fc.assert(
      fc.property(fc.constantFrom(...corpus), fc.array(mutation, { minLength: 1, maxLength: 5 }), (original, mutations) => {
        let octets = original;
        for (const { at, remove, insert } of mutations) {
          const start = at % (octets.length + 1);
          octets = Uint8Array.from([...octets.subarray(0, start), ...octetsOf(insert), ...octets.subarray(start + remove)]);
        }
        feed(octets);
      }),
      { numRuns: 2000 },
    );
  });

  test("every prefix of every message of the RFCs, every 13th read in full", () => {
    expect.hasAssertions();
    for (const octets of corpus) {
      for (let end = 0; end < octets.length; end++) {
        const result = parseMessage(octets, 0, end);
        (isParseError(result) ? result.message : result)?.checkMandatory();
        if (end % 13 === 0) feed(octets.subarray(0, end));
      }
    }
  });

  test("parse, serialize, parse: the same message", () => {
    for (const octets of corpus) {
      const first = parseMessage(octets);
      if (isParseError(first)) continue;
      const second = parseMessage(new MessageEdit(first).serialize());
      if (isParseError(second)) throw new Error(second.reason);
      for (const id of Object.values(Header)) expect(second.values(id)).toEqual(first.values(id));
      expect(second.body()).toEqual(first.body());
      expect([second.method, second.requestUri, second.status]).toEqual([first.method, first.requestUri, first.status]);
    }
  });
});

describe("work stays linear in the size of the message", () => {
  /** 60 000 octets of what could be read again and again. Quadratic work on them takes many seconds; the bound is loose on purpose. */
  test.each([
    ["white space", `x: ${" ".repeat(16_000)}y`],
    ["folds", `To: ${"\r\n ".repeat(5_000)}`],
    ["quotes", `Contact: ${'"'.repeat(16_000)}`],
    ["backslashes", `Contact: "${"\\".repeat(16_000)}`],
    ["brackets", `Contact: ${"<".repeat(16_000)}`],
    ["commas", `Route: ${",".repeat(16_000)}`],
    ["semicolons", `Via: SIP/2.0/UDP a${";".repeat(16_000)}`],
    ["parameters", `To: <sip:a@b>${Array.from({ length: 2_500 }, (_, i) => `;${i}`).join("")}`],
    ["digits", `CSeq: ${"9".repeat(16_000)} INVITE`],
    ["colons", `From: <sip:[${":".repeat(16_000)}]>`],
    ["dots", `Via: SIP/2.0/UDP ${"a.".repeat(8_000)}`],
    ["escapes", `From: <sip:${"%41".repeat(1_300)}@b>`],
    ["ats", `From: <sip:${"@".repeat(4_000)}>`],
  ])("%s", (_name, line) => {
    const start = cpuMs();
    feed(octetsOf(`INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP a\r\n${`${line}\r\n`.repeat(3)}\r\n`));
    expect(cpuMs() - start).toBeLessThan(2000);
  });
});
