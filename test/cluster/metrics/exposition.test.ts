import { describe, expect, it } from "vitest";
import { expositionOf, single } from "../../../cluster/metrics/exposition.ts";

describe("expositionOf", () => {
  it("writes help, type and values of each metric, and leaves out what has none", () => {
    expect(
      expositionOf([
        single("tandem_fenced", "gauge", "1: alone.", 0),
        { name: "tandem_nothing", help: "Nothing.", type: "gauge", samples: [] },
        {
          name: "tandem_sip_requests_total",
          help: "Requests.",
          type: "counter",
          samples: [
            { labels: { method: "INVITE" }, value: 12 },
            { labels: { method: "BYE" }, value: 1.5 },
          ],
        },
      ]),
    ).toBe(
      [
        "# HELP tandem_fenced 1: alone.",
        "# TYPE tandem_fenced gauge",
        "tandem_fenced 0",
        "# HELP tandem_sip_requests_total Requests.",
        "# TYPE tandem_sip_requests_total counter",
        'tandem_sip_requests_total{method="INVITE"} 12',
        'tandem_sip_requests_total{method="BYE"} 1.5',
        "",
      ].join("\n"),
    );
  });

  it("escapes what ends a value, or a line", () => {
    const text = expositionOf([single("m", "gauge", "a\\b\nc", Number.POSITIVE_INFINITY, { x: 'q"\\\n' })]);
    expect(text).toBe('# HELP m a\\\\b\\nc\n# TYPE m gauge\nm{x="q\\"\\\\\\n"} +Inf\n');
  });

  it.each([
    [Number.NaN, "NaN"],
    [Number.NEGATIVE_INFINITY, "-Inf"],
    [1e21, "1e+21"],
  ])("writes %d", (value, text) => {
    expect(expositionOf([single("m", "gauge", "", value)])).toContain(`m ${text}\n`);
  });
});
