import { parseArgs } from "node:util";
import { reasonOf, UsageError } from "../cli/errors.ts";

/** One option of a command that tests are run with. Without `value` it is a flag. */
type Option = { readonly value?: string; readonly isRepeated?: boolean; readonly help: string };

export type CommandLine = { readonly values: ReadonlyMap<string, readonly string[]>; readonly flags: ReadonlySet<string> };

/** Reads a command line. Throws {@link UsageError} for what does not fit. */
export function parseCommandLine(options: Readonly<Record<string, Option>>, args: readonly string[]): CommandLine {
  const { tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries(
      Object.entries(options).map(([name, { value }]) => [name, { type: value === undefined ? "boolean" : "string" }]),
    ),
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
  const values = new Map<string, string[]>();
  const flags = new Set<string>();
  for (const token of tokens) {
    if (token.kind !== "option") throw new UsageError(`${args[token.index]}: is not an option`);
    const option = Object.hasOwn(options, token.name) ? options[token.name] : undefined;
    if (option === undefined) throw new UsageError(`${token.rawName}: is not known`);
    if (option.value === undefined) {
      if (token.value !== undefined) throw new UsageError(`${token.rawName}: takes no value`);
      flags.add(token.name);
      continue;
    }
    if (token.value === undefined || token.value === "" || (!token.inlineValue && token.value.startsWith("--")))
      throw new UsageError(`${token.rawName}: needs a value, ${option.value}`);
    const before = values.get(token.name) ?? [];
    if (before.length > 0 && option.isRepeated !== true) throw new UsageError(`${token.rawName}: is given twice`);
    values.set(token.name, [...before, token.value]);
  }
  return { values, flags };
}

/** What `--help` prints. */
export function helpOf(usage: string, options: Readonly<Record<string, Option>>): string {
  const rows = Object.entries(options).map(([name, { value, help }]) => [value === undefined ? `--${name}` : `--${name} ${value}`, help]);
  const width = Math.max(...rows.map(([left = ""]) => left.length));
  return [`Usage: ${usage} [options]`, "", ...rows.map(([left = "", help]) => `  ${left.padEnd(width)}  ${help}`)].join("\n");
}

/** Runs a command and sets the exit code to its result. A wrong command line is one line on stderr, and exit code 2. */
export async function runCommand(command: (args: readonly string[]) => number | Promise<number>): Promise<void> {
  try {
    process.exitCode = await command(process.argv.slice(2));
  } catch (thrown) {
    if (!(thrown instanceof UsageError)) throw thrown;
    console.error(`${reasonOf(thrown)} (see --help)`);
    process.exitCode = 2;
  }
}
