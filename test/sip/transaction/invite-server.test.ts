import { describe, expect, it } from "vitest";
import { Recorder, requestText, tcp, udp } from "./recorder.ts";

function arrived(flow: string): Recorder {
  const recorder = new Recorder();
  recorder.receive(requestText("INVITE"), flow);
  return recorder;
}

describe("INVITE server transaction", () => {
  it("[RFC3261 17.2.1] passes the INVITE to the TU once and repeats the last provisional response for retransmissions", () => {
    const recorder = arrived(udp);
    recorder.layer.trying(recorder.server, recorder.now);
    recorder.receive(requestText("INVITE"), udp);
    recorder.respond(180);
    recorder.receive(requestText("INVITE"), udp);
    expect(recorder.events).toEqual(["request INVITE"]);
    expect(recorder.take()).toEqual(["100", "100", "180", "180"]);
  });

  it("[RFC3261 17.2.1] sends 100 without a To tag, and none once another response has left", () => {
    const recorder = arrived(udp);
    recorder.layer.trying(recorder.server, recorder.now);
    recorder.layer.trying(recorder.server, recorder.now);
    expect(recorder.sent).toHaveLength(1);
    expect(recorder.sent[0]?.message.toTag).toBeUndefined();
  });

  it("[RFC3261 17.2.1] Timer G: retransmits a final non-2xx at T1, doubling to T2, over UDP; Timer H ends it after 64*T1", () => {
    const recorder = arrived(udp);
    recorder.respond(486);
    expect(recorder.take()).toEqual(["486"]);
    expect(recorder.sendTimes(40_000)).toEqual([500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
    expect(recorder.events).toContain("terminated inviteServer");
    expect(recorder.layer.size).toBe(0);
    expect(recorder.timers.size).toBe(0);
  });

  it("[RFC3261 17.2.1] no Timer G over TCP, Timer H all the same", () => {
    const recorder = arrived(tcp);
    recorder.respond(486);
    recorder.take();
    expect(recorder.sendTimes(31_999)).toEqual([]);
    expect(recorder.layer.size).toBe(1);
    recorder.advance(1);
    expect(recorder.layer.size).toBe(0);
  });

  it("[RFC3261 17.2.1] ACK stops Timer G; Confirmed absorbs further ACKs until Timer I (T4)", () => {
    const recorder = arrived(udp);
    recorder.respond(486);
    recorder.receive(requestText("ACK"), udp);
    recorder.take();
    recorder.receive(requestText("ACK"), udp);
    recorder.receive(requestText("INVITE"), udp);
    expect(recorder.sendTimes(4_999)).toEqual([]);
    expect(recorder.server.state).toBe("Confirmed");
    recorder.advance(1);
    expect(recorder.events).toEqual(["request INVITE", "terminated inviteServer"]);
  });

  it("[RFC3261 17.2.1] Timer I is zero over TCP", () => {
    const recorder = arrived(tcp);
    recorder.respond(486);
    recorder.receive(requestText("ACK"), tcp);
    expect(recorder.layer.size).toBe(0);
  });

  it("[RFC6026 7.1] a 2xx leads to Accepted: INVITE retransmissions are absorbed, the 2xx is not repeated, Timer L ends it", () => {
    const recorder = arrived(udp);
    recorder.respond(200);
    recorder.receive(requestText("INVITE"), udp);
    expect(recorder.take()).toEqual(["200"]);
    expect(recorder.sendTimes(31_999)).toEqual([]);
    expect(recorder.server.state).toBe("Accepted");
    recorder.advance(1);
    expect(recorder.layer.size).toBe(0);
  });

  it("[RFC6026 7.1] Accepted passes further 2xx on, drops other responses, and gives ACKs to the TU", () => {
    const recorder = arrived(udp);
    const request = recorder.server.request;
    if (request === undefined) throw new Error("no request");
    recorder.respond(200);
    recorder.respond(200, { toTag: "other", request });
    recorder.respond(486, { request });
    recorder.receive(requestText("ACK"), udp);
    expect(recorder.take()).toEqual(["200", "200"]);
    expect(recorder.events).toEqual(["request INVITE", "ack ACK"]);
  });

  it("[RFC3261 17.2.3] the ACK of an RFC 2543 client is matched without a branch, by the To tag of the response", () => {
    const recorder = new Recorder();
    const via = "SIP/2.0/UDP 192.0.2.2:5060;branch=1";
    recorder.receive(requestText("INVITE", "", { via }), udp);
    recorder.respond(486, { toTag: "refused" });
    recorder.receive(requestText("ACK", "", { via, toTag: "another" }), udp);
    expect(recorder.server.state).toBe("Completed");
    expect(recorder.events).toEqual(["request INVITE", "ack ACK"]);
    recorder.receive(requestText("ACK", "", { via, toTag: "refused" }), udp);
    expect(recorder.server.state).toBe("Confirmed");
  });

  it("[RFC6026 6] the ACK of an RFC 2543 client for a 2xx goes to the TU", () => {
    const recorder = new Recorder();
    const via = "SIP/2.0/UDP 192.0.2.2:5060";
    recorder.receive(requestText("INVITE", "", { via }), udp);
    recorder.receive(requestText("INVITE", "", { via }), udp);
    recorder.respond(200);
    recorder.receive(requestText("ACK", "", { via, toTag: "t" }), udp);
    expect(recorder.events).toEqual(["request INVITE", "ack ACK"]);
  });

  it("passes the commit version on, for the retransmissions of the response too", () => {
    const recorder = arrived(udp);
    recorder.respond(486, { commit: 7 });
    recorder.advance(500);
    expect(recorder.sent.map((sent) => sent.commit)).toEqual([7, 7]);
  });

  it("hands a 2xx over as an answer, and nothing else", () => {
    for (const [status, isAnswer] of [
      [180, false],
      [199, false],
      [200, true],
      [299, true],
      [300, false],
    ] as const) {
      const recorder = arrived(udp);
      recorder.respond(status, { commit: 7 });
      expect(recorder.sent).toMatchObject([{ commit: 7, isAnswer }]);
    }
    const recorder = arrived(udp);
    const request = recorder.server.request;
    recorder.respond(486);
    recorder.respond(200, { commit: 8, ...(request && { request }) });
    expect(recorder.sent.map(({ isAnswer }) => isAnswer)).toEqual([false, true]);
  });

  it("gives the request up when it has been answered", () => {
    const recorder = arrived(udp);
    recorder.respond(200);
    expect(recorder.server.request).toBeUndefined();
    expect(recorder.server.lastResponse).toBeUndefined();
  });
});
