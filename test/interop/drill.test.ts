import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, it } from "vitest";
import { whyNoMachines } from "../../cli/drill/among-machines.ts";
import { startOf } from "../../cli/process-table.ts";
import { program } from "../../cli/program.ts";
import { runScript } from "../../kit/world/namespaces.ts";
import { type Outcome, tandem } from "../../kit/world/tandem.ts";
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

/** Machines are network namespaces, which not every user may make. */
const whyNone = whyNoMachines();

/** Runs a drill to its end. Its process id is that of the one who makes its machines. */
async function drill(...words: readonly string[]): Promise<Outcome & { readonly pid: number }> {
  const [command = "", ...first] = program.command;
  const child = spawn(command, [...first, "drill", ...words], { stdio: ["ignore", "pipe", "pipe"] });
  let [out, err] = ["", ""];
  child.stdout.on("data", (chunk) => void (out += String(chunk)));
  child.stderr.on("data", (chunk) => void (err += String(chunk)));
  await once(child, "close");
  return { code: child.exitCode ?? -1, out, err, pid: child.pid ?? 0 };
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

  it("ends with everything it has started when it is told to, in the middle", { timeout: 240_000 }, async () => {
    const child = spawn(node, [resolve(root, "cli/tandem.ts"), "drill", "--quick", "--fault", "freeze-cell", "--transport", "tcp"], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    const closed = once(child, "close");
    const lines: string[] = [];
    createInterface({ input: child.stderr }).on("line", (line) => void lines.push(line));
    await until(() => lines.some((line) => line.includes("new calls a second")), 120_000);
    const started = descendantsOf(child.pid ?? 0);
    expect(started.length).toBeGreaterThanOrEqual(4);
    child.kill("SIGINT");
    await closed;
    expect(child.exitCode).toBe(1);
    expect(lines.at(-1)).toBe("tandem: ended early: SIGINT");
    await until(() => started.every((pid) => startOf(pid) === undefined));
  });

  it.runIf(whyNone === undefined)(
    "loses the first of four machines that have joined under load, and nobody misses it",
    { timeout: 300_000 },
    async () => {
      const { code, out, err, pid } = await drill("--quick", "--fault", "lose-host", "--transport", "tcp", "--rate", "5", "--json");
      expect([code, err.split("\n").filter((line) => line.startsWith("tandem: "))]).toEqual([0, []]);
      const { results }: { readonly results: readonly { readonly group: { readonly replicas: Readonly<Record<string, number>> } }[] } =
        JSON.parse(out);
      const [lost] = results;
      const any = expect.any(Number) as number;
      const servingMs = any;
      expect(results).toEqual([
        expect.objectContaining({
          detectionMs: expect.any(Number),
          established: { ended: 20, lost: 0 },
          ringing: { completed: 6, lost: 0 },
          cancelled: { ended: 3, lost: 0 },
          registrations: { kept: 40, lost: 0 },
          newCalls: expect.objectContaining({ failed: 0 }),
          isWhole: true,
          losses: [],
          group: {
            wholeAfterMs: [expect.any(Number)],
            moves: 5,
            replicas: { b: any, c: any, d: any },
            arrivals: [expect.any(String), "h2", "h3", "h4"].map((host) => ({ host, servingMs })),
          },
        }),
      ]);
      // Twenty replicas in three cells: which one has one less depends on when each machine came.
      expect(Object.values(lost?.group.replicas ?? {}).toSorted((x, y) => x - y)).toEqual([6, 7, 7]);
      expect(runScript("ip netns list")).not.toContain(`tandem-drill-${pid}-`);
    },
  );
});
