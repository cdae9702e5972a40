import { UsageError } from "../../cli/errors.ts";
import { helpOf, parseCommandLine } from "../command-line.ts";
import { aimedFaultKinds } from "./aimed-faults.ts";
import { faultKinds, laterFaultKinds, type Fault } from "./faults.ts";
import { groupFaultKinds, groupSizes } from "./group-faults.ts";
import { innerFaultKinds } from "./inner-faults.ts";
import { mapFaultKinds } from "./map-faults.ts";
import { memberFaultKinds } from "./member-faults.ts";
import type { Edition, Options } from "./simulate.ts";

type FaultKind = Fault["kind"];

/** What run.ts was asked for. */
export type Settings = {
  readonly runs: number;
  readonly seed: number;
  readonly edition: Edition;
  /** Faults are drawn of these kinds only; undefined: of all. */
  readonly drawn: readonly FaultKind[] | undefined;
  /** Faults of these kinds are drawn as ever, and do not come. */
  readonly without: readonly FaultKind[];
  /** Each run has so many cells; undefined: as the seed says. */
  readonly cells: number | undefined;
  readonly isVerbose: boolean;
  readonly hasRepertoire: boolean;
  readonly endsAtFailure: boolean;
};

const command = "npx node test/simulation/run.ts";
const editions: readonly Edition[] = ["present", "third", "second", "first"];
const allKinds: readonly FaultKind[] = [
  ...faultKinds,
  ...laterFaultKinds,
  ...innerFaultKinds,
  ...aimedFaultKinds,
  ...mapFaultKinds,
  ...groupFaultKinds,
  ...memberFaultKinds,
];
/** They would take weeks. */
const runsMax = 10_000_000;
/** Seeds from there on are streams of lower ones (random.ts). */
const seedMax = 2 ** 32 - 1;

const options = {
  runs: { value: "N", help: "so many seeds, one after the other (300)" },
  seed: { value: "S", help: "the first of them (1)" },
  edition: {
    value: "present|third|second|first",
    help: "as it was then, for seeds that failed once; second: no faults are aimed, third: no call records (present)",
  },
  without: { value: '"KIND, KIND"|all', help: "the same faults, but those of these kinds do not come: to find the one that matters" },
  draw: { value: '"KIND, KIND"', help: "other faults: all are drawn of these kinds" },
  cells: { value: "4|6", help: "so many cells in each run, and what befalls a group of so many (as the seed says)" },
  verbose: { help: "every event" },
  repertoire: { help: "what was done in which fault" },
  "until-failed": { help: "end with the first seed that fails" },
  help: { help: "show this" },
};

export const help = `${helpOf(command, options)}\n\nKinds of faults: ${allKinds.join(", ")}`;

/** Reads the command line of run.ts; undefined: it asks for help. Throws {@link UsageError}. */
export function parseSettings(args: readonly string[]): Settings | undefined {
  const { values, flags } = parseCommandLine(options, args);
  if (flags.has("help")) return undefined;
  const drawn = values.get("draw")?.[0];
  const without = values.get("without")?.[0];
  return {
    runs: wholeNumber("runs", values.get("runs")?.[0] ?? "300", 1, runsMax),
    seed: wholeNumber("seed", values.get("seed")?.[0] ?? "1", 0, seedMax),
    edition: oneOf("edition", editions, values.get("edition")?.[0] ?? "present"),
    drawn: drawn === undefined ? undefined : kindsOf("draw", drawn),
    without: without === undefined ? [] : kindsOf("without", without),
    cells: cellsOf(values.get("cells")?.[0]),
    isVerbose: flags.has("verbose"),
    hasRepertoire: flags.has("repertoire"),
    endsAtFailure: flags.has("until-failed"),
  };
}

/** What one run of these is made from. */
export function optionsOf(
  { edition = "present", drawn, without = [], cells, isVerbose = false }: Partial<Settings>,
  seed: number,
): Options {
  const isDrawn = (kind: FaultKind): boolean => drawn?.includes(kind) === true;
  return {
    seed,
    edition,
    without,
    isVerbose,
    ...(cells !== undefined && { cells }),
    ...(drawn !== undefined && {
      faults: faultKinds.filter(isDrawn),
      laterFaults: laterFaultKinds.filter(isDrawn),
      innerFaults: innerFaultKinds.filter(isDrawn),
      aimedFaults: aimedFaultKinds.filter(isDrawn),
      mapFaults: mapFaultKinds.filter(isDrawn),
      groupFaults: groupFaultKinds.filter(isDrawn),
      memberFaults: memberFaultKinds.filter(isDrawn),
    }),
  };
}

/** The command that runs a seed again, and tells all of it. */
export function replayOf({ seed, edition = "present", drawn, without = [], cells }: Partial<Settings> & { readonly seed: number }): string {
  const words = [command, "--runs 1", `--seed ${seed}`];
  if (edition !== "present") words.push(`--edition ${edition}`);
  if (cells !== undefined) words.push(`--cells ${cells}`);
  if (drawn !== undefined) words.push(`--draw "${drawn.join(", ")}"`);
  if (without.length > 0) words.push(`--without "${without.join(", ")}"`);
  return [...words, "--verbose"].join(" ");
}

function wholeNumber(option: string, text: string, min: number, max: number): number {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) throw new UsageError(`--${option} ${text}: must be a whole number from ${min} to ${max}`);
  return value;
}

function cellsOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(oneOf("cells", groupSizes.map(String), text));
}

function oneOf<Name extends string>(option: string, names: readonly Name[], text: string): Name {
  const found = names.find((name) => name === text);
  if (found === undefined) throw new UsageError(`--${option} ${text}: must be ${names.join(", ")}`);
  return found;
}

function kindsOf(option: string, text: string): FaultKind[] {
  if (option === "without" && text === "all") return [...allKinds];
  return text.split(",").map((name) => {
    const found = allKinds.find((kind) => kind === name.trim());
    if (found === undefined) throw new UsageError(`--${option}: ${JSON.stringify(name.trim())} is no kind of fault`);
    return found;
  });
}
