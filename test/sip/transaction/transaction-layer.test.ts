import { describe, expect, it } from "vitest";
import { heldInviteOctets, heldOctetsPerSourceMax, transactionsFewShare } from "../../../sip/limits.ts";
import { octetsOf } from "../../../sip/message/octets.ts";
import { parsed, Recorder, requestText, tcp, udp } from "./recorder.ts";

describe("matching requests", () => {
  it("[RFC3261 17.2.3] by branch, sent-by and method", () => {
    const recorder = new Recorder();
    recorder.receive(requestText("OPTIONS", "z9hG4bK1"), udp);
    recorder.receive(requestText("OPTIONS", "z9hG4bK2"), udp);
    recorder.receive(requestText("INFO", "z9hG4bK1"), udp);
    recorder.receive(requestText("OPTIONS", "", { via: "SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK1" }), udp);
    expect(recorder.events).toEqual(["request OPTIONS", "request OPTIONS", "request INFO", "request OPTIONS"]);
  });

  it("[RFC3261 17.2.3] without a unique branch by Request-URI, tags, Call-ID, CSeq and top Via", () => {
    const recorder = new Recorder();
    const via = "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK"; // RFC 4475 3.3.1: nothing behind the cookie
    recorder.receive(requestText("OPTIONS", "", { via }), udp);
    recorder.receive(requestText("OPTIONS", "", { via }), udp);
    recorder.receive(requestText("OPTIONS", "", { via, cSeq: 2 }), udp);
    expect(recorder.events).toEqual(["request OPTIONS", "request OPTIONS"]);
  });

  it("and by CSeq: a client that repeats a refused INVITE with credentials under one branch makes another request", () => {
    const recorder = new Recorder();
    recorder.receive(requestText("INVITE", "z9hG4bK1", { cSeq: 1 }), udp);
    const first = recorder.server;
    recorder.respond(407);
    recorder.receive(requestText("INVITE", "z9hG4bK1", { cSeq: 2 }), udp);
    const second = recorder.server;
    expect(second).not.toBe(first);
    // Each has its own retransmissions, ACK and CANCEL.
    recorder.receive(requestText("INVITE", "z9hG4bK1", { cSeq: 2 }), udp);
    recorder.receive(requestText("INVITE", "z9hG4bK1", { cSeq: 1 }), udp);
    expect(recorder.events).toEqual(["request INVITE", "request INVITE"]);
    recorder.receive(requestText("ACK", "z9hG4bK1", { cSeq: 1 }), udp);
    expect([first.state, second.state]).toEqual(["Confirmed", "Proceeding"]);
    recorder.receive(requestText("CANCEL", "z9hG4bK1", { cSeq: 2 }), udp);
    recorder.receive(requestText("CANCEL", "z9hG4bK1", { cSeq: 3 }), udp);
    expect(recorder.cancelled).toEqual([second, undefined]);
  });

  it("[RFC3261 9.2] CANCEL has a transaction of its own and finds the INVITE's", () => {
    const recorder = new Recorder();
    recorder.receive(requestText("INVITE"), udp);
    const invite = recorder.server;
    recorder.receive(requestText("CANCEL"), udp);
    recorder.receive(requestText("CANCEL"), udp);
    expect(recorder.events).toEqual(["request INVITE", "cancel"]);
    expect(recorder.cancelled).toEqual([invite]);
  });

  it("[RFC3261 9.1] CANCEL of another call, or of another caller, does not match, though its branch does", () => {
    const cancel = requestText("CANCEL");
    for (const other of [cancel.replace("call-1", "call-2"), cancel.replace(";tag=a", ";tag=z")]) {
      const recorder = new Recorder();
      recorder.receive(requestText("INVITE"), udp);
      recorder.receive(other, udp);
      expect(recorder.cancelled).toEqual([undefined]);
    }
  });

  it("[RFC3261 9.2] CANCEL that matches nothing is passed on as such", () => {
    const recorder = new Recorder();
    recorder.receive(requestText("OPTIONS"), udp);
    recorder.receive(requestText("CANCEL"), udp);
    expect(recorder.cancelled).toEqual([undefined]);
  });

  it("[RFC3261 17] an ACK without a transaction goes to the TU", () => {
    const recorder = new Recorder();
    recorder.receive(requestText("ACK"), udp);
    expect(recorder.events).toEqual(["ack ACK"]);
    expect(recorder.layer.size).toBe(0);
  });
});

describe("responses", () => {
  it("[RFC3581 4] leave on the flow of the request when its Via asks for rport", () => {
    const recorder = new Recorder();
    recorder.receive(requestText("OPTIONS"), "g1~u0..c00002021f90");
    recorder.respond(200);
    expect(recorder.sent[0]?.flow).toBe("g1~u0..c00002021f90");
  });

  it("[RFC3261 18.2.2] leave to the sent-by port when it does not", () => {
    const recorder = new Recorder();
    recorder.receive(requestText("OPTIONS", "", { via: "SIP/2.0/UDP 192.0.2.2:5070;branch=z9hG4bK1" }), "g1~u0..c00002021f90");
    recorder.respond(200);
    expect(recorder.sent[0]?.flow).toBe("g1~u0..c000020213ce");
  });

  it("[RFC3261 18.2.2] try the sent-by port over a new connection, once, when the connection is gone", () => {
    const recorder = new Recorder();
    recorder.receive(requestText("INVITE", "", { via: "SIP/2.0/TCP 192.0.2.2:5070;branch=z9hG4bK1" }), tcp);
    recorder.respond(486);
    const response = recorder.sent.splice(0)[0]?.message;
    if (response === undefined) throw new Error("no response");
    recorder.layer.undeliverable(response, tcp, recorder.now);
    expect(recorder.sent.map((sent) => sent.flow)).toEqual(["g1~t1..c000020213ce"]);
    recorder.layer.undeliverable(response, "g1~t1..c000020213ce", recorder.now);
    expect(recorder.sent).toHaveLength(1);
    // RFC 6026 7.1: the transaction stays, to absorb retransmissions.
    expect(recorder.server.state).toBe("Completed");
  });

  it("[RFC3261 17.1.3] without a transaction are stray; without a branch they are dropped", () => {
    const recorder = new Recorder();
    const response =
      "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKq\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:b@x>;tag=2\r\nCall-ID: c\r\nCSeq: 1 BYE\r\n\r\n";
    recorder.receive(response, udp);
    recorder.receive(response.replace(";branch=z9hG4bKq", ""), udp);
    expect(recorder.events).toEqual(["stray 200"]);
  });
});

describe("transactionsMax", () => {
  it("[RFC3261 21.5.4] over it a new request gets 503 with Retry-After and no state; in-dialog requests have a reserve", () => {
    const recorder = new Recorder({ transactionsMax: 100 });
    for (let number = 0; number < 10_000; number += 1) recorder.receive(requestText("INVITE", `z9hG4bK-${number}`), udp);
    expect(recorder.layer.size).toBe(100);
    expect(recorder.sent).toHaveLength(9_900);
    expect(recorder.sent[0]?.text).toMatch(/^SIP\/2.0 503 [^]*\r\nRetry-After: 5\r\n/);
    for (let number = 0; number < 1_000; number += 1) recorder.receive(requestText("BYE", `z9hG4bKb${number}`, { toTag: "b" }), udp);
    expect(recorder.layer.size).toBe(125);
  });

  it("serves again when transactions have ended", () => {
    const recorder = new Recorder({ transactionsMax: 1 });
    recorder.receive(requestText("OPTIONS", "z9hG4bK1"), tcp);
    recorder.receive(requestText("OPTIONS", "z9hG4bK2"), tcp);
    expect(recorder.take()).toEqual(["503"]);
    recorder.respond(200);
    recorder.advance(5_000);
    recorder.receive(requestText("OPTIONS", "z9hG4bK3"), tcp);
    expect(recorder.take()).toEqual(["200"]);
    expect(recorder.events.filter((event) => event === "request OPTIONS")).toHaveLength(2);
  });
});

/** A flow of one of many sources. */
function of(host: number): string {
  return `g1~u0..c0000${(0x200 + host).toString(16)}13c4`;
}

describe("octets that wait", () => {
  it("[RFC3261 21.5.4] over a source's share its requests get 503 with Retry-After and no state; others are served", () => {
    const recorder = new Recorder();
    for (let number = 0; number < 3_000; number += 1) recorder.receive(requestText("INVITE", `z9hG4bK-${number}`), of(1));
    const { size } = recorder.layer;
    expect(size * heldInviteOctets).toBeLessThan(heldOctetsPerSourceMax);
    expect(size).toBeGreaterThan(1_000);
    expect(recorder.sent).toHaveLength(3_000 - size);
    expect(recorder.sent[0]?.text).toMatch(/^SIP\/2.0 503 [^]*\r\nRetry-After: 5\r\n/);
    recorder.receive(requestText("INVITE", "z9hG4bKother"), of(2));
    expect(recorder.layer.size).toBe(size + 1);
    // In a call there is a reserve.
    recorder.receive(requestText("INVITE", "z9hG4bKwithin", { toTag: "b" }), of(1));
    expect(recorder.layer.size).toBe(size + 2);
  });

  it("are given back with the final response, however long the transaction stays for retransmissions", () => {
    const recorder = new Recorder();
    for (let number = 0; number < 3_000; number += 1) {
      for (const method of ["INVITE", "MESSAGE"]) {
        recorder.receive(requestText(method, `z9hG4bK${method}${number}`), of(1));
        recorder.respond(method === "INVITE" ? 200 : 404);
      }
    }
    expect(recorder.layer.size).toBe(6_000);
    expect(recorder.sent.filter(({ message }) => message.status === 503)).toEqual([]);
  });

  it("are given back when a transaction is given up", () => {
    const recorder = new Recorder();
    for (let number = 0; number < 6_000; number += 1) {
      recorder.receive(requestText("MESSAGE", `z9hG4bK${number}`), of(1));
      recorder.layer.abandon(recorder.server, recorder.now);
    }
    expect(recorder.sent).toEqual([]);
  });

  it("finished transactions of a flood are forgotten early, those of a normal day are not", () => {
    const few = 1_000 * transactionsFewShare;
    const recorder = new Recorder({ transactionsMax: 1_000 });
    const flood = (count: number, name: string): void => {
      for (let number = 0; number < count; number += 1) {
        recorder.receive(requestText("OPTIONS", `z9hG4bK${name}${number}`), of(number % 200));
        recorder.respond(200);
      }
    };
    flood(few, "few");
    recorder.advance(10_000);
    expect(recorder.layer.size).toBe(few);
    flood(few / 2, "many");
    recorder.advance(5_000);
    expect(recorder.layer.size).toBe(few);
    recorder.advance(20_000);
    expect(recorder.layer.size).toBe(0);
  });
});

describe("undeliverable", () => {
  it("is ignored for what no transaction knows", () => {
    const recorder = new Recorder();
    recorder.layer.undeliverable(parsed(octetsOf(requestText("INVITE"))), udp, recorder.now);
    recorder.layer.undeliverable(parsed(octetsOf(requestText("ACK"))), udp, recorder.now);
    expect(recorder.events).toEqual([]);
  });
});
