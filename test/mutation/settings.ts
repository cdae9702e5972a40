import { UsageError } from "../../cli/errors.ts";
import { helpOf, parseCommandLine } from "../command-line.ts";
import { mutations, type Mutation } from "./mutations.ts";

/** What `npm run mutate` was asked for. `isList`: nothing is broken, docs/mutations.md is written. */
export type Settings = { readonly wanted: readonly Mutation[]; readonly isList: boolean };

const options = {
  only: { value: "NAME", isRepeated: true, help: "breaks this rule; may be repeated (all of docs/mutations.md)" },
  list: { help: "breaks nothing, and writes docs/mutations.md" },
  help: { help: "show this" },
};

export const help = helpOf("npm run mutate --", options);

/** Reads the command line; undefined: it asks for help. Throws {@link UsageError}. */
export function parseSettings(args: readonly string[]): Settings | undefined {
  const { values, flags } = parseCommandLine(options, args);
  if (flags.has("help")) return undefined;
  const only = values.get("only");
  const unknown = only?.find((name) => mutations.every((mutation) => mutation.name !== name));
  if (unknown !== undefined) throw new UsageError(`--only ${unknown}: is no mutation; docs/mutations.md names them`);
  return { wanted: mutations.filter(({ name }) => only?.includes(name) ?? true), isList: flags.has("list") };
}
