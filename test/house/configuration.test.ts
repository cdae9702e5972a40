import { parse } from "smol-toml";
import type { GenericSchema } from "valibot";
import { describe, expect, it } from "vitest";
import { systemFileSchema } from "../../cli/deploy/system-file.ts";
import { configFileSchema } from "../../gateway/config/config-file.ts";
import { writtenMapSchema } from "../../schemas/cluster-map.ts";
import { read } from "../../schemas/reading.ts";
import { exchangesMax } from "../../cluster/limits.ts";
import { connectionsMax } from "../../gateway/limits.ts";
import { failedLoginsPerAddressDefault } from "../../sip/limits.ts";
import { textOf } from "./sources.ts";

/** What a schema of valibot has, as far as docs/configuration.md names it. */
type Part = {
  readonly type: string;
  readonly pipe?: readonly Part[];
  readonly entries?: Readonly<Record<string, Part>>;
  readonly item?: Part;
  readonly wrapped?: Part;
  readonly options?: readonly unknown[];
  readonly requirement?: unknown;
};

/** A key of a configuration. `words`: what its line of the document has to say, bounds and choices. */
type Key = { readonly path: string; readonly isOptional: boolean; readonly words: readonly string[] };

const document = textOf("docs/configuration.md");

/** A schema and the steps of its pipes, inner ones too. */
function stepsOf(part: Part): readonly Part[] {
  return [part, ...[part.wrapped ?? [], part.pipe ?? []].flat().flatMap(stepsOf)];
}

function wordsOf(part: Part): readonly string[] {
  const steps = stepsOf(part);
  const bound = (type: string): number | undefined => {
    const found = steps.find((step) => step.type === type)?.requirement;
    return typeof found === "number" && found < Number.MAX_SAFE_INTEGER ? found : undefined;
  };
  const min = bound("min_value");
  const max = bound("max_value");
  const bounds = min === undefined ? [] : [max === undefined ? `from ${min} on` : `${min} to ${max}`];
  return [
    ...bounds,
    ...steps.flatMap(({ options, item }) => [...(options ?? []).map(String), ...(item === undefined ? [] : wordsOf(item))]),
  ];
}

function keysOf(schema: Part, path = ""): readonly Key[] {
  const steps = stepsOf(schema);
  const item = steps.find((step) => step.item !== undefined)?.item;
  if (item !== undefined) return keysOf(item, `${path}[]`);
  const entries = steps.find((step) => step.entries !== undefined)?.entries ?? {};
  return Object.entries(entries).flatMap(([name, entry]) => {
    const own = path === "" ? name : `${path}.${name}`;
    const inner = keysOf(entry, own);
    return [{ path: own, isOptional: entry.wrapped !== undefined, words: inner.length > 0 ? [] : wordsOf(entry) }, ...inner];
  });
}

/** The text below a heading. */
function section(heading: string): string {
  const [, text = ""] = document.split(`\n## ${heading}\n`);
  return text.split("\n## ")[0] ?? "";
}

/** The lines of its table: the key, whether it is needed, the value. */
function linesOf(text: string): readonly (readonly string[])[] {
  return [...text.matchAll(/^\| `([^`]+)` *\| ([^|]*?) *\| ([^|]*?) *\|$/gm)].map(([, key = "", needed = "", value = ""]) => [
    key,
    needed,
    value,
  ]);
}

function exampleOf(text: string): string {
  return /^```\w+\n([\s\S]*?)^```/m.exec(text)?.[1] ?? "";
}

/** Every key that a value has, as the tables write them. */
function pathsIn(value: unknown, path = ""): readonly string[] {
  if (Array.isArray(value)) return value.flatMap((each) => pathsIn(each, `${path}[]`));
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) => {
    const own = path === "" ? name : `${path}.${name}`;
    return [own, ...pathsIn(inner, own)];
  });
}

const parts: readonly (readonly [string, GenericSchema, (text: string) => unknown])[] = [
  ["The file of a gateway", configFileSchema, parse],
  ["The file of tandem deploy", systemFileSchema, parse],
  ["The cluster map", writtenMapSchema, JSON.parse],
];

describe.each(parts)("docs/configuration.md, %s", (heading, schema, parseText) => {
  const text = section(heading);
  const keys = keysOf(schema);

  it("names every key of the schema once, and no other", () => {
    expect(keys.length).toBeGreaterThan(15);
    const paths = keys.map(({ path }) => path);
    expect(
      linesOf(text)
        .map(([key = ""]) => key)
        .toSorted(),
    ).toEqual(paths.toSorted());
  });

  it("says the bounds and choices of each", () => {
    const values = new Map(linesOf(text).map(([key = "", , value = ""]) => [key, value]));
    const missing = keys.flatMap(({ path, words }) =>
      words.filter((word) => values.get(path)?.includes(word) !== true).map((word) => `${path}: ${word}`),
    );
    expect(keys.flatMap(({ words }) => words).length).toBeGreaterThan(2);
    expect(missing).toEqual([]);
  });

  it("never calls one needed that may be absent, nor the other way", () => {
    const needed = new Map(linesOf(text).map(([key = "", each = ""]) => [key, each]));
    const wrong = keys.filter(({ path, isOptional }) => (isOptional ? needed.get(path) === "yes" : needed.get(path) !== "yes"));
    expect(wrong.map(({ path }) => path)).toEqual([]);
  });

  it("shows an example that is taken, with keys of the table alone", () => {
    const example = parseText(exampleOf(text));
    expect(read(schema, example).fault).toBeUndefined();
    expect(pathsIn(example).filter((path) => !keys.some((key) => key.path === path))).toEqual([]);
  });
});

describe("docs/configuration.md", () => {
  it("says what counts when nothing is said, and what a gateway takes at most", () => {
    const values = new Map(linesOf(document).map(([key = "", , value = ""]) => [key, value]));
    expect(values.get("limits.connections")).toContain(`without it ${connectionsMax}`);
    expect(values.get("failedLogins")).toContain(`without it ${failedLoginsPerAddressDefault}`);
    expect(values.get("exchangeCount")).toContain(`gateways take ${exchangesMax} at most`);
  });
});
