import { expect, it } from "vitest";
import { plentyMs, plentyText, plentyLeftMs } from "../../cluster/disk-plenty.ts";

const now = Date.UTC(2026, 10, 30);

it("is good for a while, and not for a clock that was set", () => {
  const text = plentyText(now);
  expect(plentyLeftMs(text, now)).toBe(plentyMs);
  expect(plentyLeftMs(text, now + plentyMs - 1)).toBe(1);
  expect(plentyLeftMs(text, now + plentyMs)).toBe(0);
  expect(plentyLeftMs(text, now - plentyMs)).toBe(0);
});

it("is never good when there is not plenty, nor of a text that is no such one", () => {
  for (const text of [
    plentyText(0),
    "",
    "plenty",
    String(now),
    `${plentyText(now)}0`,
    "99999999999999",
    "-1".padStart(14, "0"),
    "NaN".padStart(14),
  ])
    expect(plentyLeftMs(text, now)).toBe(0);
});

it("takes the place of the text before: all are as long", () => {
  expect(plentyText(0)).toHaveLength(plentyText(now).length);
  expect(plentyText(now + 0.7)).toHaveLength(14);
});
