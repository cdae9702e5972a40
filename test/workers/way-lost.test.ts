import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { warnOf } from "../../workers/way-lost.ts";
import { answerAsPeer, callApi } from "./cell.ts";

let warned: string[];

beforeEach(() => {
  warned = [];
  vi.spyOn(console, "warn").mockImplementation((text) => void warned.push(String(text)));
});

afterEach(() => void vi.restoreAllMocks());

describe("a cell that is asked while it dies", () => {
  it("has no line of its own in the log: that it is down is said by the core group", async () => {
    answerAsPeer(() => Promise.reject(new Error("Network connection lost.")));
    const body = { draining: true };
    const response = await callApi("PUT", "/cells/b", body);
    expect([response.status, await response.json()]).toEqual([503, { error: "cell b cannot be reached" }]);
    warnOf("line a.0", new Error("Network connection lost."));
    expect(warned).toEqual([]);
  });

  it("anything else is said, and what it was about", async () => {
    answerAsPeer(() => Promise.reject(new Error("overloaded")));
    await callApi("PUT", "/cells/b", { draining: true });
    expect(warned).toEqual(["cell b is not told whether it is in service: overloaded"]);
  });
});
