import type { CommandSpec } from "./arguments.ts";
import { quoted } from "./shown-path.ts";

/**
 * `npm start --sip X`, without `--` in between, sets npm's own configuration and starts the script without the option: a system at another address than
 * was asked for. What npm has taken stands in the script's environment. The command line that was meant; undefined: npm has taken nothing.
 */
export function meantForUp(spec: CommandSpec, words: readonly string[], environment: NodeJS.ProcessEnv): string | undefined {
  if (environment["npm_lifecycle_event"] !== "start") return undefined;
  const taken = spec.options.flatMap(({ name, value }) => {
    const negated = name.startsWith("no-") ? environment[`npm_config_${name.slice(3)}`] : undefined;
    if (negated !== undefined) return negated === "" ? [{ name, value, given: undefined }] : [];
    const given = environment[`npm_config_${name.replaceAll("-", "_")}`];
    return given === undefined || given === "" ? [] : [{ name, value, given: given === "true" ? undefined : given }];
  });
  if (taken.length === 0) return undefined;
  // npm takes a value for an argument of the script. Whose it is of two options nobody can say any more.
  const valueless = taken.filter(({ value, given }) => value !== undefined && given === undefined);
  const [only = ""] = words;
  const isClear = valueless.length === 1 && words.length === 1;
  const options = taken.map(({ name, value, given }) => {
    if (value === undefined) return `--${name}`;
    return `--${name} ${given !== undefined ? quoted(given) : isClear ? quoted(only) : value}`;
  });
  return `npm start -- ${[...options, ...(valueless.length === 0 ? words.map(quoted) : [])].join(" ")}`;
}
