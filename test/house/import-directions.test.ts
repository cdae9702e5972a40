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
  "sip/flow": ["sip", "sip/message"],
  "sip/record": ["sip", "sip/message"],
  "sip/transaction": ["sip", "sip/message", "sip/flow"],
  "sip/proxy": ["sip", "sip/message", "sip/flow", "sip/transaction", "sip/record"],
  "sip/registrar": ["sip", "sip/message", "sip/flow", "sip/record"],
  "sip/auth": ["sip", "sip/message", "sip/flow"],
  "sip/dialog": ["sip", "sip/message", "sip/flow", "sip/record"],
  cluster: ["sip"],
  "cluster/time": ["sip/record"],
  "cluster/map": ["cluster", "sip", "sip/message", "sip/flow"],
  "cluster/group": ["cluster", "cluster/map", "sip"],
  "cluster/backhaul": ["cluster", "sip", "sip/message", "sip/flow"],
  "cluster/replication": ["cluster", "sip", "sip/record"],
  actors: ["cluster", "sip"],
  "actors/*": ["actors", "cluster", "cluster/*", "sip", "sip/*"],
  workers: ["actors", "actors/*", "cluster", "cluster/*", "sip", "sip/*", "workers/*"],
  "workers/*": ["actors", "actors/*", "cluster", "cluster/*", "sip", "sip/*", "workers", "workers/*"],
  gateway: ["cluster", "cluster/*", "sip", "sip/message", "sip/flow", "gateway/*"],
  "gateway/*": ["cluster", "cluster/*", "sip", "sip/message", "sip/flow", "gateway", "gateway/*"],
  cli: ["cli/drill", "cluster", "cluster/map", "sip"],
  "cli/commands": ["cli", "cli/drill", "cluster/map", "cluster/group", "sip"],
  "cli/drill": ["cli", "sip", "sip/message"],
};

/** What has no clock, no random and no socket: event in, effects out. */
const pure = ["sip", "cluster", "actors"];

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
  return mayImport[folder] ?? mayImport[`${dirname(folder)}/*`];
}

function allowed(rule: readonly string[], folder: string): boolean {
  return rule.some((entry) => entry === folder || (entry.endsWith("/*") && folder.startsWith(entry.slice(0, -1))));
}

describe("the house", () => {
  const sources = [...pure, "workers", "gateway", "cli"].flatMap(sourcesOf);

  it("has sources to look at", () => {
    expect(sources.length).toBeGreaterThan(20);
  });

  it("imports one way: sip <- cluster <- actors <- workers; gateway takes the first two only", () => {
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

  it("keeps the core pure: it imports nothing from outside", () => {
    const outside = sources
      .filter((file) => pure.some((room) => file.startsWith(`${room}/`)))
      .flatMap((file) => importsOf(file).map((target) => `${file}: ${target}`))
      .filter((line) => !line.includes(": ."));
    expect(outside).toEqual([]);
  });

  it("keeps the core pure: no clock and no random", () => {
    const impure = sources
      .filter((file) => pure.some((room) => file.startsWith(`${room}/`)))
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
