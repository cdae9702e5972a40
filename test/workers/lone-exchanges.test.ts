import { describe, expect, it } from "vitest";
import { LoneExchanges } from "../../workers/core-group/lone-exchanges.ts";
import { loneSaidMs } from "../../workers/limits.ts";

describe("LoneExchanges", () => {
  it("are said in one line when no more come, and once when it is over", () => {
    const lone = new LoneExchanges("b");
    expect(lone.line(10_000)).toBeUndefined();
    for (const exchange of [2, 0, 1]) lone.set(exchange, "cell a answered 401 to /cell/pair", 20_000 + exchange);
    expect(lone.line(20_100)).toBeUndefined();
    expect(lone.line(20_002 + loneSaidMs)).toBe(
      "cell b: no second replica of exchanges 0 to 2: cell a answered 401 to /cell/pair; what changes there is in this cell only",
    );
    for (let at = 30_000; at < 90_000; at += 1_000) expect(lone.line(at)).toBeUndefined();
    lone.set(1, undefined, 90_000);
    expect(lone.line(90_000 + loneSaidMs)).toBe("cell b: a second replica again of exchange 1, none yet of exchanges 0, 2");
    for (const exchange of [0, 2]) lone.set(exchange, undefined, 100_000);
    expect(lone.line(100_000 + loneSaidMs)).toBe("cell b: a second replica again of exchanges 0, 2");
    expect(lone.line(200_000)).toBeUndefined();
  });

  it("says nothing of one that comes and goes before it is said", () => {
    const lone = new LoneExchanges("b");
    lone.set(0, "refused", 20_000);
    lone.set(0, undefined, 20_500);
    expect(lone.line(90_000)).toBeUndefined();
  });
});
