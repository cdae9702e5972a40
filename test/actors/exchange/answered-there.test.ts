import { describe, expect, it } from "vitest";
import { lateRecordMs } from "../../../actors/limits.ts";
import { cancelAnswerMs } from "../../../sip/limits.ts";
import { RecordKind } from "../../../cluster/backhaul/frame.ts";
import { dialogKey } from "../../../sip/record/dialog-record.ts";
import { makeTombstone } from "../../../sip/record/tombstone.ts";
import { makeVersion } from "../../sip/record/make-version.ts";
import { answer, TestExchange, TestPhone } from "./harness.ts";
import { finals, found, register } from "./what-was-sent.ts";

/** An INVITE of alice that cell a has let pass to bob, whose exchange the map gives to b and c. Cell b knows the phones, and not the INVITE. */
function rungWhereNoReplicaIs() {
  const cells = ["a", "b", "c"].map((id) => ({ id, url: `http://${id}.test` }));
  const map = { cells, assignments: [{ primary: "b", secondary: "c" }] };
  const [a, b] = [new TestExchange("open", { cell: "a", map }), new TestExchange("open", { cell: "b", map })];
  const [alice, bob] = [new TestPhone("alice", "198.51.100.7", 5070, "TCP"), new TestPhone("bob", "203.0.113.9", 5080, "TCP")];
  for (const phone of [alice, bob]) register(a, phone);
  for (const record of a.exchange.store.changedSince(0, 1_000).records) b.exchange.applyFromGuest(record, b.now);
  const invite = found(a.receive(alice.key, alice.request("INVITE", "sip:bob@example.test")), "INVITE");
  return { a, b, alice, bob, invite };
}

describe("a replica that stands still just after it has forwarded an INVITE, of which the peer has no record", () => {
  it.each(["the dialog", "only the end of the dialog"])(
    "has nothing to say to a caller who was answered there: it hears late of %s",
    (what) => {
      const [a, b] = [new TestExchange("open", { cell: "a" }), new TestExchange("open", { cell: "b" })];
      const alice = new TestPhone("alice", "198.51.100.7", 5070, "TCP");
      const bob = new TestPhone("bob", "203.0.113.9", 5080, "TCP");
      for (const phone of [alice, bob]) register(a, phone);
      for (const record of a.exchange.store.changedSince(0, 1_000).records) b.exchange.applyFromPeer(record, b.now);
      const invite = found(a.receive(alice.key, alice.request("INVITE", "sip:bob@example.test")), "INVITE");
      const ok = b.receive(bob.key, answer(invite.message, 200, "bob-tag", [`Contact: ${bob.contact}`]));
      expect(finals(ok)).toEqual(["SIP/2.0 200"]);
      a.now += lateRecordMs;
      for (const record of b.exchange.store.changedSince(0, 1_000).records) {
        if (record.kind !== "dialog") continue;
        const { key, version } = record;
        a.exchange.applyFromPeer(what === "the dialog" ? record : makeTombstone("dialog", key, version, a.now), a.now);
      }
      a.record(RecordKind.closed, bob.key, "", bob.access);
      expect(a.advance(300_000)).toEqual([]);
      expect(a.exchange.store.count("invite")).toBe(0);
    },
  );

  it.each([
    ["while they are apart", 1],
    ["just when they are together again", 0],
  ])("nor does it when it hears at once, %s", (_when, isApart) => {
    const [a, b] = [new TestExchange("open", { cell: "a" }), new TestExchange("open", { cell: "b" })];
    const alice = new TestPhone("alice", "198.51.100.7", 5070, "TCP");
    const bob = new TestPhone("bob", "203.0.113.9", 5080, "TCP");
    for (const phone of [alice, bob]) register(a, phone);
    for (const record of a.exchange.store.changedSince(0, 1_000).records) b.exchange.applyFromPeer(record, b.now);
    const invite = found(a.receive(alice.key, alice.request("INVITE", "sip:bob@example.test")), "INVITE");
    a.exchange.setPeerKnown(a.now, a.now);
    b.receive(bob.key, answer(invite.message, 200, "bob-tag", [`Contact: ${bob.contact}`]));
    if (isApart === 0) a.exchange.setPeerKnown(Number.POSITIVE_INFINITY, a.now);
    for (const record of b.exchange.store.changedSince(0, 1_000).records) a.exchange.applyFromPeer(record, a.now);
    expect(a.advance(300_000)).toEqual([]);
    expect(a.exchange.store.count("invite")).toBe(0);
  });

  it.each(["has a dialog", "has ended"])(
    "nor does the one that goes on with it, where the call %s when its INVITE is handed over",
    (what) => {
      const { a, b, alice, bob, invite } = rungWhereNoReplicaIs();
      const ok = found(b.receive(bob.key, answer(invite.message, 200, "bob-tag", [`Contact: ${bob.contact}`])), "SIP/2.0 200");
      if (what === "has ended") {
        const { key, version } = [...b.exchange.store.records("dialog")][0] ?? { key: "", version: "" };
        b.exchange.applyFromPeer(makeTombstone("dialog", key, version, b.now), b.now);
      }
      expect(ok.key).toBe(alice.key);
      for (const record of a.exchange.store.changedSince(0, 1_000).records) b.exchange.applyFromGuest(record, b.now);
      expect(b.exchange.store.count("invite")).toBe(1);
      b.exchange.adoptLeft(b.now);
      expect(finals([...b.drain(), ...b.advance(300_000)]).filter((start) => start.startsWith("SIP/2.0"))).toEqual([]);
      expect(b.exchange.store.count("invite")).toBe(0);
    },
  );

  it("nor does the one that goes on with it, where its refusal has passed before: its call was refused, and rings nowhere", () => {
    const { a, b, bob, invite } = rungWhereNoReplicaIs();
    a.receive(bob.key, answer(invite.message, 180, "bob-tag"));
    found(b.receive(bob.key, answer(invite.message, 486, "bob-tag")), "SIP/2.0 486");
    for (const record of a.exchange.store.changedSince(0, 1_000).records) b.exchange.applyFromGuest(record, b.now);
    expect(b.exchange.store.count("invite")).toBe(1);
    b.exchange.adoptLeft(b.now);
    expect(b.exchange.store.count("invite")).toBe(0);
    expect(finals([...b.drain(), ...b.advance(300_000)]).filter((start) => start.startsWith("SIP/2.0"))).toEqual([]);
    expect([...b.exchange.store.records("call")]).toMatchObject([{ value: { status: 486, cause: "refused" } }]);
  });

  it("stops what rings on", () => {
    const [a, b] = [new TestExchange("open", { cell: "a" }), new TestExchange("open", { cell: "b" })];
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const phones = [5080, 5082].map((port) => new TestPhone("bob", "203.0.113.9", port));
    for (const phone of phones) a.receive(phone.key, phone.register());
    const [first, second] = a
      .receive(alice.key, alice.request("INVITE", "sip:bob@example.test"))
      .filter(({ message }) => message.isRequest);
    if (first === undefined || second === undefined) throw new Error("both are called");
    a.receive(second.key, answer(second.message, 180, "second-tag"));
    b.receive(first.key, answer(first.message, 200, "bob-tag", [`Contact: ${phones[0]?.contact}`]));
    a.now += lateRecordMs;
    for (const record of b.exchange.store.changedSince(0, 1_000).records) a.exchange.applyFromPeer(record, a.now);
    expect(a.drain().map(({ key, text }) => `${text.slice(0, 6)} ${key}`)).toEqual([`CANCEL ${second.key}`]);
  });

  it("goes on with the INVITEs of others", () => {
    const a = new TestExchange("open", { cell: "a" });
    const [alice, bob] = [new TestPhone("alice", "198.51.100.7", 5070), new TestPhone("bob", "203.0.113.9", 5080)];
    for (const phone of [alice, bob]) register(a, phone);
    const invite = found(a.receive(alice.key, alice.request("INVITE", "sip:bob@example.test")), "INVITE");
    const dialog = (key: string): void => {
      const version = makeVersion({ ms: a.now, counter: 9, cell: "b" });
      a.exchange.applyFromPeer(makeTombstone("dialog", key, version, a.now), a.now + lateRecordMs);
    };
    dialog(dialogKey("call-of-alice", "somebody-else", "bob-tag"));
    dialog(dialogKey("call-of-another", "alice-tag", "bob-tag"));
    expect(finals(a.receive(bob.key, answer(invite.message, 486, "bob-tag")))).toContain("SIP/2.0 486");
  });
});

describe("an INVITE whose CANCEL was answered by the other replica, before that had its record", () => {
  it.each([
    ["is cancelled there when the record comes", false, ["SIP/2.0 487"]],
    ["is left alone when the 2xx has passed there behind the CANCEL", true, []],
  ])("%s", (_what, isAnswered, expected) => {
    const [a, b] = [new TestExchange("open", { cell: "a" }), new TestExchange("open", { cell: "b" })];
    const alice = new TestPhone("alice", "198.51.100.7", 5070, "TCP");
    const bob = new TestPhone("bob", "203.0.113.9", 5080, "TCP");
    for (const phone of [alice, bob]) register(a, phone);
    for (const record of a.exchange.store.changedSince(0, 1_000).records) b.exchange.applyFromPeer(record, b.now);
    const text = alice.request("INVITE", "sip:bob@example.test");
    const invite = found(a.receive(alice.key, text), "INVITE");
    found(b.receive(alice.key, text.replace(/^INVITE/, "CANCEL").replace(/(CSeq: \d+) INVITE/, "$1 CANCEL")), "SIP/2.0 200");
    if (isAnswered) found(b.receive(bob.key, answer(invite.message, 200, "bob-tag", [`Contact: ${bob.contact}`])), "SIP/2.0 200");
    for (const record of a.exchange.store.changedSince(0, 1_000).records) b.exchange.applyFromPeer(record, b.now);
    expect(finals([...b.drain(), ...b.advance(cancelAnswerMs)]).filter((start) => start.startsWith("SIP/2.0"))).toEqual(expected);
  });
});
