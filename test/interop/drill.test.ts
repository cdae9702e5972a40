import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, it } from "vitest";
import { startOf } from "../../cli/process-table.ts";
import { tandem } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";

const root = resolve(import.meta.dirname, "../..");
const node = resolve(root, "node_modules/.bin/node");

/** Processes below one, by id. */
function descendantsOf(pid: number): number[] {
  const lines = execFileSync("ps", ["-e", "-o", "pid=,ppid="], { encoding: "utf8" }).trim().split("\n");
  const pairs = lines.map((line) => line.trim().split(/\s+/).map(Number));
  const children = (parent: number): number[] => pairs.flatMap(([child = 0, of]) => (of === parent ? [child, ...children(child)] : []));
  return children(pid);
}

describe("tandem drill", () => {
  it("kills a cell under load and loses nothing that was promised", { timeout: 90_000 }, async () => {
    const { code, out, err } = await tandem(["drill", "--quick", "--fault", "kill-cell", "--transport", "udp", "--json"]);
    const answer: { readonly results: readonly object[] } = JSON.parse(out);
    expect(answer.results).toEqual([
      {
        fault: "kill-cell",
        transport: "udp",
        detectionMs: expect.any(Number),
        established: { ended: 20, lost: 0 },
        ringing: { completed: 6, lost: 0 },
        cancelled: { ended: 3, lost: 0 },
        registrations: { kept: 40, lost: 0 },
        newCalls: { made: expect.any(Number), failed: 0, slow: expect.any(Number), slowestMs: expect.any(Number) },
        identicalAfterMs: expect.any(Number),
        isWhole: true,
        failedBefore: 0,
        anomalies: { "REGISTER failed": 0, "flow given up": 0 },
        losses: [],
      },
    ]);
    expect(code).toBe(0);
    expect(err).toContain("kill-cell UDP");
  });

  it("ends with everything it has started when it is told to, in the middle", { timeout: 60_000 }, async () => {
    const child = spawn(node, [resolve(root, "cli/tandem.ts"), "drill", "--quick", "--fault", "freeze-cell", "--transport", "tcp"], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    const closed = once(child, "close");
    const lines: string[] = [];
    createInterface({ input: child.stderr }).on("line", (line) => void lines.push(line));
    await until(() => lines.some((line) => line.includes("new calls a second")));
    const started = descendantsOf(child.pid ?? 0);
    expect(started.length).toBeGreaterThanOrEqual(4);
    child.kill("SIGINT");
    await closed;
    expect(child.exitCode).toBe(1);
    expect(lines.at(-1)).toBe("tandem: ended early: SIGINT");
    await until(() => started.every((pid) => startOf(pid) === undefined));
  });
});
