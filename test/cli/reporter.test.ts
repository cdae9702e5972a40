import { describe, expect, it } from "vitest";
import { humanReporter, jsonReporter } from "../../cli/reporter.ts";

const now = (): Date => new Date(2026, 0, 2, 3, 4, 5);

function capture(): { io: { out: (text: string) => void }; text: () => string } {
  let text = "";
  return { io: { out: (more) => void (text += more) }, text: () => text };
}

describe("humanReporter", () => {
  it("shows steps, then what happens, and does not bury the steps under what processes say meanwhile", () => {
    const { io, text } = capture();
    const reporter = humanReporter(io, now);
    reporter.line("cell a", "starting");
    reporter.step("cells", "a http://x", 1_234);
    reporter.ready({});
    reporter.line("cell a", "oh");
    reporter.line("gateway g1", "2026-01-02T03:04:05.678Z gateway g1 control-up");
    reporter.line("cell a", "cell a: view 2");
    reporter.event("cell a", "died", "process 7 was ended by SIGKILL");
    const time = now().toISOString();
    expect(text().split("\n")).toEqual([
      "  cells        a http://x (1.2 s)",
      "ready",
      `${time} cell a: oh`,
      "2026-01-02T03:04:05.678Z gateway g1 control-up",
      `${time} cell a: view 2`,
      `${time} cell a died: process 7 was ended by SIGKILL`,
      "",
    ]);
  });

  it("lets no control character of others through to the terminal", () => {
    const { io, text } = capture();
    const reporter = humanReporter(io, now);
    reporter.ready({});
    reporter.line("cell a", "x\u001b[2J");
    reporter.event("join door", "refused", "192.0.2.1: \u009b31m");
    const time = now().toISOString();
    expect(text()).toBe(`ready\n${time} cell a: x?[2J\n${time} join door refused: 192.0.2.1: ?31m\n`);
  });

  it("shows warnings of the start when all is ready, and nothing else of it", () => {
    const { io, text } = capture();
    const reporter = humanReporter(io, now);
    reporter.line("cell a", "cell a: view 2");
    reporter.line("cell a", "invite_log: 2 rows are of format 3", true);
    reporter.step("cells", "a http://x", 1_234);
    reporter.ready({});
    expect(text()).toBe(`  cells        a http://x (1.2 s)\nready\n${now().toISOString()} cell a: invite_log: 2 rows are of format 3\n`);
  });

  it("shows what processes said when the start fails", () => {
    const { io, text } = capture();
    const reporter = humanReporter(io, now);
    reporter.line("cell a", "no luck");
    expect(text()).toBe("");
    reporter.failed();
    expect(text()).toBe(`${now().toISOString()} cell a: no luck\n`);
  });
});

describe("jsonReporter", () => {
  it("writes one object per line, and no text for people", () => {
    const { io, text } = capture();
    const reporter = jsonReporter(io, now);
    reporter.step("cells", "a", 1.4);
    reporter.line("cell a", "oh");
    reporter.event("cell a", "died", "why");
    reporter.text("hello");
    reporter.ready({ domain: "d" });
    const time = now().toISOString();
    expect(
      text()
        .trimEnd()
        .split("\n")
        .map((line): unknown => JSON.parse(line)),
    ).toEqual([
      { event: "step", time, step: "cells", detail: "a", ms: 1 },
      { event: "line", time, process: "cell a", text: "oh" },
      { event: "died", time, process: "cell a", cause: "why" },
      { event: "ready", time, domain: "d" },
    ]);
  });
});
