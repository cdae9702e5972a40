import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Mutation } from "./mutations.ts";

/** The checkout. */
export const root: string = resolve(import.meta.dirname, "../..");

/** The rooms whose rules are broken. */
const rooms = ["sip", "cluster", "actors", "workers", "gateway"] as const;

/** The text of each source file, by its path from the root. */
export type Sources = ReadonlyMap<string, string>;

export function readSources(): Sources {
  const sources = new Map<string, string>();
  for (const room of rooms) {
    for (const name of readdirSync(join(root, room), { recursive: true, encoding: "utf8" })) {
      if (name.endsWith(".ts")) sources.set(join(room, name), readFileSync(join(root, room, name), "utf8"));
    }
  }
  return sources;
}

/** A source file with one rule broken; a text when the rule does not stand in the sources exactly once. */
export function mutate(sources: Sources, { name, find, replace }: Mutation): { readonly file: string; readonly text: string } | string {
  let found: { file: string; text: string } | undefined;
  let count = 0;
  for (const [file, text] of sources) {
    for (let at = text.indexOf(find); at >= 0; at = text.indexOf(find, at + find.length)) {
      count += 1;
      found = { file, text: text.slice(0, at) + replace + text.slice(at + find.length) };
    }
  }
  if (count === 1 && found !== undefined) return found;
  return `${name}: ${JSON.stringify(find)} stands in the sources ${count} times, not once`;
}
