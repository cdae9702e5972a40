import type { Mutation } from "./mutations.ts";

/** docs/mutations.md: the rules that `npm run mutate` breaks. */
export function listOf(mutations: readonly Mutation[]): string {
  const rows = [
    ["mutation", "the rule that it breaks", "must be caught by"],
    ...mutations.map(({ name, rule, isSimulated }) => [`\`${name}\``, rule, isSimulated ? "tests, seeds" : "tests"]),
  ];
  return [
    "# Mutations",
    "",
    "`npm run mutate` breaks each of these rules, one at a time, in a copy of the sources. The tests that are named for a rule must fail then; where the last",
    "column says so the first seeds of the simulation must fail too. Who survives fails the command. `-- --only NAME` tries one.",
    "",
    "Each is a search and replace in `test/mutation/`. This list is made by `npm run mutate -- --list`.",
    "",
    ...aligned(rows),
    "",
  ].join("\n");
}

/** A table whose columns stand below each other, as the formatter wants them. The first row is its head. */
function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lineOf = (row: readonly string[]): string => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  const [head = "", ...lines] = rows.map(lineOf);
  return [head, lineOf(widths.map((width) => "-".repeat(width))), ...lines];
}
