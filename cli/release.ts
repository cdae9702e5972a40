import { readFileSync } from "node:fs";
import { isTable, isText } from "./json.ts";

/** The release of this program, as package.json says it. */
export function release(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  return isTable(manifest) && isText(manifest["version"]) ? manifest["version"] : "unknown";
}
