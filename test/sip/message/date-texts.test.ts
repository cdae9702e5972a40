import { describe, expect, it } from "vitest";
import { DateTexts } from "../../../sip/message/date-texts.ts";

describe("the text of a time", () => {
  it("[RFC3261 20.17] is that of its second, also when the clock is set back", () => {
    const texts = new DateTexts();
    const at = Date.UTC(2026, 10, 30, 6, 5, 4);
    const asked = [at, at + 999, at + 1_000, at - 1, at].map((ms) => texts.of(ms));
    expect(asked).toEqual([
      "Mon, 30 Nov 2026 06:05:04 GMT",
      "Mon, 30 Nov 2026 06:05:04 GMT",
      "Mon, 30 Nov 2026 06:05:05 GMT",
      "Mon, 30 Nov 2026 06:05:03 GMT",
      "Mon, 30 Nov 2026 06:05:04 GMT",
    ]);
  });
});
