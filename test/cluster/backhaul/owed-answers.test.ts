import { describe, expect, it } from "vitest";
import { RecordKind, type FrameRecord } from "../../../cluster/backhaul/frame.ts";
import { OwedAnswers } from "../../../cluster/backhaul/owed-answers.ts";
import { owedRequestsMax, owedRequestsMs, owedSweepMs } from "../../../cluster/limits.ts";

const tls = "t0..c6336407138e";
const udp = "u0..c6336407138e";

function request(method: string, callId = "1", key = tls): FrameRecord {
  const text = `${method} sip:bob@example.test SIP/2.0\r\nVia: SIP/2.0/TLS h;branch=z9hG4bK${callId}\r\nCSeq: 7 ${method}\r\nCall-ID: ${callId}\r\n\r\n`;
  return { kind: RecordKind.message, key, octets: Buffer.from(text) };
}

function answer(status: number, method: string, callId = "1"): Uint8Array {
  return Buffer.from(`SIP/2.0 ${status} X\r\ni : ${callId}\r\nVia: SIP/2.0/TLS h;branch=z9hG4bK1\r\ncseq:7  ${method}\r\n\r\n`);
}

function taken(owed: OwedAnswers, now: number, to?: string): FrameRecord[] {
  return owed.take(now, to).map(({ record }) => record);
}

describe("requests that a replica has in hand", () => {
  it("are those within dialogs that come over connections, without a final answer", () => {
    const owed = new OwedAnswers();
    const [bye, refer] = [request("BYE"), request("REFER", "2")];
    for (const record of [bye, refer, request("BYE", "3", udp)]) owed.given(record, 0);
    for (const method of ["INVITE", "ACK", "CANCEL", "REGISTER"]) owed.given(request(method, "4"), 0);
    owed.answered(tls, answer(100, "BYE"));
    owed.answered(udp, answer(200, "BYE"));
    owed.answered(tls, answer(200, "INVITE"));
    owed.answered(tls, answer(202, "REFER", "2"));
    owed.given({ kind: RecordKind.message, key: tls, octets: answer(200, "BYE") }, 0);
    expect(taken(owed, 0)).toEqual([bye]);
    expect(taken(owed, 0)).toEqual([]);
  });

  it.each([200, 481, 503, 603])("are not when they were answered with %i", (status) => {
    const owed = new OwedAnswers();
    owed.given(request("BYE"), 0);
    owed.answered(tls, answer(status, "BYE"));
    expect(taken(owed, 0)).toEqual([]);
  });

  it("are each replica's own", () => {
    const owed = new OwedAnswers();
    const [one, other] = [request("BYE", "1"), request("BYE", "2")];
    owed.given(one, 0, "0.a");
    owed.given(other, 0, "0.b");
    expect([taken(owed, 0, "0.a"), taken(owed, 0, "0.a"), taken(owed, 0, "0.b")]).toEqual([[one], [], [other]]);
  });

  it("are not those of a phone that has gone, nor what nobody waits for any more", () => {
    const owed = new OwedAnswers();
    owed.given(request("BYE"), 0);
    owed.given({ kind: RecordKind.closed, key: tls, octets: new Uint8Array(0) }, 1);
    owed.given(request("BYE", "2"), 2);
    expect(taken(owed, 2 + owedRequestsMs)).toEqual([]);
  });

  it("are bounded, and there is room again when what is old has been forgotten", () => {
    const owed = new OwedAnswers();
    for (let call = 0; call < owedRequestsMax + 10; call += 1) owed.given(request("BYE", `${call}`), 0);
    const late = owedRequestsMs + owedSweepMs;
    const fresh = request("BYE", "fresh");
    owed.given(fresh, late);
    expect(taken(owed, late)).toEqual([fresh]);
    for (let call = 0; call < owedRequestsMax + 10; call += 1) owed.given(request("BYE", `${call}`), late);
    expect(taken(owed, late)).toHaveLength(owedRequestsMax);
  });

  it.each(["BYE x", "BYE sip:a SIP/2.0\r\nCSeq: 1 BYE\r\n\r\nCall-ID: 1\r\n", "\r\n\r\n"])(
    "are not what has no Call-ID or CSeq: %j",
    (text) => {
      const owed = new OwedAnswers();
      owed.given({ kind: RecordKind.message, key: tls, octets: Buffer.from(text) }, 0);
      expect(taken(owed, 0)).toEqual([]);
    },
  );
});
