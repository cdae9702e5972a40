import { describe, expect, it } from "vitest";
import { frameValidMs } from "../../actors/limits.ts";
import { TimelyCalls, type TimelyOutcome } from "../../actors/timely-calls.ts";

const answer = new Uint8Array([1]);
const lost = new Error("connection lost");

type Sent = { readonly until: number | undefined; readonly over: (outcome: TimelyOutcome) => void };

/** Calls to cell b; what was sent, and what came of it. */
function world(): {
  readonly sent: Sent[];
  readonly results: (Uint8Array | Error)[];
  readonly calls: TimelyCalls<string>;
  /** It is so late now. */
  readonly at: (now: number) => void;
  readonly bring: (now: number) => void;
  readonly end: (outcome: Partial<TimelyOutcome>, at: number) => void;
} {
  const sent: Sent[] = [];
  const results: (Uint8Array | Error)[] = [];
  let clock = 0;
  const calls = new TimelyCalls<string>(
    (_cell, _request, until, over) => sent.push({ until, over }),
    () => clock,
  );
  return {
    sent,
    results,
    calls,
    at: (now) => void (clock = now),
    bring: (now) => {
      clock = now;
      calls.bring("b", "request", (result) => results.push(result));
    },
    end: (outcome, at) => {
      clock = at;
      sent.at(-1)?.over({ result: answer, isRefused: false, clock: Number.NaN, heardAt: at, ...outcome });
    },
  };
}

/** Refused, by a clock that is 5 s ahead. */
function refusal(at: number): Partial<TimelyOutcome> {
  return { result: new Error("it came too late"), isRefused: true, clock: at + 5_000 };
}

describe("calls that come in time", () => {
  it("ask a cell for its time first, and name a time by its clock then", () => {
    const { sent, results, bring, end } = world();
    bring(1_000);
    expect(sent).toMatchObject([{ until: undefined }]);
    end(refusal(1_010), 1_010);
    expect(sent).toMatchObject([{ until: undefined }, { until: 1_010 + 5_000 + frameValidMs }]);
    end({ clock: 6_020 }, 1_020);
    expect(results).toEqual([answer]);
    bring(2_000);
    expect(sent.at(-1)).toMatchObject({ until: 2_000 + 5_000 + frameValidMs });
  });

  it("know the time as well from what was asked otherwise", () => {
    const { sent, calls, at, bring } = world();
    at(1_000);
    calls.heard("b", 6_000);
    bring(1_100);
    expect(sent).toMatchObject([{ until: 6_100 + frameValidMs }]);
  });

  it("are not sent again when nobody knows what became of them", () => {
    const { sent, results, bring, end } = world();
    bring(1_000);
    end({ result: lost }, 1_010);
    expect([sent.length, results]).toEqual([1, [lost]]);
  });

  it("are given up by a cell that refuses whatever is sent", () => {
    const { sent, results, bring, end } = world();
    bring(1_000);
    for (let at = 1_010; results.length === 0; at += 10) end(refusal(at), at);
    expect([sent.length, results]).toEqual([3, [new Error("it came too late")]]);
  });
});
