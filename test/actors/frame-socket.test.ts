import { describe, expect, it } from "vitest";
import { socketEndedText } from "../../actors/frame-socket.ts";
import { frameAnswerMsMax } from "../../actors/limits.ts";
import { octetsOf, TwoEnds } from "./two-ends.ts";

const [idleMs, leftMs] = [5_000, 15_000];

function ends(aheadMs = 0): TwoEnds {
  return new TwoEnds(idleMs, leftMs, aheadMs);
}

describe("a WebSocket between a line and an exchange of another cell", () => {
  it("brings questions of both sides, and to each its own answer, whatever order they come in", () => {
    const two = ends();
    const { line, exchange } = two;
    line.ask("INVITE", 7);
    line.ask("ACK", 8);
    exchange.ask("180", 9);
    two.bring();
    expect(exchange.taken).toMatchObject([
      { text: "INVITE", until: 7 },
      { text: "ACK", until: 8 },
    ]);
    expect(line.taken).toMatchObject([{ text: "180", until: 9 }]);
    exchange.taken[1]?.answer(octetsOf("fine"));
    exchange.taken[0]?.answer(octetsOf("100"));
    line.taken[0]?.answer(octetsOf("gone"));
    two.bring();
    expect(line.outcomes).toEqual(["ACK: fine", "INVITE: 100"]);
    expect(exchange.outcomes).toEqual(["180: gone"]);
  });

  it("says what the clock of the other side says, and does not take what names no time", () => {
    const two = ends(60_000);
    two.line.ask("INVITE", undefined);
    two.bring();
    expect(two.exchange.taken).toEqual([]);
    expect(two.line.outcomes).toEqual(["INVITE: late, it is 60000 there"]);
    two.line.ask("INVITE", two.time.now + 60_000);
    two.bring();
    two.exchange.taken[0]?.answer("late");
    two.bring();
    expect(two.line.outcomes.at(-1)).toBe("INVITE: late, it is 60000 there");
  });

  it("says why a frame was not taken", () => {
    const two = ends();
    two.line.ask("INVITE", 7);
    two.bring();
    two.exchange.taken[0]?.answer(new Error("too much waits: ü"));
    two.bring();
    expect(two.line.outcomes).toEqual(["INVITE: too much waits: ü"]);
  });

  it("tells all that wait when it ends, once, and that nobody knows what became of it", () => {
    const two = ends();
    two.line.ask("INVITE", 7);
    two.exchange.ask("180", 7);
    two.bring();
    two.break();
    two.exchange.taken[0]?.answer(octetsOf("100"));
    two.bring();
    two.line.socket.closed();
    expect([two.line.outcomes, two.exchange.outcomes]).toEqual([[`INVITE: ${socketEndedText}`], [`180: ${socketEndedText}`]]);
    expect([two.line.endings, two.exchange.endings]).toEqual([1, 1]);
    expect(two.line.ask("ACK", 7)).toBe(false);
    two.time.pass(60_000);
    expect(two.line.outcomes).toHaveLength(1);
  });

  it("ends with what is no message of it", () => {
    const two = ends();
    two.line.ask("INVITE", 7);
    two.line.socket.received(octetsOf("text"));
    expect(two.line.outcomes).toEqual(["INVITE: the other side of a WebSocket between line and exchange broke the protocol"]);
    expect(two.line.isClosed).toBe(true);
  });
});

describe("one on which an answer does not come", () => {
  it("is waited for no longer than a request, and asked nothing more", () => {
    const two = ends();
    two.line.ask("INVITE", 7);
    two.time.pass(frameAnswerMsMax - 1);
    expect([two.line.outcomes, two.line.endings]).toEqual([[], 0]);
    two.time.pass(1);
    expect(two.line.outcomes).toEqual([`INVITE: no answer within ${frameAnswerMsMax} ms`]);
    expect([two.line.endings, two.line.ask("ACK", 7)]).toEqual([1, false]);
    // A late answer has no effect, and what was asked of this side meanwhile is answered.
    two.exchange.ask("180", 7);
    two.bring();
    expect(two.exchange.outcomes).toEqual(["180: untaken"]);
    two.exchange.taken[0]?.answer(octetsOf("100"));
    two.bring();
    expect(two.line.outcomes).toHaveLength(1);
  });

  it("is given up each in its time", () => {
    const two = ends();
    two.line.ask("INVITE", 7);
    two.time.pass(1_500);
    two.line.ask("BYE", 7);
    two.time.pass(frameAnswerMsMax - 1_500);
    expect(two.line.outcomes).toHaveLength(1);
    expect(two.line.isClosed).toBe(false);
    two.time.pass(1_500);
    expect(two.line.outcomes).toHaveLength(2);
    expect(two.line.isClosed).toBe(true);
  });

  it("is not given up for the answer of another frame", () => {
    const two = ends();
    for (let second = 0; second < 20; second += 1) {
      two.exchange.ask(`180 ${second}`, 7);
      two.line.ask(`INVITE ${second}`, 7);
      two.bring();
      two.exchange.taken.at(-1)?.answer(octetsOf("100"));
      two.line.taken.at(-1)?.answer(octetsOf(""));
      two.bring();
      two.time.pass(1_000);
    }
    expect([two.line.outcomes.length, two.line.endings, two.exchange.endings]).toEqual([20, 0, 0]);
  });
});

describe("one that is not needed", () => {
  it("ends when neither side has asked for a while, and not before", () => {
    const two = ends();
    two.exchange.ask("180", 7);
    two.bring();
    two.line.taken[0]?.answer(octetsOf(""));
    two.bring();
    two.time.pass(idleMs - 1);
    expect(two.line.isClosed).toBe(false);
    two.time.pass(1);
    two.bring();
    expect([two.line.isClosed, two.exchange.isClosed]).toEqual([true, true]);
    expect([two.line.endings, two.exchange.endings]).toEqual([1, 1]);
  });

  it("gives back what the other side asks at that moment: it was not taken, and may be asked another way", () => {
    const two = ends();
    two.time.pass(idleMs);
    two.exchange.ask("INVITE", 7);
    two.bring();
    expect([two.line.taken, two.exchange.outcomes]).toEqual([[], ["INVITE: untaken"]]);
  });

  it("answers what it has taken before it ends", () => {
    const two = ends();
    two.line.ask("REGISTER", 7);
    two.bring();
    two.exchange.socket.leave();
    two.bring();
    expect(two.line.isClosed).toBe(false);
    two.line.ask("BYE", 7);
    two.bring();
    two.exchange.taken[0]?.answer(octetsOf("200 to REGISTER"));
    two.bring();
    expect(two.line.isClosed).toBe(false);
    two.exchange.taken[1]?.answer(octetsOf("200 to BYE"));
    two.bring();
    expect(two.line.outcomes).toEqual(["REGISTER: 200 to REGISTER", "BYE: 200 to BYE"]);
    expect([two.line.isClosed, two.exchange.isClosed]).toEqual([true, true]);
  });

  it("ends though an answer is owed that does not come: then nobody knows", () => {
    const two = ends();
    two.line.ask("REGISTER", 7);
    two.bring();
    two.exchange.socket.leave();
    two.time.pass(frameAnswerMsMax - 1);
    expect(two.exchange.isClosed).toBe(false);
    two.time.pass(1);
    expect(two.exchange.isClosed).toBe(true);
    two.bring();
    expect(two.line.outcomes).not.toContain("REGISTER: untaken");
    expect(two.line.outcomes).toHaveLength(1);
  });

  it("ends at the exchange as well when the line's word does not come through", () => {
    const two = ends();
    two.time.pass(idleMs);
    two.way = [];
    two.time.pass(leftMs - idleMs);
    expect(two.exchange.isClosed).toBe(true);
  });
});
