import { beforeEach, describe, expect, it } from "vitest";
import { News } from "../../../kit/phone/news.ts";
import { ManualEnvironment } from "./manual-environment.ts";

let environment: ManualEnvironment;
let news: News;

beforeEach(() => {
  environment = new ManualEnvironment();
  news = new News(environment);
});

describe("who waits for news", () => {
  it("looks at once, and again whenever something is told", async () => {
    const things: string[] = ["one"];
    expect(await news.find(() => things[0], 0)).toBe("one");
    const second = news.find(() => things[1], 1_000);
    const both = news.holds(() => things.length === 2, 1_000);
    news.tell();
    things.push("two");
    news.tell();
    expect([await second, await both]).toEqual(["two", true]);
  });

  it("leaves no timer behind when it is told", async () => {
    const change = news.change(1_000);
    news.tell();
    await change;
    expect(environment.planned).toBe(0);
  });

  it("waits no longer than the bound", async () => {
    const nothing = news.find(() => undefined, 500);
    const never = news.holds(() => false, 500);
    environment.advance(500);
    expect([await nothing, await never]).toEqual([undefined, false]);
  });
});
