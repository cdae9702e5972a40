import { describe, expect, it } from "vitest";
import { comesTrue, until } from "../../../kit/world/until.ts";

describe("a wait for a condition", () => {
  it("ends when it holds, now or later", async () => {
    let asked = 0;
    await until(() => true);
    await until(() => Promise.resolve((asked += 1) === 3));
    expect(asked).toBe(3);
    expect(await comesTrue(() => true, 0)).toBe(true);
  });

  it("ends when it does not hold within the bound, and says what was waited for", async () => {
    expect(await comesTrue(() => false, 20)).toBe(false);
    await expect(until(() => false, 20)).rejects.toThrow("not within 20 ms: () => false");
  });
});
