import { relative } from "node:path";

/** A path as it can be typed here: relative when that is shorter. */
export function shownPath(path: string): string {
  const short = relative(process.cwd(), path);
  if (short === "") return ".";
  return short.length < path.length ? short : path;
}

/** A word as a shell reads it: in quotes when it has spaces or the like. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
