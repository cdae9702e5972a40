import { beforeEach, describe, expect, it } from "vitest";
import type { PhoneFlow } from "../../../sip/dialog/present-flow.ts";
import { PhoneFinder, type Search } from "../../../actors/exchange/phone-finder.ts";
import { phoneAnswerMsMax, phoneAskMsMax, phoneAskMsMin, phoneSearchesMax, phoneSearchesPerUserMax } from "../../../actors/limits.ts";
import { phoneReturnMs, phoneSearchMs } from "../../../sip/limits.ts";
import { TimerTable } from "../../../sip/transaction/timer-table.ts";

const here = "bob@example.test";
const there = "carol@example.test";
const bound: PhoneFlow = { contact: "sip:x", instanceId: "", flow: "g1~x", registeredAt: 0 };

let now = 0;
let timers = new TimerTable();
let flows: PhoneFlow[] = [];
let asked: { readonly name: string; readonly at: number }[] = [];
let finder: PhoneFinder;

beforeEach(() => {
  now = 1_000_000;
  timers = new TimerTable();
  flows = [];
  asked = [];
  finder = new PhoneFinder({
    timers,
    flowsHere: (addressOfRecord) => (addressOfRecord === there ? undefined : flows),
    ask: (_addressOfRecord, name) => asked.push({ name, at: now }),
  });
});

/** A search that is over as soon as there is any flow; what came of it, and how often it has looked. */
function search(addressOfRecord: string, ms: number = phoneReturnMs): Search & { outcome: string; looks: number } {
  const made = {
    addressOfRecord,
    until: now + ms,
    outcome: "",
    looks: 0,
    look: (found: readonly PhoneFlow[] | undefined): boolean => {
      made.looks += 1;
      if (found === undefined || found.length === 0) return false;
      made.outcome = "found";
      return true;
    },
    giveUp: (): void => {
      made.outcome = "given up";
    },
  };
  return made;
}

function advance(ms: number, answers?: readonly PhoneFlow[]): void {
  const end = now + ms;
  for (let next = timers.nextDeadline(); next !== undefined && next <= end; next = timers.nextDeadline()) {
    now = Math.max(now, next);
    timers.fireDue(now);
    finder.settle(now);
    answer(answers);
  }
  now = end;
}

/** The other exchange answers what it has been asked last. */
function answer(answers: readonly PhoneFlow[] | undefined): void {
  const last = asked.at(-1);
  if (answers !== undefined && last !== undefined) finder.answered(last.name, answers, now);
}

function nothingIsLeft(): void {
  expect([finder.size, timers.size]).toEqual([0, 0]);
}

describe("a phone of this exchange", () => {
  it("is found at once, though never from inside the call", () => {
    flows = [bound];
    const made = search(here);
    finder.start(made, now);
    expect(made.outcome).toBe("");
    expect(finder.settle(now)).toBe(true);
    expect(made.outcome).toBe("found");
    expect(finder.settle(now)).toBe(false);
    nothingIsLeft();
  });

  it("is found when it registers; nobody looks before", () => {
    const made = search(here);
    finder.start(made, now);
    finder.settle(now);
    advance(phoneReturnMs - 1);
    expect(made.looks).toBe(1);
    flows = [bound];
    expect(finder.registered(here)).toBe(true);
    expect(finder.registered(there)).toBe(false);
    finder.settle(now);
    expect(made.outcome).toBe("found");
    nothingIsLeft();
  });

  it("is given up when its time is over, or at once when there is none", () => {
    const patient = search(here);
    const hasty = search(here, 0);
    finder.start(patient, now);
    finder.start(hasty, now);
    finder.settle(now);
    expect([patient.outcome, hasty.outcome]).toEqual(["", "given up"]);
    advance(phoneReturnMs);
    expect(patient.outcome).toBe("given up");
    nothingIsLeft();
  });

  it("is looked for when a way opens; while nobody is, that sets no timer", () => {
    finder.wayCame();
    expect(timers.size).toBe(0);
    const made = search(here);
    finder.start(made, now);
    finder.settle(now);
    flows = [bound];
    finder.wayCame();
    advance(0);
    expect(made.outcome).toBe("found");
    nothingIsLeft();
  });

  it("is not looked for any more when nobody wants to know, even in the same event", () => {
    const second = search(here);
    const first = { ...search(here), look: () => (finder.stop("second"), true) };
    finder.start(first, now, "first");
    finder.start(second, now, "second");
    finder.settle(now);
    expect([second.looks, second.outcome]).toEqual([0, ""]);
    nothingIsLeft();
  });
});

describe("a phone of another exchange", () => {
  it("is asked for again after growing pauses, until the time is over", () => {
    const made = search(there);
    finder.start(made, now);
    finder.settle(now);
    answer([]);
    advance(phoneReturnMs, []);
    const times = asked.map(({ at }) => at);
    const pauses = times.slice(1).map((at, index) => at - (times[index] ?? 0));
    expect(pauses.slice(0, 4)).toEqual([phoneAskMsMin, 200, 400, 800]);
    expect(Math.max(...pauses)).toBe(phoneAskMsMax);
    expect(times.length).toBeLessThanOrEqual(10);
    expect(made.outcome).toBe("given up");
    nothingIsLeft();
  });

  it("is found by a later answer", () => {
    const made = search(there);
    finder.start(made, now);
    finder.settle(now);
    answer([]);
    advance(phoneAskMsMin, [bound]);
    expect(made.outcome).toBe("found");
    finder.answered(asked[0]?.name ?? "", [bound], now);
    nothingIsLeft();
  });

  it("is asked for once more when an answer does not come, and not before it could have", () => {
    const made = search(there);
    finder.start(made, now);
    finder.settle(now);
    advance(phoneAnswerMsMax - 1);
    expect(asked).toHaveLength(1);
    advance(1);
    expect(asked).toHaveLength(2);
    answer([bound]);
    expect(made.outcome).toBe("found");
    nothingIsLeft();
  });

  it("without time to wait gets one answer's time", () => {
    const made = search(there, 0);
    finder.start(made, now);
    finder.settle(now);
    advance(phoneSearchMs - 1);
    expect(made.outcome).toBe("");
    answer([]);
    expect(made.outcome).toBe("");
    advance(1);
    expect(made.outcome).toBe("given up");
    nothingIsLeft();
  });
});

describe("an exchange that answers late", () => {
  it("has one question for all who look for one user's phones, and all hear the answer", () => {
    const made = Array.from({ length: 50 }, () => search(there));
    for (const each of made) {
      finder.start(each, now);
      finder.settle(now);
      advance(50);
    }
    expect(asked).toHaveLength(1);
    answer([bound]);
    expect(new Set(made.map(({ outcome }) => outcome))).toEqual(new Set(["found"]));
    nothingIsLeft();
  });

  it("is asked again for one who looks once and came after the question had left", () => {
    const [first, second] = [search(there, 0), search(there, 0)].map((each) => Object.assign(each, { isOnce: true }));
    if (first === undefined || second === undefined) throw new Error("two are needed");
    finder.start(first, now);
    finder.settle(now);
    advance(10);
    finder.start(second, now);
    finder.settle(now);
    answer([]);
    expect([asked.length, first.outcome, second.outcome]).toEqual([2, "given up", ""]);
    answer([bound]);
    expect(second.outcome).toBe("found");
    nothingIsLeft();
  });

  it("tells those who came later though the first one wants to know no more", () => {
    const [first, second] = [search(there), search(there)];
    finder.start(first, now, "first");
    finder.start(second, now, "second");
    finder.settle(now);
    finder.stop("first");
    answer([bound]);
    expect([first.outcome, second.outcome, asked.length]).toEqual(["", "found", 1]);
    nothingIsLeft();
  });
});

describe("too many searches", () => {
  it("of one user: over phoneSearchesPerUserMax one is looked for once and given up; others' are held", () => {
    for (let index = 0; index < phoneSearchesPerUserMax; index += 1) finder.start(search(here), now);
    const late = [search(here), search("dave@example.test")];
    for (const each of late) finder.start(each, now);
    finder.settle(now);
    expect(late.map(({ outcome, looks }) => [outcome, looks])).toEqual([
      ["given up", 1],
      ["", 1],
    ]);
    expect(finder.size).toBe(phoneSearchesPerUserMax + 1);
    advance(phoneReturnMs);
    nothingIsLeft();
  });

  it("over phoneSearchesMax one is looked for once and given up, and the others are not forgotten", () => {
    const held = Array.from({ length: phoneSearchesMax }, (_, index) => search(`user${index}@example.test`));
    for (const each of held) finder.start(each, now);
    finder.settle(now);
    const late = [search(here), search(there)];
    for (const each of late) finder.start(each, now);
    finder.settle(now);
    expect(late.map(({ outcome, looks }) => [outcome, looks])).toEqual([
      ["given up", 1],
      ["given up", 1],
    ]);
    expect([finder.size, asked.length]).toEqual([phoneSearchesMax, 0]);
    flows = [bound];
    for (const { addressOfRecord } of held) finder.registered(addressOfRecord);
    finder.settle(now);
    expect(held.every(({ outcome }) => outcome === "found")).toBe(true);
    nothingIsLeft();
  });
});
