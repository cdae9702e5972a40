import { describe, expect, it } from "vitest";
import { contactsPerAddressOfRecordMax, unprovenTargetsMax } from "../../../sip/limits.ts";
import { parseRecord, serializeRecord } from "../../../sip/record/record-text.ts";
import { RecordKind } from "../../../cluster/backhaul/frame.ts";
import { answer, TestExchange, TestPhone, type Sent } from "./harness.ts";

const bobUri = "sip:bob@example.test";
const outsider = new TestPhone("eve", "198.51.100.66", 5060);
const bob = new TestPhone("bob", "203.0.113.9", 5080);
const foreign = 'From: "Eve" <sip:eve@outside.invalid>;tag=e';
const lastsMs = 64_000;

/** Bob registers Contacts that are not where he is. */
function world(contacts: readonly string[]): TestExchange {
  const made = new TestExchange("open");
  made.receive(
    bob.key,
    bob.register(
      600,
      contacts.map((contact) => `Contact: <${contact}>`),
    ),
  );
  return made;
}

function requestsTo(sent: readonly Sent[], address: string): Sent[] {
  return sent.filter(({ key, message }) => message.isRequest && key.includes(address));
}

function octetsOf(sent: readonly Sent[]): number {
  return sent.reduce((sum, { text }) => sum + text.length, 0);
}

/** 192.0.2.99 as flow keys write it. */
const victim = "c0000263";
const atVictim = (count: number): string[] => Array.from({ length: count }, (_, index) => `sip:bob@192.0.2.99:${6000 + index}`);

describe("[RFC3261 26.3.2.4] Contacts at an address that has not asked for anything", () => {
  it.each(["MESSAGE", "INVITE", "OPTIONS"])("a stranger's %s goes to few of them, once each", (method) => {
    const exchange = world(atVictim(contactsPerAddressOfRecordMax));
    const request = outsider.request(method, bobUri, [foreign]);
    const sent = [...exchange.receive(outsider.key, request), ...exchange.advance(lastsMs)];
    const there = requestsTo(sent, victim);
    expect(there).toHaveLength(unprovenTargetsMax);
    expect(new Set(there.map(({ key }) => key)).size).toBe(unprovenTargetsMax);
    expect(octetsOf(there)).toBeLessThan(2 * unprovenTargetsMax * request.length);
  });

  it("nor by another proxy that a Path names, or a name that is looked up", () => {
    const exchange = new TestExchange("open");
    const path = ["Supported: path", "Path: <sip:192.0.2.99:6000;lr>"];
    exchange.receive(bob.key, bob.register(600, path));
    const there = [...exchange.receive(outsider.key, outsider.request("MESSAGE", bobUri, [foreign])), ...exchange.advance(lastsMs)];
    expect(requestsTo(there, victim)).toHaveLength(1);
    const named = world(["sip:bob@phone.invalid-not.test"]);
    named.receive(outsider.key, outsider.request("MESSAGE", bobUri, [foreign]));
    const [asked] = named.resolving;
    const found = named.record(RecordKind.resolved, asked?.id ?? "", JSON.stringify([`u0..${victim}1770`]));
    expect(found.length + named.advance(lastsMs).length).toBeLessThanOrEqual(2);
  });

  it("a phone there is proven with its first answer: what comes next is said until it answers, by whichever replica, over refreshes", () => {
    const exchange = world(atVictim(1));
    const first = requestsTo(exchange.receive(outsider.key, outsider.request("MESSAGE", bobUri, [foreign])), victim);
    const [message] = first;
    if (message === undefined) throw new Error("nothing was forwarded");
    exchange.receive(message.key, answer(message.message, 200, "b"));
    exchange.receive(bob.key, bob.register(600, [`Contact: <${atVictim(1)[0]}>`]));
    const again = (by: TestExchange): number => {
      const sent = [...by.receive(outsider.key, outsider.request("MESSAGE", bobUri, [foreign])), ...by.advance(lastsMs)];
      return requestsTo(sent, victim).length;
    };
    const other = new TestExchange("open", { cell: "b" });
    for (const record of exchange.exchange.store.changedSince(0, 1_000).records) {
      const read = parseRecord(serializeRecord(record));
      if ("status" in read) throw new Error("no record");
      other.exchange.applyFromPeer(read, other.now);
    }
    expect(again(exchange)).toBe(11);
    expect(again(other)).toBe(11);
  });

  it("an answer by somebody who has not seen the request proves nothing", () => {
    const exchange = world(atVictim(1));
    const send = (): Sent[] => exchange.receive(outsider.key, outsider.request("MESSAGE", bobUri, [foreign]));
    const [message] = requestsTo(send(), victim);
    if (message === undefined) throw new Error("nothing was forwarded");
    exchange.receive(message.key, answer(message.message, 200, "b").replace(/;td=[^\r\n]*/, ""));
    expect(requestsTo([...send(), ...exchange.advance(lastsMs)], victim)).toHaveLength(1);
  });

  it("a name that leads somewhere else by and by proves nothing there", () => {
    const exchange = world(["sip:bob@phone.named.test"]);
    const send = (address: string): Sent[] => {
      exchange.receive(outsider.key, outsider.request("MESSAGE", bobUri, [foreign]));
      return exchange.record(RecordKind.resolved, exchange.resolving.pop()?.id ?? "", JSON.stringify([`u0..${address}1770`]));
    };
    const [message] = send("cb007107");
    if (message === undefined) throw new Error("nothing was forwarded");
    exchange.receive(message.key, answer(message.message, 200, "b"));
    expect(requestsTo([...send("cb007107"), ...exchange.advance(lastsMs)], "cb007107").length).toBe(11);
    expect(requestsTo([...send(victim), ...exchange.advance(lastsMs)], victim)).toHaveLength(1);
  });

  it("phones where their REGISTER came from are all called, and called again", () => {
    const exchange = new TestExchange("open");
    for (let index = 0; index < 6; index += 1) {
      const phone = new TestPhone("bob", "203.0.113.9", 6000 + index);
      exchange.receive(phone.key, phone.request("REGISTER", "sip:example.test", ["To: <sip:bob@example.test>", `Call-ID: r${index}`]));
    }
    const sent = [...exchange.receive(outsider.key, outsider.request("MESSAGE", bobUri, [foreign])), ...exchange.advance(lastsMs)];
    expect(requestsTo(sent, "cb007109")).toHaveLength(6 * 11);
  });
});
