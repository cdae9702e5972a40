import { spawn } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

/**
 * What a catcher says of a mutant. `red`: it has found it. `green`: the mutant survives. `broken`: it could not even run, which proves nothing; `why`
 * says more.
 */
export type Verdict = { readonly color: "red" | "green" | "broken"; readonly why: string };

/** Who takes longer hangs: a mutant may well make a loop endless. */
const testsMsMax = 90_000;
const seedsMsMax = 60_000;
/** The seeds that each mutant meets: the first of them all. */
const seedCount = 150;

/** The tests of the core in these files and folders, until the first one fails. */
export async function runTests(scratch: string, tests: readonly string[]): Promise<Verdict> {
  const report = join(scratch, "mutation-report.json");
  const vitest = join("node_modules", "vitest", "vitest.mjs");
  const options = ["run", "--project", "core", "--bail", "1", "--reporter", "json", "--outputFile", report];
  rmSync(report, { force: true });
  const { isOver, output } = await run(scratch, [vitest, ...options, ...tests], testsMsMax);
  if (!isOver) return { color: "red", why: "the tests hang" };
  const result = readReport(report);
  if (result === undefined) return { color: "broken", why: output.slice(-400) };
  const { numFailedTests, numPassedTests, testResults } = result;
  const failed = testResults.flatMap(({ assertionResults }) => assertionResults).find(({ status }) => status === "failed");
  if (failed !== undefined) return { color: "red", why: failed.fullName };
  if (numFailedTests > 0 || numPassedTests === 0) return { color: "broken", why: testResults.map(({ message }) => message).join("\n") };
  return { color: "green", why: "" };
}

/** The first seeds of the simulation, until one fails. */
export async function runSeeds(scratch: string): Promise<Verdict> {
  const options = ["--runs", String(seedCount), "--until-failed"];
  const { isOver, output } = await run(scratch, [join("test", "simulation", "run.ts"), ...options], seedsMsMax);
  if (!isOver) return { color: "red", why: "a seed hangs" };
  const failed = /^seed (\d+):[^\n]*\n([^\n]*)/m.exec(output);
  if (failed !== null) return { color: "red", why: `seed ${failed[1]}: ${failed[2]?.trim() ?? ""}` };
  return /^\d+ runs, 0 failed/m.test(output) ? { color: "green", why: "" } : { color: "broken", why: output.slice(-400) };
}

type Report = {
  readonly numFailedTests: number;
  readonly numPassedTests: number;
  readonly testResults: readonly {
    readonly message: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
};

function readReport(file: string): Report | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Report;
  } catch {
    return undefined;
  }
}

/** A program of Node's in the scratch copy, and what it says. `isOver`: it has ended by itself. */
async function run(cwd: string, options: readonly string[], msMax: number): Promise<{ readonly isOver: boolean; readonly output: string }> {
  const child = spawn(process.execPath, options, { cwd, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8");
    stream.on("data", (text: string) => {
      output += text;
    });
  }
  return new Promise((resolve, reject) => {
    let isOver = true;
    const timer = setTimeout(() => {
      isOver = false;
      child.kill("SIGKILL");
    }, msMax);
    child.on("error", reject);
    child.on("close", () => {
      clearTimeout(timer);
      resolve({ isOver, output });
    });
  });
}
