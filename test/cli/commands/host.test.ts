import { expect, it } from "vitest";
import { hostsText } from "../../../cli/commands/host.ts";

it("what a host says of itself fits into its columns, and nothing of it is yet to come", () => {
  const process = { id: "g1", kind: "gateway", state: "up", since: Date.now() + 3_600_000, starts: 1 } as const;
  const lastWords = `\u202e${"x".repeat(300)}`;
  const report = { version: "1".repeat(64), since: 1, processes: [{ ...process, lastWords, saidAt: Date.now() }] };
  const lines = hostsText([{ host: "h2", state: "up", agoMs: 1, report }]).split("\n");
  expect(lines[2]).toMatch(/^h2 +gateway g1 +up +\? +.* ago: \?x+…$/);
  for (const line of lines) expect(line.length).toBeLessThan(180);
});
