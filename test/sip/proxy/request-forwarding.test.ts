import { describe, expect, it } from "vitest";
import { parseBranch, verifyViaMark } from "../../../sip/flow/token.ts";
import { Header } from "../../../sip/message/header-names.ts";
import { caller, callerTcp, phone1, phone2, phoneTcp, request, Rig, target, valuesOf } from "./rig.ts";
import type { RequestOptions } from "./rig.ts";

/** A rig that has forwarded one request to these targets. */
function forwarded(method: string, targets: Rig["targets"], options: RequestOptions & { recordRoute?: boolean } = {}, flow = caller): Rig {
  const rig = new Rig();
  rig.targets = targets;
  rig.recordRoute = options.recordRoute ?? false;
  rig.receive(request(method, options), flow);
  return rig;
}

function digest(realm: string): string {
  return `Digest username="a", realm="${realm}", nonce="n,realm", uri="sip:b", response="0"`;
}

describe("[RFC3261 16.6] request forwarding", () => {
  it("[RFC3261 17.2.1] answers INVITE with 100 at once, and nothing else", () => {
    expect(forwarded("INVITE", [target(phone1)]).take()).toEqual(["caller 100", "phone1 INVITE"]);
    expect(forwarded("MESSAGE", [target(phone1)]).take()).toEqual(["phone1 MESSAGE"]);
  });

  it("[RFC3261 16.6 1] leaves every other octet as it came", () => {
    const text = request("INVITE", { headers: ["x-ODD :  a ,b", "Subject: caf\u00c3\u00a9"], body: "v=0\r\n\u00ff" });
    const rig = new Rig();
    rig.targets = [target(phone1)];
    rig.receive(text, caller);
    const out = rig.last(phone1).text.split("\r\n");
    expect(out[1]).toMatch(/^Via: SIP\/2.0\/UDP 198.51.100.1:5060;branch=z9hG4bKtd3\.[-\w.]+;td=a\*g1~[^;]+$/);
    const expected = text
      .replace("sip:bob@example.test", target(phone1).requestUri)
      .replace("Max-Forwards: 70", "Max-Forwards: 69")
      .replace("\r\n\r\n", "\r\nMax-Breadth: 60\r\n\r\n")
      .replace(";rport;branch=z9hG4bKcaller", ";branch=z9hG4bKcaller;received=192.0.2.1;rport=5060");
    expect([out[0], ...out.slice(2)].join("\r\n")).toBe(expected);
  });

  it("writes a name in two pairs of quotes, as some phones do, with one: strict phones would drop the request", () => {
    const text = request("INVITE")
      .replace(/^From: .*$/m, 'From: ""name"" <sip:alice@example.test>;tag=a')
      .replace(/^To: .*$/m, 'To: ""Bob B."" <sip:bob@example.test>')
      .replace(/^Contact: .*\r\n/m, "")
      .replace("CSeq", 'Contact: ""name"" <sip:alice@192.0.2.1>;x=y\r\nCSeq');
    const rig = new Rig();
    rig.targets = [target(phone1)];
    rig.receive(text, caller);
    const { message } = rig.last(phone1);
    expect(message.text(Header.From)).toBe('"name" <sip:alice@example.test>;tag=a');
    expect(message.text(Header.To)).toBe('"Bob B." <sip:bob@example.test>');
    expect(message.text(Header.Contact)).toBe('"name" <sip:alice@192.0.2.1>;x=y');
  });

  it("[RFC3261 16.6 2] removes from the Request-URI what it may not hold", () => {
    const rig = forwarded("INVITE", [target(phone1, { requestUri: "sip:bob@h.invalid;transport=tcp;method=INVITE?Subject=x" })]);
    expect(rig.last(phone1).message.requestUri).toBe("sip:bob@h.invalid;transport=tcp");
  });

  it("[RFC3261 16.6 3] counts Max-Forwards down, adds 70 where there is none", () => {
    expect(forwarded("INVITE", [target(phone1)], { maxForwards: 1 }).last(phone1).message.maxForwards).toBe(0);
    expect(forwarded("INVITE", [target(phone1)], { maxForwards: "none" }).last(phone1).message.maxForwards).toBe(70);
  });

  it("[RFC3261 22.3] keeps credentials for our realms to itself, and passes on those for others", () => {
    const line = (realm: string): string => `Proxy-Authorization: ${digest(realm)}`;
    const left = (...realms: string[]): string[] =>
      valuesOf(forwarded("INVITE", [target(phone1)], { headers: realms.map(line) }).last(phone1), "ProxyAuthorization");
    expect(left("example.test")).toEqual([]);
    expect(left("elsewhere.test")).toEqual([digest("elsewhere.test")]);
    expect(left("one.test", "example.test", "two.test")).toEqual([digest("one.test"), digest("two.test")]);
  });

  it("[RFC3261 16.6 8] each branch has its own signed branch parameter", () => {
    const rig = forwarded("INVITE", [target(phone1), target(phone2)]);
    const vias = [phone1, phone2].map((flow) => rig.last(flow).message.topVia);
    const marks = vias.map((via) => ("branch" in via ? { branch: via.branch ?? "", mark: via.params.get("td") ?? "" } : undefined));
    expect(new Set(marks.map((each) => each?.branch)).size).toBe(2);
    for (const { branch, mark } of marks.filter((each) => each !== undefined)) {
      expect(parseBranch(branch)).toMatchObject({ exchange: 3 });
      expect(verifyViaMark(branch, mark, rig.sign)).toEqual({ cell: "a", upstream: caller });
      expect(verifyViaMark(branch, mark, (text) => `${text.length}`)).toBeUndefined();
    }
  });

  it("[RFC3261 16.6 9] adds Content-Length on a stream where there is none", () => {
    const rig = new Rig();
    rig.targets = [target(phoneTcp)];
    rig.receive(request("INVITE", { body: "v=0" }).replace("Content-Length: 3\r\n", ""), caller);
    expect(valuesOf(rig.last(phoneTcp), "ContentLength")).toEqual(["3"]);
    const overUdp = new Rig();
    overUdp.targets = [target(phone1)];
    overUdp.receive(request("INVITE", { body: "v=0" }).replace("Content-Length: 3\r\n", ""), caller);
    expect(valuesOf(overUdp.last(phone1), "ContentLength")).toEqual([]);
  });

  it("[RFC3261 16.6 10] retransmits on the branch's own transaction with the same octets", () => {
    const rig = forwarded("INVITE", [target(phone1)]);
    const first = rig.last(phone1).text;
    rig.take();
    rig.advance(500);
    expect(rig.take()).toEqual(["phone1 INVITE"]);
    rig.advance(1000);
    expect(rig.last(phone1).text).toBe(first);
  });

  it("[RFC3261 16.5] a target stands in the set once", () => {
    expect(forwarded("INVITE", [target(phone1), target(phone1)]).take()).toEqual(["caller 100", "phone1 INVITE"]);
  });

  it("[RFC3261 16.6] targets of equal q in parallel, lower ones when those have failed", () => {
    const rig = forwarded("INVITE", [target(phone2, { q: 0.5 }), target(phone1)]);
    expect(rig.log()).toEqual(["caller 100", "phone1 INVITE"]);
    rig.answer(phone1, 486);
    expect(rig.take().slice(2)).toEqual(["phone1 ACK", "phone2 INVITE"]);
  });
});

describe("[RFC3261 16.6 7] next hop", () => {
  it("is the flow of the target, whatever the URI says", () => {
    expect(forwarded("INVITE", [target(phone1, { requestUri: "sip:bob@203.0.113.7" })]).take()).toEqual(["caller 100", "phone1 INVITE"]);
  });

  it("is the Request-URI where there is no flow and no Route", () => {
    const rig = forwarded("INVITE", [{ requestUri: "sip:bob@192.0.2.11", routes: [] }]);
    expect(rig.take()).toEqual(["caller 100", "phone1 INVITE"]);
  });

  it("is the first Route value, the target's own before the request's", () => {
    const headers = ["Route: <sip:192.0.2.12;lr>"];
    const byRequest = forwarded("INVITE", [{ requestUri: "sip:bob@203.0.113.7", routes: [] }], { headers });
    expect(byRequest.take()).toEqual(["caller 100", "phone2 INVITE"]);
    const byTarget = forwarded("INVITE", [{ requestUri: "sip:bob@203.0.113.7", routes: ["<sip:192.0.2.11;lr>", "<sip:x.test;lr>"] }], {
      headers,
    });
    expect(valuesOf(byTarget.last(phone1), "Route")).toEqual(["<sip:192.0.2.11;lr>", "<sip:x.test;lr>", "<sip:192.0.2.12;lr>"]);
  });

  it("[RFC3261 16.6 6] a strict router gets its URI in the Request-URI and the real one as last Route", () => {
    const headers = ["Route: <sip:192.0.2.11>, <sip:x.test;lr>"];
    const rig = forwarded("INVITE", [{ requestUri: "sip:bob@203.0.113.7", routes: [] }], { headers });
    const sent = rig.last(phone1);
    expect(sent.message.requestUri).toBe("sip:192.0.2.11");
    expect(valuesOf(sent, "Route")).toEqual(["<sip:x.test;lr>", "<sip:bob@203.0.113.7>"]);
  });

  it("[RFC3263] is resolved when it is a name; a SIPS Request-URI makes it SIPS (16.6 7)", () => {
    const rig = forwarded("INVITE", [{ requestUri: "sips:bob@far.test", routes: ["<sip:edge.test;lr>"] }]);
    expect(rig.resolves).toEqual([{ uri: "sips:edge.test;lr", reference: expect.any(String) as string }]);
    expect(rig.take()).toEqual(["caller 100"]);
    rig.proxy.resolved(rig.resolves[0]?.reference ?? "", [phone1], rig.now);
    expect(rig.take()).toEqual(["phone1 INVITE"]);
  });

  it("[RFC3263 4.3] goes on to the next address after a transport error or timeout, with a new branch", () => {
    const rig = forwarded("INVITE", [{ requestUri: "sip:bob@far.test", routes: [] }]);
    rig.proxy.resolved(rig.resolves[0]?.reference ?? "", [phoneTcp, phone1, phone2], rig.now);
    const first = rig.last(phoneTcp).message.text(Header.Via);
    rig.undeliverable(phoneTcp);
    expect(rig.last(phone1).message.text(Header.Via)).not.toBe(first);
    rig.advance(32_000);
    expect(rig.log()).toContain("phone2 INVITE");
    rig.answer(phone2, 200);
    expect(rig.log().at(-1)).toBe("caller 200");
  });

  it("[RFC3261 16.6 7] a name without addresses fails that target", () => {
    const rig = forwarded("INVITE", [{ requestUri: "sip:bob@far.test", routes: [] }]);
    rig.proxy.resolved(rig.resolves[0]?.reference ?? "", [], rig.now);
    expect(rig.take()).toEqual(["caller 100", "caller 480"]);
    rig.proxy.resolved(rig.resolves[0]?.reference ?? "", [phone1], rig.now);
    expect(rig.take()).toEqual([]);
  });

  it("an answer that never comes fails it too", () => {
    const rig = forwarded("INVITE", [{ requestUri: "sip:bob@far.test", routes: [] }]);
    rig.advance(6_000);
    expect(rig.take().slice(0, 2)).toEqual(["caller 100", "caller 480"]);
  });

  it("[RFC3261 16.3 2] a URI that is not SIP leads nowhere", () => {
    const rig = forwarded("INVITE", [{ requestUri: "tel:+1555", routes: [] }]);
    expect(rig.take()).toEqual(["caller 100", "caller 416"]);
  });
});

describe("[RFC3261 16.6 4] Record-Route", () => {
  const tokenPattern = String.raw`td2\*3\*a\*[0-9a-z]+\*`;

  it("is one value with the dialog token where both sides meet the same listener", () => {
    const rig = forwarded("INVITE", [target(phone1)], { recordRoute: true });
    const values = valuesOf(rig.last(phone1), "RecordRoute");
    expect(values).toHaveLength(1);
    // The flows of both, over UDP without a NAT too: where no record knows a Contact they are all there is.
    expect(values[0]).toMatch(
      new RegExp(`^<sip:${tokenPattern}g1~u0\\.\\.c000020113c4\\*g1~u0\\.\\.c000020b13c4\\*[0-9a-z]+@198\\.51\\.100\\.1:5060;lr>$`),
    );
  });

  it("[RFC5658] is two values where they differ: the callee's side on top", () => {
    const rig = forwarded("INVITE", [target(phone1)], { recordRoute: true, via: "SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bKt" }, callerTcp);
    const values = valuesOf(rig.last(phone1), "RecordRoute");
    expect(values).toHaveLength(2);
    expect(values[0]).toMatch(/@198\.51\.100\.1:5060;lr>$/);
    expect(values[1]).toMatch(/@198\.51\.100\.1:5060;transport=tcp;lr>$/);
    expect(values[0]).toContain(`*${callerTcp}*${phone1}*`);
  });

  it("[RFC5626 5.3] records the caller's flow behind a NAT", () => {
    const rig = forwarded("INVITE", [target(phone1)], { recordRoute: true, via: "SIP/2.0/UDP 10.0.0.5:5060;rport;branch=z9hG4bKn" });
    expect(valuesOf(rig.last(phone1), "RecordRoute")[0]).toContain(`*${caller}*${phone1}*`);
  });

  it("[RFC3261 16.6 4] is SIPS where the Request-URI is", () => {
    const rig = forwarded("INVITE", [target(phoneTcp, { requestUri: "sips:bob@h.invalid" })], { recordRoute: true });
    for (const value of valuesOf(rig.last(phoneTcp), "RecordRoute")) expect(value).toMatch(/^<sips:/);
  });

  it("stands before what is there already", () => {
    const rig = forwarded("INVITE", [target(phone1)], { recordRoute: true, headers: ["Record-Route: <sip:other.test;lr>"] });
    expect(valuesOf(rig.last(phone1), "RecordRoute")[1]).toBe("<sip:other.test;lr>");
  });
});
