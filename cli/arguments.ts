import { parseArgs } from "node:util";
import { UsageError } from "./errors.ts";

/** One option of a command. Without `value` it is a flag. */
export type Option = {
  readonly name: string;
  /** Placeholder of the value, as the help shows it. */
  readonly value?: string;
  readonly help: string;
  /** It may be given again. */
  readonly isMultiple?: true;
};

/** What one command takes, and what its help says. */
export type CommandSpec = {
  /** As typed after `tandem`: `up`, `subscriber add`. */
  readonly name: string;
  readonly summary: string;
  /** Placeholders of the positional arguments; in brackets: may be left out; the last one with `...`: any number. */
  readonly positionals: readonly string[];
  /** What a positional is, where its name does not say it. */
  readonly explained?: Readonly<Record<string, string>>;
  readonly options: readonly Option[];
};

/** A parsed command line of one command. */
export type Arguments = {
  readonly help: boolean;
  readonly positionals: readonly string[];
  /** Options that take a value; the first one of those that may be given again. */
  readonly values: ReadonlyMap<string, string>;
  readonly flags: ReadonlySet<string>;
  /** All values of options that may be given again. */
  readonly lists: ReadonlyMap<string, readonly string[]>;
};

const helpOption: Option = { name: "help", help: "show this" };

/** Parses what follows the command's name. Throws {@link UsageError} with one line for whatever does not fit. */
export function parseArguments(spec: CommandSpec, args: readonly string[]): Arguments {
  const known = new Map([...spec.options, helpOption].map((option) => [option.name, option]));
  const { tokens } = parseArgs({
    args: [...args],
    options: {
      ...Object.fromEntries(
        spec.options.map((option) => [option.name, { type: option.value === undefined ? "boolean" : "string" }] as const),
      ),
      help: { type: "boolean", short: "h" },
    },
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
  const positionals: string[] = [];
  const values = new Map<string, string>();
  const flags = new Set<string>();
  const lists = new Map<string, readonly string[]>();
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    const option = known.get(token.name);
    if (option === undefined) throw usage(spec, `unknown option ${token.rawName}`);
    const isAgain = values.has(option.name) || flags.has(option.name);
    if (isAgain && option.isMultiple !== true) throw usage(spec, `--${option.name} is given twice`);
    if (option.value === undefined) {
      if (token.value !== undefined) throw usage(spec, `--${option.name} takes no value`);
      flags.add(option.name);
      continue;
    }
    // "--sip --json" forgot a value; who means such a value writes "--sip=--json".
    if (token.value === undefined || token.value === "" || (!token.inlineValue && token.value.startsWith("--"))) {
      throw usage(spec, `--${option.name} needs a value: --${option.name} ${option.value}`);
    }
    if (!isAgain) values.set(option.name, token.value);
    if (option.isMultiple === true) lists.set(option.name, [...(lists.get(option.name) ?? []), token.value]);
  }
  if (!flags.has("help")) checkPositionals(spec, positionals);
  return { help: flags.has("help"), positionals, values, flags, lists };
}

function checkPositionals(spec: CommandSpec, positionals: readonly string[]): void {
  const surplus = spec.positionals.at(-1)?.endsWith("...]") === true ? undefined : positionals[spec.positionals.length];
  if (surplus !== undefined) throw usage(spec, `unexpected argument ${JSON.stringify(surplus)}`);
  const missing = spec.positionals[positionals.length];
  if (missing !== undefined && !missing.startsWith("[")) throw usage(spec, `${missing} is missing`);
}

/** A {@link UsageError} of a command: one line that names the command and where its help is. */
export function usage(spec: CommandSpec, reason: string): UsageError {
  return new UsageError(`${reason} (see tandem ${spec.name} --help)`);
}

/** The help of one command: usage, summary, aligned options. */
export function helpOf(spec: CommandSpec): string {
  const options = [...spec.options, helpOption];
  const rows = [
    ...Object.entries(spec.explained ?? {}),
    ...options.map(({ name, value, help }) => [value === undefined ? `--${name}` : `--${name} ${value}`, help] as const),
  ];
  const width = Math.max(...rows.map(([left]) => left.length));
  const lines = rows.map(([left, help]) => `  ${left.padEnd(width)}  ${help}`);
  const words = ["tandem", spec.name, ...spec.positionals, "[options]"].join(" ");
  return `Usage: ${words}\n\n${spec.summary}\n\n${lines.join("\n")}\n`;
}

/** The help of `tandem` itself, or of a group such as `tandem subscriber`. */
export function overviewOf(specs: readonly CommandSpec[], group = ""): string {
  const prefix = group === "" ? "" : `${group} `;
  const chosen = specs.filter((spec) => spec.name.startsWith(prefix));
  const left = chosen.map((spec) => [spec.name, ...spec.positionals].join(" "));
  const width = Math.max(...left.map((text) => text.length));
  const lines = chosen.map((spec, index) => `  ${(left[index] ?? "").padEnd(width)}  ${spec.summary}`);
  return `Usage: tandem ${prefix}COMMAND [options]\n\n${lines.join("\n")}\n\nEvery command takes --help.\n`;
}

/** A whole number in bounds, from the text of an option. Throws {@link UsageError}. */
export function wholeNumber(spec: CommandSpec, option: string, text: string, min: number, max: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) throw usage(spec, `--${option} ${text}: must be a whole number from ${min} to ${max}`);
  return value;
}
