import { describe, expect, it } from "vitest";
import { octetsOf } from "../../../sip/message/octets.ts";
import type { ClientTransaction } from "../../../sip/transaction/transaction.ts";
import { parsed, Recorder, requestText, responseText, tcp, udp } from "./recorder.ts";

const branch = "z9hG4bKx";
const bye = requestText("BYE", branch);

function asked(flow: string): { recorder: Recorder; tx: ClientTransaction; answer: (status: number) => void } {
  const recorder = new Recorder();
  const tx = recorder.layer.request(octetsOf(bye), "BYE", branch, flow, recorder.now, "owner");
  const answer = (status: number): void => recorder.receive(responseText(parsed(octetsOf(bye)), status), flow);
  return { recorder, tx, answer };
}

describe("non-INVITE client transaction", () => {
  it("[RFC3261 17.1.2.2] Timer E: T1 doubling to T2; Timer F gives up after 64*T1, over UDP", () => {
    const { recorder } = asked(udp);
    recorder.take();
    expect(recorder.sendTimes(40_000)).toEqual([500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
    expect(recorder.events).toEqual(["terminated nonInviteClient", "timeout"]);
    expect(recorder.timers.size).toBe(0);
  });

  it("[RFC3261 17.1.2.2] no Timer E over TCP, Timer F all the same", () => {
    const { recorder } = asked(tcp);
    recorder.take();
    expect(recorder.sendTimes(32_000)).toEqual([]);
    expect(recorder.events).toContain("timeout");
  });

  it("[RFC3261 17.1.2.2] Proceeding: Timer E goes on at T2, Timer F still ends it", () => {
    const { recorder, answer } = asked(udp);
    answer(100);
    recorder.take();
    expect(recorder.sendTimes(40_000)).toEqual([500, 4500, 8500, 12_500, 16_500, 20_500, 24_500, 28_500]);
    expect(recorder.events).toEqual(["response 100", "terminated nonInviteClient", "timeout"]);
  });

  it("[RFC3261 17.1.2.2] Completed buffers retransmissions of the response until Timer K (T4)", () => {
    const { recorder, tx, answer } = asked(udp);
    answer(200);
    answer(200);
    expect(recorder.events).toEqual(["response 200"]);
    recorder.advance(4_999);
    expect(tx.state).toBe("Completed");
    recorder.advance(1);
    expect(tx.state).toBe("Terminated");
  });

  it("[RFC3261 17.1.2.2] Timer K is zero over TCP", () => {
    const { recorder, tx, answer } = asked(tcp);
    answer(200);
    expect(tx.state).toBe("Terminated");
    expect(recorder.layer.size).toBe(0);
  });

  it("[RFC3261 17.1.4] a transport error is told to the TU", () => {
    const { recorder } = asked(tcp);
    recorder.layer.undeliverable(parsed(octetsOf(bye)), tcp, recorder.now);
    expect(recorder.events).toEqual(["terminated nonInviteClient", "transportError"]);
  });
});
