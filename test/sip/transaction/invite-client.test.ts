import { describe, expect, it } from "vitest";
import { octetsOf } from "../../../sip/message/octets.ts";
import type { ClientTransaction } from "../../../sip/transaction/transaction.ts";
import { parsed, Recorder, requestText, responseText, tcp, udp } from "./recorder.ts";

const branch = "z9hG4bKx";
const invite = requestText("INVITE", branch);

function called(flow: string): { recorder: Recorder; tx: ClientTransaction; answer: (status: number, toTag?: string) => void } {
  const recorder = new Recorder();
  const tx = recorder.layer.request(octetsOf(invite), "INVITE", branch, flow, recorder.now, "owner");
  const answer = (status: number, toTag?: string): void => recorder.receive(responseText(parsed(octetsOf(invite)), status, toTag), flow);
  return { recorder, tx, answer };
}

describe("INVITE client transaction", () => {
  it("[RFC3261 17.1.1.2] Timer A: retransmits at T1, doubling; Timer B gives up after 64*T1, over UDP", () => {
    const { recorder, tx } = called(udp);
    expect(recorder.take()).toEqual(["INVITE"]);
    expect(recorder.sendTimes(40_000)).toEqual([500, 1500, 3500, 7500, 15_500, 31_500]);
    expect(recorder.events).toEqual(["terminated inviteClient", "timeout"]);
    expect(tx.state).toBe("Terminated");
    expect(recorder.timers.size).toBe(0);
  });

  it("[RFC3261 17.1.1.2] no Timer A over TCP, Timer B all the same", () => {
    const { recorder } = called(tcp);
    recorder.take();
    expect(recorder.sendTimes(32_000)).toEqual([]);
    expect(recorder.events).toContain("timeout");
  });

  it("[RFC3261 17.1.1.2] a provisional response stops retransmission and Timer B; all of them go to the TU", () => {
    const { recorder, tx, answer } = called(udp);
    answer(100);
    answer(180);
    recorder.take();
    expect(recorder.sendTimes(100_000)).toEqual([]);
    expect(tx.state).toBe("Proceeding");
    expect(recorder.events).toEqual(["response 100", "response 180"]);
  });

  it("[RFC3261 17.1.1.3] ACK for a non-2xx: Request-URI, Call-ID, From, top Via of the request, To of the response", () => {
    const { recorder, answer } = called(udp);
    recorder.take();
    answer(486, "busy");
    const ack = recorder.sent[0];
    expect(ack?.flow).toBe(udp);
    expect(ack?.text.split("\r\n").toSorted()).toEqual(
      [
        "",
        "",
        "ACK sip:bob@example.test SIP/2.0",
        "CSeq: 1 ACK",
        "Call-ID: call-1",
        "Content-Length: 0",
        "From: <sip:alice@example.test>;tag=a",
        "Max-Forwards: 70",
        "To: <sip:bob@example.test>;tag=busy",
        `Via: SIP/2.0/UDP 192.0.2.2:5060;rport;branch=${branch}`,
      ].toSorted(),
    );
  });

  it("[RFC3261 17.1.1.3] Route of the request is in the ACK", () => {
    const recorder = new Recorder();
    const routed = invite.replace("Max-Forwards", "Route: <sip:one@r.test;lr>, <sip:two@r.test;lr>\r\nMax-Forwards");
    recorder.layer.request(octetsOf(routed), "INVITE", branch, udp, recorder.now, "owner");
    recorder.receive(responseText(parsed(octetsOf(routed)), 404), udp);
    expect(recorder.sent[1]?.message.method).toBe("ACK");
    expect(recorder.sent[1]?.text).toContain("Route: <sip:one@r.test;lr>\r\nRoute: <sip:two@r.test;lr>\r\n");
  });

  it("[RFC3261 17.1.1.2] Completed: the ACK again for each retransmission, nothing to the TU, until Timer D (32 s)", () => {
    const { recorder, tx, answer } = called(udp);
    answer(486);
    answer(486);
    answer(180);
    expect(recorder.take()).toEqual(["INVITE", "ACK", "ACK"]);
    expect(recorder.events).toEqual(["response 486"]);
    recorder.advance(31_999);
    expect(tx.state).toBe("Completed");
    recorder.advance(1);
    expect(tx.state).toBe("Terminated");
    expect(recorder.timers.size).toBe(0);
  });

  it("[RFC3261 17.1.1.2] Timer D is zero over TCP", () => {
    const { recorder, tx, answer } = called(tcp);
    answer(486);
    expect(tx.state).toBe("Terminated");
    expect(recorder.events).toEqual(["response 486", "terminated inviteClient"]);
  });

  it("[RFC6026 7.2] Accepted: every 2xx goes to the TU, no ACK is made, Timer M ends it after 64*T1", () => {
    const { recorder, tx, answer } = called(udp);
    answer(200, "one");
    answer(200, "one");
    answer(200, "two");
    answer(486, "three");
    expect(recorder.take()).toEqual(["INVITE"]);
    expect(recorder.events).toEqual(["response 200", "response 200", "response 200"]);
    recorder.advance(31_999);
    expect(tx.state).toBe("Accepted");
    recorder.advance(1);
    expect(tx.state).toBe("Terminated");
    answer(200);
    expect(recorder.events.at(-1)).toBe("stray 200");
  });

  it("[RFC3261 17.1.4] a transport error is told to the TU and ends the transaction", () => {
    const { recorder, tx } = called(tcp);
    recorder.layer.undeliverable(parsed(octetsOf(invite)), tcp, recorder.now);
    recorder.layer.undeliverable(parsed(octetsOf(invite)), tcp, recorder.now);
    expect(recorder.events).toEqual(["terminated inviteClient", "transportError"]);
    expect(tx.state).toBe("Terminated");
    expect(recorder.timers.size).toBe(0);
  });

  it("[RFC3261 9.1] CANCEL: same branch, Route, To and CSeq number; only after a provisional response; only once", () => {
    const { recorder, tx, answer } = called(udp);
    expect(recorder.layer.cancel(tx, recorder.now)).toBe(false);
    answer(180);
    recorder.take();
    expect(recorder.layer.cancel(tx, recorder.now, ["SIP;cause=200"])).toBe(true);
    expect(recorder.layer.cancel(tx, recorder.now)).toBe(false);
    const cancel = recorder.sent[0];
    expect(cancel?.message.topVia).toMatchObject({ branch });
    expect(cancel?.message.cSeq).toEqual({ number: 1, method: "CANCEL" });
    expect(cancel?.text).toContain("Reason: SIP;cause=200\r\n");
    expect(cancel?.text).toContain("To: <sip:bob@example.test>\r\n");
  });

  it("[RFC3261 17.1.3] the answer to a CANCEL does not match the INVITE with the same branch", () => {
    const { recorder, tx, answer } = called(udp);
    answer(180);
    recorder.layer.cancel(tx, recorder.now);
    const cancel = recorder.sent.at(-1)?.message;
    if (cancel === undefined) throw new Error("no CANCEL");
    recorder.receive(responseText(cancel, 200), udp);
    expect(tx.state).toBe("Proceeding");
  });
});
