import { describe, expect, it } from "vitest";
import { Recorder, requestText, tcp, udp } from "./recorder.ts";

function arrived(flow: string): Recorder {
  const recorder = new Recorder();
  recorder.receive(requestText("OPTIONS"), flow);
  return recorder;
}

describe("non-INVITE server transaction", () => {
  it("[RFC3261 17.2.2] Trying discards retransmissions; Completed answers them until Timer J (64*T1)", () => {
    const recorder = arrived(udp);
    recorder.receive(requestText("OPTIONS"), udp);
    expect(recorder.take()).toEqual([]);
    recorder.respond(200);
    recorder.receive(requestText("OPTIONS"), udp);
    expect(recorder.take()).toEqual(["200", "200"]);
    recorder.advance(31_999);
    expect(recorder.layer.size).toBe(1);
    recorder.advance(1);
    expect(recorder.layer.size).toBe(0);
    expect(recorder.timers.size).toBe(0);
    expect(recorder.events).toEqual(["request OPTIONS", "terminated nonInviteServer"]);
  });

  it("[RFC3261 17.2.2] Timer J is short over TCP, and not zero: an access may repeat what came over it", () => {
    const recorder = arrived(tcp);
    recorder.respond(200);
    recorder.receive(requestText("OPTIONS"), tcp);
    expect(recorder.take()).toEqual(["200", "200"]);
    recorder.advance(5_000);
    expect(recorder.layer.size).toBe(0);
  });

  it("[RFC3261 17.2.2] a second final response is discarded", () => {
    const recorder = arrived(udp);
    const request = recorder.server.request;
    if (request === undefined) throw new Error("no request");
    recorder.respond(200);
    recorder.respond(500, { request });
    expect(recorder.take()).toEqual(["200"]);
  });

  it("[RFC4320 4.1] no provisional response but 100", () => {
    const recorder = arrived(udp);
    recorder.respond(180);
    expect(recorder.take()).toEqual([]);
    expect(recorder.server.state).toBe("Trying");
  });

  it("[RFC4320 4.1] 100 when nothing has been answered by the time a Timer E reaches T2, repeated for retransmissions", () => {
    const recorder = arrived(udp);
    recorder.advance(3_499);
    expect(recorder.take()).toEqual([]);
    recorder.advance(1);
    expect(recorder.take()).toEqual(["100"]);
    recorder.receive(requestText("OPTIONS"), udp);
    expect(recorder.take()).toEqual(["100"]);
  });

  it("[RFC4320 4.2] ends without a response when the client has given up", () => {
    const recorder = arrived(udp);
    const { request } = recorder.server;
    if (request === undefined) throw new Error("no request");
    recorder.advance(32_000);
    expect(recorder.take()).toEqual(["100"]);
    expect(recorder.layer.size).toBe(0);
    recorder.respond(200, { request });
    expect(recorder.take()).toEqual([]);
  });
});
