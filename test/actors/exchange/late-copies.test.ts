import { describe, expect, it } from "vitest";
import { replayedMs } from "../../../actors/limits.ts";
import { copyDelayMs, t1Ms } from "../../../sip/limits.ts";
import { Header } from "../../../sip/message/header-names.ts";
import { RecordKind } from "../../../cluster/backhaul/frame.ts";
import { answer, TestExchange, TestPhone, type Sent } from "./harness.ts";

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

it("a caller who names himself by our own machine ends a call whose answer passed without a transaction", () => {
  const { b, bob, forwarded } = takenOver();
  const [passed] = b.receive(bob.key, answer(forwarded.message, 200, "bob-tag", [`Contact: ${bob.contact}`]));
  const to = passed?.message.text(Header.To) ?? "";
  const bye = caller.request("BYE", "sip:bob@203.0.113.9:5080", [from, `To: ${to}`]);
  const callId = forwarded.message.callId;
  const sent = b.receive(caller.key, bye.replace(/Call-ID: [^\r]*/, `Call-ID: ${callId}`));
  expect(toBob(sent, bob).map((text) => text.split(" ")[0])).toEqual(["BYE"]);
});
