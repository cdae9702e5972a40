import { codeOf, reasonOf } from "../cli/errors.ts";

/** What is wrong with a command line, in one line that says what to do. Node's own words for it are three lines, and of other things. */
export function optionErrorOf(error: unknown): string {
  const text = reasonOf(error);
  const name = /--[\w-]+/.exec(text)?.[0] ?? /'(-[^'\s]+)/.exec(text)?.[1] ?? "";
  switch (codeOf(error)) {
    case "ERR_PARSE_ARGS_UNKNOWN_OPTION":
      return `${name}: no such option: see --help`;
    case "ERR_PARSE_ARGS_INVALID_OPTION_VALUE":
      return text.includes("does not take")
        ? `${name} takes no value: see --help`
        : `${name} needs a value that begins with no dash: see --help`;
    case "ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL":
      return `${/'([^']*)'/.exec(text)?.[1] ?? ""}: is no option: see --help`;
    default:
      return text;
  }
}
