import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { humanReporter, jsonReporter, type Reporter } from "../../cli/reporter.ts";
import { FailedLoginLines } from "../../actors/exchange/failed-logins.ts";

const operations = readFileSync(new URL("../../docs/operations.md", import.meta.url), "utf8");

/** The expressions of the filter that docs/operations.md gives, as fail2ban reads them. */
function filters(): RegExp[] {
  const [, text = ""] = /failregex = ([\s\S]*?)\n\n/.exec(operations) ?? [];
  const lines = text.split("\n").map((line) => line.trim());
  return lines.map((line) => new RegExp(line.replace("<ADDR>", "(?<host>[0-9a-fA-F.:]+)")));
}

function lineOf(address: string, addressOfRecord: string, make: (io: { out(text: string): void }, now: () => Date) => Reporter): string {
  let written = "";
  const reporter = make({ out: (text) => (written += text) }, () => new Date(0));
  reporter.ready({});
  written = "";
  reporter.line("cell a", new FailedLoginLines().lineOf({ address, addressOfRecord, method: "REGISTER", isChecked: true }, 0) ?? "");
  return written.trimEnd();
}

describe("the filter for fail2ban", () => {
  it.each([
    ["198.51.100.7", "alice@example.test"],
    ["2001:db8::7", "%20from%20203.0.113.1%20as%20x%20(@example.test"],
  ])("finds %s in what a system logs, in both forms", (address, user) => {
    const [human, json] = filters();
    const line = lineOf(address, user, humanReporter);
    expect(human?.exec(line)?.groups).toEqual({ host: address });
    // fail2ban takes the time away first.
    expect(human?.exec(line.replace("1970-01-01T00:00:00.000Z", ""))?.groups).toEqual({ host: address });
    expect(json?.exec(lineOf(address, user, jsonReporter))?.groups).toEqual({ host: address });
  });

  it("finds the examples beside it, and nothing in other lines", () => {
    const examples = operations.split("\n").filter((line) => line.includes(" cell a: failed login"));
    const [human] = filters();
    expect(examples.map((line) => human?.exec(line.trim())?.groups?.["host"])).toEqual(["198.51.100.7", "198.51.100.7"]);
    for (const other of [
      "cell a: view 17: cell a is down",
      'cell a: it said "failed login from 203.0.113.1 as x ("',
      "g1: failed login from 203.0.113.1 as x (",
    ]) {
      expect(human?.exec(other)).toBeNull();
    }
  });
});
