import { expect, test } from "vitest";
import { base36, base36Of32 } from "../../sip/base-36.ts";

test.each([
  [0, 7],
  [35, 4],
  [36, 4],
  [1295, 2],
  [1296, 3],
  [2 ** 32 - 1, 7],
  [Date.UTC(2026, 10, 21), 9],
  [36 ** 9 - 1, 9],
  [Number.MAX_SAFE_INTEGER, 11],
])("%i in %i digits", (value, width) => {
  expect(base36(value, width)).toBe(value.toString(36).padStart(width, "0"));
});

test.each([0, 35, 36, 1295, 1296, 46_655, 46_656, 1_679_615, 1_679_616, 60_466_175, 2 ** 31, 2 ** 32 - 1])("%i of 32 bits", (value) => {
  expect(base36Of32(value)).toBe(base36(value, 7));
});

test("what does not fit is cut off in front", () => {
  expect(base36(36 ** 4 + 1, 4)).toBe("0001");
});
