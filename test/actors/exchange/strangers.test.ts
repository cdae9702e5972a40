import { describe, expect, it } from "vitest";
import { copyDelayMs } from "../../../sip/limits.ts";
import { octetsOf, stringOf } from "../../../sip/message/octets.ts";
import { RecordKind } from "../../../cluster/backhaul/frame.ts";
import { DialogCall, told } from "./dialog-call.ts";
import { listeners, TestExchange, type Sent } from "./harness.ts";
import { proofOf, proved, rigOf, type Rig } from "./proof.ts";

const bobUri = "sip:bob@example.test";
const fromEve = "From: <sip:eve@elsewhere.test>;tag=e";

function toBob(sent: readonly Sent[], { bob }: Rig): Sent | undefined {
  return sent.find(({ key, message }) => key === bob.key && message.isRequest);
}

/** What a stranger says with a request that phones show as somebody, or act on. */
const lines = [
  "Diversion: <sip:carol@example.test>;reason=unconditional",
  "Diversion: <sip:x@elsewhere.test>, <sip:y@elsewhere.test>",
  "History-Info: <sip:carol@example.test>;index=1, <sip:bob@example.test>;index=1.1",
  "Referred-By: <sip:carol@example.test>",
  "b: <sip:carol@example.test>",
  "P-Called-Party-ID: <sip:carol@example.test>",
  "P-Served-User: <sip:carol@example.test>;sescase=orig",
  "P-Asserted-Identity: <sip:carol@example.test>",
  "p-asserted-identity: <tel:+15550000>",
  "Remote-Party-ID: Carol <sip:carol@example.test>;party=calling;screen=yes",
  "Privacy: none",
  "Reply-To: <sip:carol@example.test>",
  "Reply-To: Carol <sips:carol@192.0.2.1:9999>",
  'Reply-To: "carol@example.test" <sip:eve@elsewhere.test>',
  "Reply-To: <sip:carol%40example.test@elsewhere.test>",
  "Reply-To: <tel:carol>",
  "Reply-To: <tel:+15551234>",
  "Reply-To: what",
  "Alert-Info: <http://127.0.0.1/>;info=alert-autoanswer;delay=0",
  "alert-info: Ring Answer",
  "ALERT-INFO: Auto Answer",
  "Alert-Info: <http://elsewhere.test/loud.wav>",
  "Call-Info: <sip:elsewhere.test>;answer-after=0",
  "Call-Info: <http://elsewhere.test/card>;purpose=card,\r\n <sip:x>; answer-after=0",
  "Answer-Mode: Auto;require",
  "Priv-Answer-Mode: Auto",
  "P-Auto-Answer: normal",
  "P-Alerting-Mode: MAO",
  "X-AutoAnswer: TRUE",
  "Auto-Answer: yes",
  "X-Auto-Answer: yes",
  "P-Asserted-Service: urn:urn-7:3gpp-service.ims.icsi.mmtel",
  "Resource-Priority: dsn.flash-override",
];

/** What stays: it is said of nobody of ours. */
const kept = [
  "Reply-To: <sip:eve@elsewhere.test>",
  "Subject: hello",
  "Identity: abc;info=<https://elsewhere.test/c>",
  "User-to-User: 00",
  "X-Anything: y",
];

/** All lines but those that differ from one world to the other. */
function linesOf(sent: Sent | undefined): string[] {
  return (sent?.text ?? "").split("\r\n").filter((line) => !/^(?:Via|CSeq|Record-Route)/.test(line));
}

describe("what a stranger may not say is taken off his requests", () => {
  it.each(lines)("%s", (line) => {
    const rig = rigOf();
    for (const method of ["INVITE", "MESSAGE", "OPTIONS"]) {
      const plain = rig.eve.request(method, bobUri, [`${fromEve}${method}`, "Subject: x"]);
      const request = toBob(rig.world.receive(rig.eve.key, plain.replace("Subject: x", `${line}\r\nSubject: x`)), rig);
      expect(request?.message.method).toBe(method);
      expect(request?.text).toContain("Subject: x");
      for (const part of line.split("\r\n")) expect(request?.text).not.toContain(part);
      expect(request?.text).not.toMatch(/carol|answer|^(?:Diversion|Reply-To|Alert-Info):/im);
    }
  });

  it("all of it at once, and nothing else", () => {
    const rig = rigOf();
    const text = rig.eve.request("INVITE", bobUri, [fromEve, ...lines.filter((line) => !line.startsWith("Reply-To")), ...kept], "v=0\r\n");
    const bare = rig.eve.request("INVITE", bobUri, [fromEve, ...kept], "v=0\r\n");
    const other = rigOf();
    const branch = /branch=[^\r]*/;
    const [taken, untouched] = [toBob(rig.world.receive(rig.eve.key, text), rig), toBob(other.world.receive(other.eve.key, bare), other)];
    expect(linesOf(taken)).toEqual(linesOf(untouched));
    expect(taken?.text).toMatch(branch);
    for (const line of kept) expect(taken?.text).toContain(line);
  });

  it("stays off when the other replica takes the INVITE up, and in the same octets", () => {
    const rig = rigOf();
    const text = rig.eve.request("INVITE", bobUri, [fromEve, "Alert-Info: Auto Answer", "Diversion: <sip:carol@example.test>"]);
    const first = toBob(rig.world.receive(rig.eve.key, text), rig);
    const other = new TestExchange("digest", { cell: "b" });
    other.exchange.connectAccess("g1", listeners);
    for (const record of rig.world.exchange.store.changedSince(0, 1_000).records) other.exchange.applyFromPeer(record, other.now);
    other.record(RecordKind.takeover, "", "");
    const again = toBob(other.advance(copyDelayMs), rig);
    expect(again?.text).not.toMatch(/Alert-Info|Diversion/);
    expect(again?.text).toBe(first?.text);
  });

  it("a header cannot hide in a folded line or behind odd spaces", () => {
    const rig = rigOf();
    for (const line of ["Alert-Info \t: <http://x>\r\n ;info=alert-autoanswer", "Call-Info:\r\n\t<sip:x>;answer-after=0"]) {
      const text = rig.eve
        .request("MESSAGE", bobUri, [`${fromEve}${line.length}`, "Subject: x"])
        .replace("Subject: x", `${line}\r\nSubject: x`);
      expect(toBob(rig.world.receive(rig.eve.key, text), rig)?.text).not.toMatch(/alert-info|call-info|answer/i);
    }
  });

  it("many lines cost no more than their length", () => {
    const rig = rigOf();
    const many = Array.from({ length: 200 }, (_, i) =>
      i % 2 === 0 ? `Reply-To: "${"x".repeat(200)}@" <sip:eve@elsewhere.test>` : "Alert-Info: a",
    );
    const text = rig.eve.request("MESSAGE", bobUri, [fromEve, ...many]);
    const before = process.threadCpuUsage().user;
    rig.world.receive(rig.eve.key, text);
    expect((process.threadCpuUsage().user - before) / 1000).toBeLessThan(200);
  });
});

describe("users of ours go on saying it", () => {
  const theirs = lines.filter((line) => !/^(?:p-asserted|remote-party|privacy|b:|alert-info: R|ALERT-INFO|reply-to: what)/i.test(line));

  it.each(theirs)("%s", (line) => {
    const rig = rigOf();
    expect(toBob(proved(rig.world, rig.alice, "MESSAGE", bobUri, [line]), rig)?.text).toContain(line);
  });

  it("but in nobody else's name", () => {
    const rig = rigOf();
    const lies = [
      "P-Asserted-Identity: <sip:carol@example.test>",
      "P-Preferred-Identity: <sip:carol@example.test>",
      "Remote-Party-ID: <sip:carol@example.test>",
    ];
    const request = toBob(proved(rig.world, rig.alice, "INVITE", bobUri, lies), rig);
    expect(request?.text).not.toContain("carol");
    expect(request?.text).toContain("P-Asserted-Identity: <sip:alice@example.test>");
    const anonymous = ["From: <sip:anonymous@anonymous.invalid>;tag=a", "P-Preferred-Identity: <sip:carol@example.test>"];
    expect(told(proved(rig.world, rig.alice, "MESSAGE", bobUri, anonymous))).toEqual([`${rig.alice.key} 403`]);
    const shown = ['From: "carol\uff20example.test" <sip:alice@example.test>;tag=a'];
    expect(told(proved(rig.world, rig.alice, "MESSAGE", bobUri, shown))).toEqual([`${rig.alice.key} 403`]);
  });

  it("a password that is wrong makes nobody a user of ours", () => {
    const rig = rigOf();
    const [challenge] = rig.world.receive(rig.alice.key, rig.alice.request("MESSAGE", bobUri));
    const wrong = proofOf(challenge, "MESSAGE", bobUri, "alice", "guess");
    expect(
      toBob(rig.world.receive(rig.alice.key, rig.alice.request("MESSAGE", bobUri, [wrong, "Alert-Info: Auto Answer"])), rig),
    ).toBeUndefined();
    const asEve = toBob(
      rig.world.receive(rig.eve.key, rig.eve.request("MESSAGE", bobUri, [fromEve, wrong, "Alert-Info: Auto Answer"])),
      rig,
    );
    expect(asEve?.text).not.toContain("Alert-Info");
  });
});

describe("what a stranger may begin", () => {
  it.each([
    "<sip:bob@example.test;intercom=true>",
    "<sip:bob@example.test;%69ntercom=true>",
    "<sip:bob@example.test>;intercom",
    "sip:bob@example.test;Intercom=true",
  ])("no call to %s, which some phones answer at once; a user of ours may", (to) => {
    const rig = rigOf();
    expect(told(rig.world.receive(rig.eve.key, rig.eve.request("INVITE", bobUri, [fromEve, `To: ${to}`])))).toEqual([`${rig.eve.key} 403`]);
    expect(toBob(proved(rig.world, rig.alice, "INVITE", bobUri, [`To: ${to}`]), rig)?.text).toContain(`To: ${to}`);
  });

  it.each(["INVITE", "MESSAGE", "OPTIONS"])("%s", (method) => {
    const rig = rigOf();
    expect(toBob(rig.world.receive(rig.eve.key, rig.eve.request(method, bobUri, [fromEve])), rig)?.message.method).toBe(method);
  });

  it.each(["REFER", "SUBSCRIBE", "PUBLISH", "Refer", "BENOTIFY", "SERVICE", "FOO"])("not %s: 403, and no phone hears of it", (method) => {
    const rig = rigOf();
    const headers = [fromEve, "Refer-To: <sip:1900@carrier.test>", "Event: dialog"];
    expect(told(rig.world.receive(rig.eve.key, rig.eve.request(method, bobUri, headers)))).toEqual([`${rig.eve.key} 403`]);
    expect(told(rig.world.receive(rig.eve.key, rig.eve.request(method, "sip:nobody@example.test", headers)))).toEqual([
      `${rig.eve.key} 403`,
    ]);
  });

  it.each(["REFER", "SUBSCRIBE", "PUBLISH"])("%s of a user of ours goes on, with a password", (method) => {
    const rig = rigOf();
    expect(
      toBob(proved(rig.world, rig.alice, method, bobUri, ["Event: presence", "Refer-To: <sip:carol@example.test>"]), rig)?.message.method,
    ).toBe(method);
  });

  it("within a call of his he takes part in it", () => {
    const rig = rigOf();
    const call = new DialogCall(rig.world, rig.eve, rig.bob, { from: "From: <sip:eve@elsewhere.test>;tag=caller-tag" });
    call.answer(rig.world, 200);
    expect(told(call.send(rig.world, "ACK", "caller"))).toEqual([`${rig.bob.key} ACK`]);
    for (const method of ["REFER", "SUBSCRIBE", "INFO"]) {
      const headers = ["Refer-To: <sip:carol@example.test>", "Event: refer"];
      expect(told(call.send(rig.world, method, "caller", { headers }))).toEqual([`${rig.bob.key} ${method}`]);
    }
  });
});

const masks: readonly (readonly [string, number])[] = [
  ['"bob%40example.test" <sip:eve@elsewhere.test>', 403],
  ["bob%40example.test <sip:eve@elsewhere.test>", 403],
  ['"bob\uff20example.test" <sip:eve@elsewhere.test>', 403],
  ["bob\uff20example.test <sip:eve@elsewhere.test>", 403],
  ['"b\u200bob@exam\u00adple.test" <sip:eve@elsewhere.test>', 403],
  ['"\u202etset.elpmaxe@bob" <sip:eve@elsewhere.test>', 403],
  ['"bob\\@example\\.test" <sip:eve@elsewhere.test>', 403],
  ['"\\"bob\\"@example.test" <sip:eve@elsewhere.test>', 403],
  ['"bob@localhost" <sip:eve@elsewhere.test>', 403],
  ["<sip:bob%40example.test@elsewhere.test>", 403],
  ["sip:bob%40example.test@elsewhere.test", 403],
  ["<sip:bob\uff20example.test@elsewhere.test>", 403],
  ["<sip:bob@localhost>", 407],
  ["<sip:bob@127.0.0.1:9999>", 407],
  ["<sip:bob@127.1>", 400],
  ["<sip:bob@[::1]>", 407],
  ["<sip:bob@3221225985>", 400],
  ["<sip:bob@0xc0000201>", 407],
];

describe("a stranger who looks like one of ours", () => {
  it.each(masks)("From: %s: %s", (from, status) => {
    const rig = rigOf();
    for (const method of ["INVITE", "MESSAGE", "OPTIONS"]) {
      const text = octetsOf(Buffer.from(rig.eve.request(method, bobUri, [`From: ${from};tag=e`]), "utf8").toString("latin1"));
      expect(told(rig.world.receive(rig.eve.key, stringOf(text)))).toEqual([`${rig.eve.key} ${status}`]);
    }
  });

  it.each(masks.filter(([, status]) => status === 403))("within a call of his neither: %s", (from) => {
    const rig = rigOf();
    const call = new DialogCall(rig.world, rig.eve, rig.bob, { from: "From: <sip:eve@elsewhere.test>;tag=caller-tag" });
    call.answer(rig.world, 200);
    const text = call.request("INFO", "caller").replace(/^From: [^;]*/m, `From: ${from}`);
    expect(told(rig.world.receive(rig.eve.key, Buffer.from(text, "utf8").toString("latin1")))).toEqual([`${rig.eve.key} 403`]);
  });

  it("in his Contact neither", () => {
    const rig = rigOf();
    const headers = [fromEve, 'Contact: "bob%40example.test" <sip:eve@198.51.100.66:5066>'];
    expect(told(rig.world.receive(rig.eve.key, rig.eve.request("INVITE", bobUri, headers)))).toEqual([`${rig.eve.key} 403`]);
  });
});
