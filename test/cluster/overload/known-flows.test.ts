import { expect, it } from "vitest";
import { knownFlowsMs } from "../../../cluster/limits.ts";
import { KnownFlows, sourceOfPayer } from "../../../cluster/overload/known-flows.ts";
import { isGrant, isRegistered } from "../../../sip/flow/grant.ts";
import { octetsOf } from "../../../sip/message/octets.ts";

const answer = (status: string, cSeq: string): Uint8Array =>
  octetsOf(`SIP/2.0 ${status}\r\nVia: SIP/2.0/UDP h\r\nTo: a\r\nCSeq: ${cSeq}\r\nCall-ID: CSeq\r\n\r\nCSeq: 1 REGISTER\r\n`);

it("a flow is known by the 2xx to a REGISTER, by no other message, and for as long as a registration lives", () => {
  const flows = new KnownFlows();
  const asks = (flow: string): void => flows.came(flow, octetsOf("REGISTER sip:example.test SIP/2.0\r\n\r\n"));
  asks("u0..1");
  for (const [status, cSeq] of [
    ["401 Unauthorized", "1 REGISTER"],
    ["200 OK", "1 INVITE"],
    ["100 Trying", "1 REGISTER"],
  ] as const) {
    flows.sent("u0..1", answer(status, cSeq), 0);
    expect([status, flows.has("u0..1")]).toEqual([status, false]);
  }
  flows.sent("u0..1", answer("200 OK", "7 REGISTER"), 10 * knownFlowsMs);
  asks("u0..2");
  flows.sent("u0..2", answer("202 Accepted", "7 REGISTER"), 11 * knownFlowsMs);
  expect([flows.has("u0..1"), flows.has("u0..2"), flows.has("u0..3")]).toEqual([true, true, false]);
  // Who has asked for nothing is answered nothing.
  flows.sent("u0..3", answer("200 OK", "7 REGISTER"), 11 * knownFlowsMs);
  expect(flows.has("u0..3")).toBe(false);
  asks("u0..3");
  flows.sent("u0..3", answer("200 OK", "7 REGISTER"), 12 * knownFlowsMs);
  expect(flows.has("u0..1")).toBe(false);
});

it("reads our own answers as the slower look does", () => {
  for (const [status, cSeq] of [
    ["200 OK", "1 REGISTER"],
    ["200 OK", "1 INVITE"],
    ["200 OK", "1 XREGISTER"],
    ["299 Fine", "99 REGISTER"],
    ["300 No", "1 REGISTER"],
  ] as const) {
    const octets = answer(status, cSeq);
    expect([status, cSeq, isGrant(octets)]).toEqual([status, cSeq, isRegistered(octets)]);
  }
  expect([isGrant(octetsOf("SIP/2.0 200 OK\r\n\r\n")), isGrant(octetsOf("SIP/2.0 200 OK"))]).toEqual([false, false]);
});

it("a source is proved by an INVITE that went to it, or the 2xx to one of its, and by no other message", () => {
  const flows = new KnownFlows();
  const [caller, callee] = ["u0..c6336407138e", "t0.7.c633640813c4"];
  flows.sent(caller, answer("200 OK", "1 CANCEL"), 0);
  flows.sent(caller, answer("180 Ringing", "1 INVITE"), 0);
  flows.sent(caller, octetsOf("BYE sip:a@h SIP/2.0\r\n\r\n"), 0);
  expect(flows.isProved(caller)).toBe(false);
  flows.sent(caller, answer("200 OK", "1 INVITE"), 0);
  flows.sent(callee, octetsOf("INVITE sip:a@h SIP/2.0\r\n\r\n"), 0);
  expect([caller, callee, "t0.8.c633640813c5", "u0..c6336409138e"].map((flow) => flows.isProved(flow))).toEqual([true, true, true, false]);
  expect([flows.has(caller), flows.has(callee)]).toEqual([false, false]);
  // Another flow of the same address has the proof of its source, and not the account of that flow.
  const other = "u0..c6336407138f";
  expect([flows.isProved(other), sourceOfPayer(flows.payerOf(caller)), flows.payerOf(other)]).toEqual([true, "c6336407", "c6336407"]);
  expect(flows.payerOf(caller)).not.toBe(flows.payerOf(other));
  flows.came("u0..1", octetsOf("REGISTER sip:example.test SIP/2.0\r\n\r\n"));
  flows.sent("u0..1", answer("200 OK", "7 REGISTER"), 0);
  expect(flows.isProved("u0..1")).toBe(true);
});
