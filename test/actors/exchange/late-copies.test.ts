import { describe, expect, it } from "vitest";
import { replayedMs } from "../../../actors/limits.ts";
import { copyDelayMs, t1Ms } from "../../../sip/limits.ts";
import { Header } from "../../../sip/message/header-names.ts";
import { RecordKind } from "../../../cluster/backhaul/frame.ts";
import { secretsOf } from "../../../sip/auth/digest.ts";
import { exchangeOf } from "../../../cluster/map/cluster-map.ts";
import { credentials } from "./credentials.ts";
import { answer, hash, TestExchange, testMap, TestPhone, type Sent } from "./harness.ts";

const caller = new TestPhone("alice", "198.51.100.7", 5070);
const from = "From: <sip:sipp@127.0.0.1:5070>;tag=alice-tag";

/** Replica a has forwarded an INVITE, and dies before the other one, which has the gateway now, has heard of it. */
function takenOver(): { readonly b: TestExchange; readonly bob: TestPhone; readonly invite: string; readonly forwarded: Sent } {
  const bob = new TestPhone("bob", "203.0.113.9", 5080);
  const a = new TestExchange("open");
  const b = new TestExchange("open", { cell: "b" });
  for (const each of [a, b]) each.receive(bob.key, bob.register());
  const invite = caller.request("INVITE", "sip:bob@example.test", [from, `Contact: ${caller.contact}`]);
  const forwarded = a.receive(caller.key, invite).find(({ key }) => key === bob.key);
  if (forwarded === undefined) throw new Error("it is forwarded");
  b.record(RecordKind.takeover, "", "");
  return { b, bob, invite, forwarded };
}

const toBob = (sent: readonly Sent[], bob: TestPhone): string[] => sent.filter(({ key }) => key === bob.key).map(({ text }) => text);

describe("an INVITE that comes again after a takeover, for a phone over UDP that may have had it", () => {
  it("waits for longer than T1, and is the same octets then", () => {
    const { b, bob, invite, forwarded } = takenOver();
    expect(toBob(b.receive(caller.key, invite), bob)).toEqual([]);
    expect(toBob(b.advance(copyDelayMs - 1), bob)).toEqual([]);
    expect(toBob(b.advance(1), bob)).toEqual([forwarded.text]);
  });

  it("is not said at all when the phone's answer comes meanwhile", () => {
    const { b, bob, invite, forwarded } = takenOver();
    b.receive(caller.key, invite);
    b.advance(t1Ms);
    const passed = b.receive(bob.key, answer(forwarded.message, 200, "bob-tag", [`Contact: ${bob.contact}`]));
    expect(passed.map(({ key, message }) => [key, message.status])).toEqual([[caller.key, 200]]);
    expect(toBob(b.advance(64 * t1Ms), bob)).toEqual([]);
  });

  it("is not said when the answer has passed before it, without a transaction", () => {
    const { b, bob, invite, forwarded } = takenOver();
    expect(b.receive(bob.key, answer(forwarded.message, 200, "bob-tag", [`Contact: ${bob.contact}`])).map(({ key }) => key)).toEqual([
      caller.key,
    ]);
    expect(toBob(b.receive(caller.key, invite), bob)).toEqual([]);
    expect(toBob(b.advance(64 * t1Ms), bob)).toEqual([]);
    expect(b.exchange.counts(b.now).transactions).toBe(0);
  });

  it("leaves at once when the takeover was some time ago: it is a call of its own", () => {
    const { b, bob, invite } = takenOver();
    b.advance(replayedMs + 1);
    expect(toBob(b.receive(caller.key, invite), bob)).toHaveLength(1);
  });
});

it("an INVITE whose answer has passed before it is not refused by the CANCEL behind it, while its caller's password is asked for", () => {
  const bob = new TestPhone("bob", "203.0.113.9", 5080);
  const map = testMap("digest", 2);
  const exchange = exchangeOf(map, "bob@example.test");
  const user = ["alice", "carol", "dave", "erin"].find((each) => exchangeOf(map, `${each}@example.test`) !== exchange) ?? "";
  const foreign = new TestPhone(user, "198.51.100.7", 5070);
  const [a, b] = ["a", "b"].map((cell) => new TestExchange("digest", { cell, exchange, exchangeCount: 2 }));
  if (a === undefined || b === undefined) throw new Error("there are two");
  for (const each of [a, b]) {
    each.addSubscriber("bob", "p");
    const [challenge] = each.receive(bob.key, bob.register());
    const proof = credentials(challenge, { user: "bob", password: "p", method: "REGISTER", uri: "sip:example.test" });
    each.receive(bob.key, bob.register(600, [proof]));
  }
  const uri = "sip:bob@example.test";
  const [challenge] = a.receive(foreign.key, foreign.request("INVITE", uri));
  const invite = foreign.request("INVITE", uri, [credentials(challenge, { user, password: "p", method: "INVITE", uri })]);
  a.receive(foreign.key, invite);
  a.exchange.credentials(`${user}@example.test`, secretsOf(hash, `${user}@example.test`, "p"), a.now);
  const forwarded = a.drain().find(({ key }) => key === bob.key);
  if (forwarded === undefined) throw new Error("it is forwarded");

  b.record(RecordKind.takeover, "", "");
  const passed = b.receive(bob.key, answer(forwarded.message, 200, "bob-tag", [`Contact: ${bob.contact}`]));
  expect(passed.map(({ key, message }) => [key, message.status])).toEqual([[foreign.key, 200]]);
  const cancel = invite
    .replace(/^INVITE/, "CANCEL")
    .replace(/(CSeq: \d+) INVITE/, "$1 CANCEL")
    .replace(/Proxy-Authorization[^\n]*\n/, "");
  const sent = [...b.receive(foreign.key, invite), ...b.receive(foreign.key, cancel)];
  b.exchange.credentials(`${user}@example.test`, secretsOf(hash, `${user}@example.test`, "p"), b.now);
  const said = [...sent, ...b.drain(), ...b.advance(64 * t1Ms)].filter(({ key }) => key === foreign.key);
  expect(said.map(({ message }) => [message.status, message.text(Header.CSeq)])).toEqual([[200, "2 CANCEL"]]);
});

it("a caller who names himself by our own machine ends a call whose answer passed without a transaction", () => {
  const { b, bob, forwarded } = takenOver();
  const [passed] = b.receive(bob.key, answer(forwarded.message, 200, "bob-tag", [`Contact: ${bob.contact}`]));
  const to = passed?.message.text(Header.To) ?? "";
  const bye = caller.request("BYE", "sip:bob@203.0.113.9:5080", [from, `To: ${to}`]);
  const callId = forwarded.message.callId;
  const sent = b.receive(caller.key, bye.replace(/Call-ID: [^\r]*/, `Call-ID: ${callId}`));
  expect(toBob(sent, bob).map((text) => text.split(" ")[0])).toEqual(["BYE"]);
});
