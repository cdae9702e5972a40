import { describe, expect, it } from "vitest";
import { stringOf } from "../../../sip/message/octets.ts";
import { buildResponse } from "../../../sip/message/build.ts";
import { caller, callerTcp, phone1, phone2, request, Rig, target } from "./rig.ts";

/** What a phone answers to a request that replica `a` forwarded. */
function answered(status: number, method = "INVITE", from = caller): { a: Rig; response: string } {
  const a = new Rig();
  a.targets = [target(phone1)];
  const via = from === callerTcp ? "SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bKt" : undefined;
  a.receive(request(method, via === undefined ? {} : { via }), from);
  return { a, response: stringOf(buildResponse(a.last(phone1, method).message, status, { toTag: "b" })) };
}

describe("[RFC3261 16.11] responses that another replica's transaction waits for", () => {
  it("go on by what our Via says, without our Via", () => {
    for (const from of [caller, callerTcp]) {
      const { response } = answered(200, "INVITE", from);
      const b = new Rig({ cell: "b" });
      b.receive(response, phone1);
      expect(b.sent.map((sent) => sent.flow)).toEqual([from]);
      expect(b.last(from).text).not.toContain("z9hG4bKtd");
      expect(b.isIdle).toBe(true);
    }
  });

  it("go on from the same cell after it was started again", () => {
    const { response } = answered(486, "BYE");
    const again = new Rig();
    again.receive(response, phone1);
    expect(again.take()).toEqual(["caller 486"]);
  });

  it("are dropped when the signature is not ours: no open relay for responses", () => {
    const { response } = answered(200);
    const b = new Rig({ cell: "b", secret: "another" });
    b.receive(response, phone1);
    const c = new Rig({ cell: "b" });
    for (const [from, to] of [
      ["*g1~u0..c0000201", "*g1~u0..cb007107"],
      ["td=a*", "td=b*"],
      ["z9hG4bKtd3.", "z9hG4bKtd4."],
    ] as const) {
      expect(response).toContain(from);
      c.receive(response.replace(from, to), phone1);
    }
    c.receive(response.replace(/z9hG4bKtd[^\r;]*/, "z9hG4bKother"), phone1);
    expect([...b.sent, ...c.sent]).toEqual([]);
  });

  it("are dropped when nothing is left of the Via stack, and 100 is", () => {
    const { response } = answered(200);
    const b = new Rig({ cell: "b" });
    const [statusLine = "", ownVia = "", , ...rest] = response.split("\r\n");
    b.receive([statusLine, ownVia, ...rest].join("\r\n"), phone1);
    b.receive(answered(100).response, phone1);
    expect(b.sent).toEqual([]);
  });

  it("[RFC6026 7.3, RFC4320 4.2] are dropped as late when this replica forwarded the request and has done with it", () => {
    const { a, response } = answered(200);
    a.receive(response, phone1);
    a.advance(64_000);
    expect(a.isIdle).toBe(true);
    a.take();
    a.receive(response, phone1);
    expect(a.take()).toEqual([]);
  });
});

describe("[RFC3261 16.11] ACKs that wait for an address", () => {
  it("are bounded, and forgotten when no answer comes", () => {
    const rig = new Rig();
    rig.targets = [target(phone1)];
    for (let number = 0; number < 5_000; number += 1) {
      rig.receive(request("ACK", { branch: `z9hG4bK${number}`, requestUri: "sip:bob@far.test", toTag: "b" }), caller);
    }
    expect(rig.proxy.size).toBe(1_000);
    rig.proxy.resolved(rig.resolves[0]?.reference ?? "", [phone2], rig.now);
    expect(rig.take()).toEqual([]);
    rig.advance(6_000);
    expect(rig.isIdle).toBe(true);
  });
});
