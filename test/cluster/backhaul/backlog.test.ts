import { describe, expect, it } from "vitest";
import { octetsOf } from "../../../sip/message/octets.ts";
import { RecordKind } from "../../../cluster/backhaul/frame.ts";
import { Backlog, isNewRequest, stillWanted, type ReadMessage } from "../../../cluster/backhaul/backlog.ts";

type Named = ReadMessage & { readonly name: string };

function request(method: string, toTag = ""): Uint8Array {
  return octetsOf(
    `${method} sip:bob@example.test SIP/2.0\r\nVia: SIP/2.0/WS x.invalid;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n` +
      `From: <sip:alice@example.test>;tag=1\r\nTo: <sip:bob@example.test>${toTag}\r\nCall-ID: c\r\nCSeq: 1 ${method}\r\nContent-Length: 0\r\n\r\n`,
  );
}

function said(key: string, method: string, toTag = ""): Named {
  return { key, octets: request(method, toTag), name: `${key} ${method}` };
}

const names = (messages: readonly Named[]): string[] => messages.map(({ name }) => name);

/** Offers all; what passes at once. */
function read(backlog: Backlog<Named>, now: number, ...messages: Named[]): string[] {
  return names(messages.filter((message) => backlog.offer(message, now)));
}

describe("after a standstill", () => {
  it("new requests wait for the ends of their connections: of one that ended they are forgotten, the others pass", () => {
    const backlog = new Backlog<Named>(10);
    backlog.expect(1_500);
    expect(read(backlog, 0, said("gone", "INVITE"), said("there", "INVITE"), said("there", "MESSAGE"))).toEqual([]);
    expect(names(backlog.closed("gone"))).toEqual([]);
    expect(backlog.release(1_499)).toEqual([]);
    expect(names(backlog.release(1_500))).toEqual(["there INVITE", "there MESSAGE"]);
    expect(backlog.release(1_500)).toEqual([]);
  });

  it("what belongs to calls and registrations in progress passes: it is as true as before, and numbered", () => {
    const backlog = new Backlog<Named>(10);
    backlog.expect(1_500);
    const late = [said("a", "BYE", ";tag=2"), said("b", "INVITE", ";tag=2"), said("c", "REGISTER"), said("d", "ACK"), said("e", "CANCEL")];
    expect(read(backlog, 0, ...late)).toEqual(names(late));
    const response = octetsOf("SIP/2.0 200 OK\r\nVia: SIP/2.0/WS x;branch=z9hG4bK1\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\r\n");
    expect(backlog.offer({ key: "f", octets: response, name: "200" }, 0)).toBe(true);
    expect(backlog.offer({ key: "f", octets: octetsOf("junk"), name: "junk" }, 0)).toBe(true);
  });

  it("[RFC3261 9.1] what follows a request that waits on its connection waits as well, and passes when that ends", () => {
    const backlog = new Backlog<Named>(10);
    backlog.expect(1_500);
    expect(read(backlog, 0, said("a", "INVITE"), said("a", "CANCEL"), said("a", "BYE", ";tag=2"), said("b", "REGISTER"))).toEqual([
      "b REGISTER",
    ]);
    expect(names(backlog.closed("a"))).toEqual(["a CANCEL", "a BYE"]);
    expect(backlog.release(1_500)).toEqual([]);
  });

  it("order is kept until all has passed, however late that is", () => {
    const backlog = new Backlog<Named>(10);
    backlog.expect(Number.POSITIVE_INFINITY);
    expect(read(backlog, 0, said("a", "INVITE"))).toEqual([]);
    backlog.expect(100);
    expect(read(backlog, 200, said("a", "CANCEL"), said("b", "INVITE"))).toEqual(["b INVITE"]);
    expect(names(backlog.release(200))).toEqual(["a INVITE", "a CANCEL"]);
    expect(read(backlog, 200, said("a", "INVITE"))).toEqual(["a INVITE"]);
  });

  it("no more than so many wait; the rest passes", () => {
    const backlog = new Backlog<Named>(2);
    backlog.expect(1_500);
    expect(read(backlog, 0, said("a", "INVITE"), said("b", "INVITE"), said("c", "INVITE"))).toEqual(["c INVITE"]);
  });
});

it("nothing waits when nothing has stood still", () => {
  const backlog = new Backlog<Named>(10);
  expect(read(backlog, 0, said("a", "INVITE"))).toEqual(["a INVITE"]);
  expect(backlog.closed("a")).toEqual([]);
});

it("of what comes too late new requests are not wanted, nor orders to take calls over; the rest ends calls and answers what waits", () => {
  const octets = request("INVITE");
  const wanted = [
    { kind: RecordKind.message, key: "a", octets: request("BYE", ";tag=2") },
    { kind: RecordKind.send, key: "a", octets: request("ACK") },
    { kind: RecordKind.closed, key: "a", octets },
    { kind: RecordKind.closeFlow, key: "a", octets },
  ];
  const unwanted = [RecordKind.message, RecordKind.send, RecordKind.hello, RecordKind.takeover, RecordKind.resolve].map((kind) => {
    return { kind, key: "b", octets };
  });
  expect(stillWanted([...unwanted, ...wanted])).toEqual(wanted);
});

it.each(["INVITE", "MESSAGE", "SUBSCRIBE", "OPTIONS"])("%s outside of a dialog is a new request, within one it is not", (method) => {
  expect([isNewRequest(request(method)), isNewRequest(request(method, ";tag=2"))]).toEqual([true, false]);
});
