import { relative } from "node:path";

/** A path as it can be typed here: relative when that is shorter. */
export function shownPath(path: string): string {
  const short = relative(process.cwd(), path);
  if (short === "") return ".";
  return short.length < path.length ? short : path;
}
