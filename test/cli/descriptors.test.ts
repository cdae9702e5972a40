import { describe, expect, it } from "vitest";
import { descriptorsMaxOf, softphonesMaxFor } from "../../cli/descriptors.ts";

const head = "Limit                     Soft Limit           Hard Limit           Units     \n";

describe("descriptorsMaxOf", () => {
  it.each([
    [`${head}Max open files            1024                 524288               files     \n`, 1024],
    [`${head}Max open files            unlimited            unlimited            files     \n`, undefined],
    [`${head}Max processes             100                  100                  processes \n`, undefined],
    ["", undefined],
  ])("%j says %s", (text, max) => expect(descriptorsMaxOf(text)).toBe(max));
});

describe("softphonesMaxFor", () => {
  it("allows two and a half for each softphone, once its own are taken off", () => {
    expect(softphonesMaxFor(26_000, 2)).toBe(10_289);
    expect(softphonesMaxFor(1_048_576, 2)).toBeGreaterThan(400_000);
  });

  it("leaves more where there are more exchanges, whose backhauls and peer links find room", () => {
    expect(softphonesMaxFor(20_000, 100)).toBeLessThan(softphonesMaxFor(20_000, 2) - 700);
  });

  it("is one at least: none would be no limit but the end of the service", () => {
    expect(softphonesMaxFor(64, 2)).toBe(1);
  });
});
