import { describe, expect, it } from "vitest";
import { peerQuietMs, peerSyncMsMax } from "../../../cluster/limits.ts";
import type { PeerLink } from "../../../cluster/replication/peer-link.ts";
import { waiting } from "./waiting-link.ts";
import { ackTimeoutMs, leaseMs } from "./world.ts";

describe("a replica that stood still while its batch was under way", () => {
  const thawedAt = 12_000;
  type Thaw = (frozen: ReturnType<typeof waiting>) => void;
  /** What it comes to first when it goes on. */
  const firsts: readonly (readonly [what: string, Thaw])[] = [
    ["its timer", ({ link }) => link.tick(thawedAt)],
    ["the end of its question, at a peer that has given it up", ({ link, id }) => link.failed(id, true, thawedAt)],
    ["the same, without an answer", ({ link, id }) => link.failed(id, false, thawedAt)],
    ["an input", ({ link }) => void link.admit(thawedAt)],
  ];

  it.each(firsts)("asks what it has missed, and lets no input in before it has that: %s", (_what, thaw) => {
    const frozen = waiting();
    const { link, sequence, states } = frozen;
    thaw(frozen);
    expect(link.admit(thawedAt + 1)).toBe(false);
    const question = link.takeEffects().findLast(({ type }) => type === "send");
    if (question?.type !== "send") throw new Error("nothing is asked");
    // Its peer has gone on alone, and has five changes that are nowhere else.
    link.answered(question.id, { boot: "b1", received: sequence, ahead: 5 }, thawedAt + 20);
    expect(link.admit(thawedAt + 21)).toBe(false);
    const batch = { cell: "b", boot: "b1", peerBoot: "a1", after: 0, sequence: 5, isComplete: true, records: [], unreadable: 0 };
    link.receive(batch, thawedAt + 40);
    expect([link.admit(thawedAt + 41), link.state, states()]).toEqual([true, "together", []]);
  });

  it("waits longer for a peer that speaks, and has much to say before it comes to the answer", () => {
    const frozen = waiting();
    const { link, sequence, states } = frozen;
    link.admit(thawedAt);
    const question = link.takeEffects().findLast(({ type }) => type === "send");
    if (question?.type !== "send") throw new Error("nothing is asked");
    const batch = { cell: "b", boot: "b1", peerBoot: "a1", after: 0, sequence: 2, isComplete: false, records: [], unreadable: 0 };
    link.receive(batch, thawedAt + 150);
    for (let at = thawedAt + 160; at < thawedAt + 900; at += 10) {
      link.tick(at);
      expect([link.admit(at), link.nextDeadline() ?? 0]).toEqual([false, expect.toSatisfy((next: number) => next > at)]);
    }
    link.answered(question.id, { boot: "b1", received: sequence, ahead: 5 }, thawedAt + 900);
    link.receive({ ...batch, after: 2, sequence: 5, isComplete: true }, thawedAt + 920);
    expect([link.admit(thawedAt + 921), link.state, states()]).toEqual([true, "together", []]);
  });

  it("not for ever: a peer that speaks and never says what was missed is not waited for", () => {
    const { link } = waiting();
    link.admit(thawedAt);
    const batch = { cell: "b", boot: "b1", peerBoot: "a1", after: 0, sequence: 0, isComplete: false, records: [], unreadable: 0 };
    let at = thawedAt;
    for (; !link.admit(at) && at < thawedAt + 60_000; at += 100) {
      link.receive(batch, at);
      link.tick(at);
    }
    expect([at - thawedAt <= peerSyncMsMax, link.state]).toEqual([true, "lagging"]);
  });

  it.each(firsts)("goes on alone when nobody answers: %s", (_what, thaw) => {
    const frozen = waiting();
    thaw(frozen);
    frozen.link.tick(thawedAt + ackTimeoutMs + 1);
    expect([frozen.link.admit(thawedAt + ackTimeoutMs + 2), frozen.states()]).toEqual([true, ["lagging"]]);
  });
});

const knownOf = (link: PeerLink): number[] => link.takeEffects().flatMap((effect) => (effect.type === "known" ? [effect.until] : []));

describe("a peer of which nobody has wanted anything for long", () => {
  it("is not asked any more, and is with the first input, be it one that changes nothing", () => {
    const { link, id } = waiting();
    link.failed(id, false, 2_100);
    let now = 2_100;
    for (let next = link.nextDeadline(); next !== undefined && now < 600_000; next = link.nextDeadline()) {
      now = next;
      link.tick(now);
      for (const effect of link.takeEffects()) if (effect.type === "send") link.failed(effect.id, false, now);
    }
    expect([link.state, link.nextDeadline(), now > 2_000 + peerQuietMs]).toEqual(["lagging", undefined, true]);
    for (const at of [now + 1, now + 2]) link.admit(at);
    expect(link.nextDeadline()).toBeLessThan(now + leaseMs);
  });
});

describe("what the peer has made", () => {
  it("is known when the peer has told it, not when the peer has what we have", () => {
    const { link, id, sequence } = waiting();
    link.failed(id, false, 2_100);
    // Until the peer last told something.
    expect(knownOf(link)).toEqual([600]);
    // First it is asked whether it is there, then it is told the rest.
    link.tick(2_300);
    for (const at of [2_310, 2_320]) {
      const batch = link.takeEffects().find(({ type }) => type === "send");
      if (batch?.type !== "send") throw new Error("nothing is sent");
      link.answered(batch.id, { boot: "b1", received: sequence, ahead: 7 }, at);
    }
    expect([link.state, knownOf(link)]).toEqual(["together", []]);
    link.receive({ cell: "b", boot: "b1", peerBoot: "a1", after: 0, sequence: 7, isComplete: true, records: [], unreadable: 0 }, 2_340);
    expect(knownOf(link)).toEqual([Number.POSITIVE_INFINITY]);
  });

  it("stays so while the two are together, whatever is under way", () => {
    const { link, id, sequence } = waiting();
    link.answered(id, { boot: "b1", received: sequence, ahead: 9 }, 2_010);
    expect(knownOf(link)).toEqual([]);
  });
});
