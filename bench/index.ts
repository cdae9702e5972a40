import { accessSync, constants } from "node:fs";
import { cpus, loadavg } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { optionErrorOf } from "./option-error.ts";
import { Bench, type Work } from "./bench.ts";
import { cost as costOf } from "./cost/cost.ts";
import { kamailioProgram } from "./kamailio.ts";
import { type Row, figuresMarkdown, goalsMarkdown, others, ratioOf, reportText } from "./report.ts";
import { callWorks, minuteWorks } from "./work/calls.ts";
import { cells, cellsOfSoftphones } from "./work/cells.ts";
import { highestRate } from "./work/highest-rate.ts";
import { idle, objectsAwake } from "./work/idle.ts";
import { latencyWorks } from "./work/latency.ts";
import { dialogMemory, readyAgain, registrationMemory } from "./work/memory.ts";
import { registerDigest, registerNew, registerRefresh } from "./work/register.ts";
import { scale } from "./work/scale.ts";
import { phoneCallWorks } from "./work/phone-calls.ts";
import { replication } from "./work/replication.ts";
import { gatewaySoftphones, reconnectStorm, softphones } from "./work/softphones.ts";

const works: readonly Work[] = [
  registerNew,
  registerRefresh,
  registerDigest,
  ...callWorks,
  ...minuteWorks,
  ...phoneCallWorks,
  highestRate,
  ...latencyWorks,
  replication,
  softphones,
  gatewaySoftphones,
  reconnectStorm,
  registrationMemory,
  readyAgain,
  dialogMemory,
  idle,
  objectsAwake,
  scale,
  cells,
  cellsOfSoftphones,
];

const help = `Usage: npm run bench -- [options]

Measures Tandem and Kamailio with the same load in turn. Nothing is installed; Debian's packages kamailio,
kamailio-tls-modules, kamailio-websocket-modules and sip-tester must be there.

  --quick          short rounds: to see that everything works
  --only NAME,...  these works only: those of these names, or that begin so; "goals" are those of docs/performance.md
  --seconds N      how long a round lasts, of works that have rounds
  --rounds N       measured rounds, 3 when not given (1 with --quick)
  --json           JSON on stdout instead of a table
  --against DIR    another checkout, installed with npm ci, in turn with this one and instead of Kamailio
  --markdown       the tables of docs/performance.md on stdout
  --cost           counts what Cloudflare would bill, in a run of Tandem alone, and multiplies it by the prices

Works:
${works.map(({ name, summary }) => `  ${name.padEnd(21)} ${summary}\n`).join("")}`;

type Options = {
  readonly quick: boolean;
  readonly json: boolean;
  readonly cost: boolean;
  readonly markdown: boolean;
  readonly rounds: number;
  readonly seconds: number | undefined;
  readonly against: string | undefined;
  readonly chosen: readonly Work[];
};

/** What the command line asks for; a text to print when it asks for help or is wrong. */
function optionsOf(args: readonly string[]): Options | { readonly text: string; readonly code: number } {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        quick: { type: "boolean", default: false },
        only: { type: "string" },
        rounds: { type: "string" },
        seconds: { type: "string" },
        against: { type: "string" },
        json: { type: "boolean", default: false },
        cost: { type: "boolean", default: false },
        markdown: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    if (values.help) return { text: help, code: 0 };
    const rounds = Number(values.rounds ?? (values.quick ? 1 : 3));
    if (!Number.isInteger(rounds) || rounds < 1 || rounds > 100)
      return { text: `--rounds takes a whole number from 1 to 100, not ${values.rounds}\n`, code: 2 };
    const seconds = values.seconds === undefined ? undefined : Number(values.seconds);
    if (seconds !== undefined && !(Number.isInteger(seconds) && seconds >= 3 && seconds <= 3_600))
      return { text: `--seconds takes a whole number from 3 to 3600, not ${values.seconds}\n`, code: 2 };
    const names = values.only?.split(",");
    const unknown = names?.find((name) => worksOf(name).length === 0);
    if (unknown !== undefined) return { text: `--only ${unknown}: no such work, see --help\n`, code: 2 };
    const named = names?.flatMap(worksOf);
    const chosen = works.filter((work) => named?.includes(work) ?? work.isExtra !== true);
    const against = values.against === undefined ? undefined : resolve(values.against);
    if (against !== undefined && !isProgram(join(against, "node_modules/.bin/node")))
      return { text: `--against ${against}: no checkout in which npm ci has run\n`, code: 2 };
    return { quick: values.quick, json: values.json, cost: values.cost, markdown: values.markdown, rounds, seconds, against, chosen };
  } catch (error) {
    return { text: `${optionErrorOf(error)}\n`, code: 2 };
  }
}

/** Those whose rows have goals that a change of the hot path moves. */
const goalWorks: readonly string[] = [
  "calls-udp-200",
  "calls-udp-500",
  "calls-udp-1500",
  "minute",
  "register-refresh",
  "calls-tls-200",
  "calls-ws-gateway-200",
];
const goalLatencies: readonly string[] = [
  "latency-udp",
  "latency-register-udp-50",
  "latency-register-udp-500",
  "latency-register-udp-1000",
];

/** The work of this name, or those whose names begin so. */
function worksOf(name: string): readonly Work[] {
  if (name === "goals") return [...goalWorks, ...goalLatencies].flatMap(worksOf);
  const exact = works.filter((work) => work.name === name);
  return exact.length > 0 ? exact : works.filter((work) => work.name.startsWith(name));
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The programs that are not there, as one line; undefined when all are. */
function missingPrograms(against: string | undefined): string | undefined {
  const paths = (process.env["PATH"] ?? "").split(":");
  const missing: string[] = [];
  if (process.platform !== "linux") return "the bench reads CPU time from Linux's /proc: it runs on Linux only";
  if (against === undefined && !isProgram(kamailioProgram))
    missing.push(`${kamailioProgram} (Debian: kamailio kamailio-tls-modules kamailio-websocket-modules)`);
  if (!paths.some((path) => isProgram(`${path}/sipp`))) missing.push("sipp (Debian: sip-tester)");
  return missing.length === 0 ? undefined : `missing: ${missing.join(", ")}`;
}

function load(): string {
  return loadavg()
    .map((value) => value.toFixed(2))
    .join(" ");
}

function jsonText(rows: readonly Row[], about: Readonly<Record<string, unknown>>): string {
  const withRatios = rows.map((row) => ({
    ...row,
    ratio: Object.fromEntries(others.map((other) => [other, ratioOf(row, other)])),
  }));
  return `${JSON.stringify({ ...about, rows: withRatios }, null, 2)}\n`;
}

async function run({ quick, json, cost, markdown, rounds, seconds, against, chosen }: Options): Promise<void> {
  const bench = new Bench({ quick, rounds, seconds, against, log: (line) => process.stderr.write(`${line}\n`) });
  const stop = (signal: NodeJS.Signals): void => {
    process.stderr.write(`${signal}: stops\n`);
    void bench.programs.stopAll().finally(() => process.exit(signal === "SIGINT" ? 130 : 143));
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, stop);
  const about = { date: new Date().toISOString(), cores: cpus().length, cpu: cpus()[0]?.model, loadBefore: load(), quick, rounds };
  const rows: Row[] = [];
  const texts: string[] = [];
  try {
    if (cost) {
      const report = await costOf(bench);
      rows.push(...report.rows);
      texts.push(report.text);
    }
    for (const work of cost ? [] : chosen) {
      process.stderr.write(`${work.name}: ${work.summary}\n`);
      try {
        rows.push(...(await work.run(bench)));
      } catch (error) {
        // One work that cannot run must not take the figures of the others with it.
        process.exitCode = 1;
        process.stderr.write(`  ! ${work.name} failed: ${error instanceof Error ? error.message : String(error)}\n`);
      }
    }
  } finally {
    await bench.programs.stopAll();
  }
  process.stderr.write("\n");
  if (json) return void process.stdout.write(jsonText(rows, { ...about, loadAfter: load() }));
  const report = [...texts, reportText(rows)].join("\n");
  process.stdout.write(markdown ? [...texts, goalsMarkdown(rows), figuresMarkdown(rows)].join("\n") : report);
  process.stdout.write(`\n${about.date}, ${about.cores} cores, load average before ${about.loadBefore}, after ${load()}\n`);
}

const options = optionsOf(process.argv.slice(2));
if ("text" in options) {
  (options.code === 0 ? process.stdout : process.stderr).write(options.text);
  process.exitCode = options.code;
} else {
  const missing = missingPrograms(options.against);
  if (missing === undefined) await run(options);
  else {
    process.stderr.write(`${missing}\n`);
    process.exitCode = 1;
  }
}
