import { describe, expect, it } from "vitest";
import { unreachableMs } from "../../../actors/limits.ts";
import { ReplicaChoice } from "../../../actors/line/replica-choice.ts";

const cells = ["a", "b"];

describe("the replica that a softphone's message goes to", () => {
  it("is the first one, the other while that cannot be reached, and the first one again", () => {
    const choice = new ReplicaChoice();
    expect(choice.choose(0, cells, "p", 0)).toBe("a");
    choice.failed(0, "a", [], 0);
    expect(choice.choose(0, cells, "p", unreachableMs - 1)).toBe("b");
    expect(choice.choose(1, cells, "p", 1)).toBe("a");
    expect(choice.choose(0, cells, "p", unreachableMs)).toBe("a");
    choice.failed(0, "a", [], 0);
    choice.failed(0, "b", [], 0);
    expect(choice.choose(0, cells, "p", 1)).toBeUndefined();
    choice.answered(0, "a", 0);
    expect(choice.choose(0, cells, "p", 1)).toBe("a");
  });

  it("[RFC3261 9.1] stays the one that has the phone's last message until it has answered: a CANCEL does not overtake its INVITE", () => {
    const choice = new ReplicaChoice();
    choice.failed(0, "a", [], 0);
    choice.given(0, "b", "a", "p", 7);
    expect(choice.choose(0, cells, "p", unreachableMs)).toBe("b");
    expect(choice.choose(0, cells, "other", unreachableMs)).toBe("a");
    // The CANCEL is behind the INVITE now.
    choice.given(0, "b", "a", "p", 8);
    choice.answered(0, "b", 7);
    expect(choice.choose(0, cells, "p", unreachableMs)).toBe("b");
    choice.answered(0, "b", 8);
    expect(choice.choose(0, cells, "p", unreachableMs)).toBe("a");
  });

  it("is not the one that a message was rightly given to: the next goes where its token says", () => {
    const choice = new ReplicaChoice();
    choice.given(0, "b", "b", "p", 3);
    expect(choice.choose(0, cells, "p", 0)).toBe("a");
  });

  it("is another one when the one that has the phone's last message is lost as well", () => {
    const choice = new ReplicaChoice();
    choice.failed(0, "a", [], 0);
    choice.given(0, "b", "a", "p", 1);
    choice.failed(0, "b", [], unreachableMs);
    expect(choice.choose(0, cells, "p", unreachableMs)).toBe("a");
  });
});

describe("a replica that is heard though it counts as lost", () => {
  it("is the first one at once", () => {
    const choice = new ReplicaChoice();
    choice.failed(0, "a", [], 0);
    choice.failed(1, "a", [], 0);
    expect(choice.hasLost(1)).toBe(true);
    choice.heard(0, "a");
    expect([choice.choose(0, cells, "p", 1), choice.choose(1, cells, "p", 1)]).toEqual(["a", "b"]);
  });

  it("may have started anew: its calls of before are to be taken over still", () => {
    const choice = new ReplicaChoice();
    choice.failed(0, "a", [], 0);
    choice.heard(0, "a");
    expect(choice.owesTakeover(0, "b")).toBe(true);
  });

  it("is nothing to look for when none is lost, or not any more", () => {
    const choice = new ReplicaChoice();
    expect(choice.hasLost(0)).toBe(false);
    choice.failed(0, "a", [], 0);
    expect([choice.hasLost(unreachableMs - 1), choice.hasLost(unreachableMs)]).toEqual([true, false]);
  });
});

describe("a takeover", () => {
  it("is owed once, to whoever takes the place of a lost replica", () => {
    const choice = new ReplicaChoice();
    expect(choice.owesTakeover(0, "b")).toBe(false);
    choice.failed(0, "a", [], 0);
    expect([choice.owesTakeover(1, "b"), choice.owesTakeover(0, "b"), choice.owesTakeover(0, "b")]).toEqual([false, true, false]);
  });

  it("is owed still when both were lost, and the first one back is the one that was lost first", () => {
    const choice = new ReplicaChoice();
    choice.failed(0, "a", [], 0);
    expect(choice.owesTakeover(0, "b")).toBe(true);
    choice.failed(0, "b", [], 10);
    expect(choice.owesTakeover(0, "a")).toBe(true);
  });

  it("is owed again when whoever was told of it did not say that it heard", () => {
    const choice = new ReplicaChoice();
    choice.failed(0, "a", [], 0);
    choice.owesTakeover(0, "b");
    choice.failed(0, "b", cells, 10);
    expect(choice.owesTakeover(0, "b")).toBe(true);
  });

  it("is not owed for one that answers again: it has its calls", () => {
    const choice = new ReplicaChoice();
    choice.failed(0, "a", [], 0);
    choice.answered(0, "a", 1);
    expect(choice.owesTakeover(0, "b")).toBe(false);
  });
});
