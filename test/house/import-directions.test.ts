import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, it } from "vitest";

/**
 * Imports point one way. For each folder: the folders of ours it may import from (itself always). A new folder must be entered here,
 * so that its place in the order is a decision and not an accident.
 */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  sip: ["sip/message"],
  "sip/message": ["sip"],
  "sip/transport": ["sip", "sip/message"],
  "sip/placement": ["sip", "sip/message", "sip/transport"],
  "sip/record": ["sip", "sip/message"],
  "sip/pair": ["sip", "sip/message", "sip/record"],
  "sip/transaction": ["sip", "sip/message", "sip/transport"],
  "sip/proxy": ["sip", "sip/message", "sip/transport", "sip/transaction", "sip/record"],
  "sip/registrar": ["sip", "sip/message", "sip/transport", "sip/record"],
  "sip/core-group": ["sip", "sip/placement"],
  "sip/auth": ["sip", "sip/message", "sip/transport"],
  "sip/dialog": ["sip", "sip/message", "sip/transport", "sip/record"],
  "sip/exchange": [
    "sip",
    "sip/message",
    "sip/transport",
    "sip/placement",
    "sip/record",
    "sip/transaction",
    "sip/proxy",
    "sip/registrar",
    "sip/auth",
    "sip/dialog",
  ],
  workers: ["sip/*", "sip", "workers/*"],
  "workers/*": ["sip/*", "sip", "workers/*", "workers"],
  gateway: ["sip", "sip/message", "sip/transport", "sip/placement"],
  cli: ["cli/drill", "sip", "sip/placement"],
  "cli/commands": ["cli", "cli/drill", "sip", "sip/placement", "sip/core-group"],
  "cli/drill": ["cli", "sip", "sip/message"],
  bench: ["sip/*", "sip", "bench/*"],
};

const root = resolve(import.meta.dirname, "../..");

function sourcesOf(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(folder, name));
}

function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), "utf8");
  return [...text.matchAll(/^(?:import|export)\s[^;]*?from\s+"([^"]+)"|^import\s+"([^"]+)"/gm)].map((match) => match[1] ?? match[2] ?? "");
}

function ruleOf(folder: string): readonly string[] | undefined {
  const rule = mayImport[folder];
  return rule ?? (folder.startsWith("workers/") ? mayImport["workers/*"] : undefined);
}

function allowed(rule: readonly string[], folder: string): boolean {
  return rule.some((entry) => entry === folder || (entry.endsWith("/*") && folder.startsWith(entry.slice(0, -1))));
}

describe("the house", () => {
  const sources = ["sip", "workers", "gateway", "cli"].flatMap(sourcesOf);

  it("has sources to look at", () => {
    expect(sources.length).toBeGreaterThan(20);
  });

  it("imports one way: message <- transport <- transaction <- {proxy, registrar, dialog} <- exchange <- workers; gateway takes the first ones only", () => {
    const wrong: string[] = [];
    for (const file of sources) {
      const folder = dirname(file);
      const rule = ruleOf(folder);
      if (rule === undefined) {
        wrong.push(`${folder} is not in the table of import directions`);
        continue;
      }
      for (const target of importsOf(file)) {
        if (!target.startsWith(".")) continue;
        const targetFolder = relative(root, dirname(resolve(root, folder, target)));
        if (targetFolder !== folder && !allowed(rule, targetFolder)) wrong.push(`${file} imports ${targetFolder}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it("keeps the core pure: sip/ imports nothing but itself", () => {
    const outside = sources
      .filter((file) => file.startsWith("sip/"))
      .flatMap((file) => importsOf(file).map((target) => `${file}: ${target}`))
      .filter((line) => !line.includes(": ."));
    expect(outside).toEqual([]);
  });

  it("keeps the core pure: no clock and no random in sip/", () => {
    const impure = sources
      .filter((file) => file.startsWith("sip/"))
      .filter((file) => /\b(Date\.now|new Date\(\)|Math\.random|setTimeout|performance\.now|crypto\.)/.test(withoutComments(file)));
    expect(impure).toEqual([]);
  });

  it("leaves nothing for later in the sources", () => {
    const left = sources.filter((file) => /\b(TODO|FIXME|XXX)\b/.test(readFileSync(join(root, file), "utf8")));
    expect(left).toEqual([]);
  });
});

function withoutComments(file: string): string {
  return readFileSync(join(root, file), "utf8").replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
}
