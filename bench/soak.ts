import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { optionErrorOf } from "./option-error.ts";
import { Programs } from "./programs.ts";
import { type Panel, svgOf } from "./scale/plot.ts";
import { descriptors, disk, memory, rows } from "./soak/samples.ts";
import { type SoakOptions, soak } from "./soak/soak-run.ts";
import { type Outcome, judgementsOf, spansOf, tableOf } from "./soak/verdict.ts";

const minutesMax = 7 * 24 * 60;

const help = `Usage: npm run soak -- [options]

Runs a system of its own for an hour, with calls, REGISTERs and softphones that come and go, and kills a cell every ten
minutes. Tells what was lost, and whether memory and descriptors grow. Needs Linux and nothing but npm.

  --minutes N      how long, from 1 on (60)
  --calls N        calls a second (50)
  --phones N       phones over UDP, each of which registers every minute (1200)
  --softphones N   softphones that come and go (40)
  --plot FILE      writes a plot, SVG
  --json FILE      writes every sample

Exit code 1: something was lost, or grew. A run below 60 minutes kills a cell once or a few times, and is judged by
losses and descriptors only: memory needs three spans of twenty minutes, each with a kill of both cells.
`;

type Options = { readonly soak: SoakOptions; readonly plot: string | undefined; readonly json: string | undefined };

function optionsOf(args: readonly string[]): Options | { readonly text: string; readonly code: number } {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        minutes: { type: "string", default: "60" },
        calls: { type: "string", default: "50" },
        phones: { type: "string", default: "1200" },
        softphones: { type: "string", default: "40" },
        plot: { type: "string" },
        json: { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    if (values.help) return { text: help, code: 0 };
    const whole = (name: "minutes" | "calls" | "phones" | "softphones", min: number, max: number): number => {
      const value = Number(values[name]);
      if (!Number.isInteger(value) || value < min || value > max)
        throw new RangeError(`--${name} takes a whole number from ${min} to ${max}, not ${values[name]}`);
      return value;
    };
    return {
      soak: {
        minutes: whole("minutes", 1, minutesMax),
        callsPerSecond: whole("calls", 1, 200),
        phones: whole("phones", 4, 5_000),
        softphones: whole("softphones", 4, 1_000),
        log: (line) => process.stderr.write(`${line}\n`),
      },
      plot: values.plot,
      json: values.json,
    };
  } catch (error) {
    return { text: `${optionErrorOf(error)}\n`, code: 2 };
  }
}

/** Figures of one kind over the minutes. */
function panelsOf({ samples }: Outcome): readonly Panel[] {
  const panel = (title: string, yName: string, isShown: (name: string) => boolean): Panel => {
    const names = [...new Set(samples.flatMap(({ figures }) => Object.keys(figures)))].filter(isShown);
    const series = names.map((name) => ({
      name: name.slice(0, name.indexOf(":")) === "status" ? name.slice(name.indexOf(":") + 2) : name.slice(0, name.indexOf(":")),
      points: samples.flatMap(({ seconds, figures }) => {
        const y = figures[name];
        return y === undefined ? [] : [{ x: seconds / 60, y }];
      }),
    }));
    return { title, xName: "minutes", yName, isLinear: true, series };
  };
  return [
    panel("memory", "MiB", (name) => name.endsWith(memory)),
    panel("descriptors", "open", (name) => name.endsWith(descriptors)),
    panel("disk", "KiB", (name) => name.endsWith(disk)),
    panel("rows", "rows", (name) => name.endsWith(rows)),
    panel("what the system tells", "count", (name) => name.startsWith("status: ")),
  ];
}

async function main({ soak: options, plot, json }: Options): Promise<void> {
  const programs = new Programs();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.once(signal, () => void programs.stopAll().finally(() => process.exit(signal === "SIGINT" ? 130 : 143)));
  try {
    const outcome = await soak(programs, options);
    if (plot !== undefined) writeFileSync(plot, svgOf(panelsOf(outcome)));
    if (json !== undefined) writeFileSync(json, `${JSON.stringify(outcome, undefined, 2)}\n`);
    const judgements = judgementsOf(outcome);
    process.stdout.write(`\n${tableOf(outcome)}\n`);
    for (const { text, isMet } of judgements) process.stdout.write(`${isMet ? "met   " : "MISSED"} ${text}\n`);
    if (spansOf(outcome.course) === undefined) process.stdout.write("not judged: memory, which needs 60 minutes\n");
    if (judgements.some(({ isMet }) => !isMet)) process.exitCode = 1;
  } finally {
    await programs.stopAll();
  }
}

const options = optionsOf(process.argv.slice(2));
if ("text" in options) {
  (options.code === 0 ? process.stdout : process.stderr).write(options.text);
  process.exitCode = options.code;
} else if (process.platform === "linux") await main(options);
else {
  process.stderr.write("the soak reads memory and descriptors from Linux's /proc: it runs on Linux only\n");
  process.exitCode = 1;
}
