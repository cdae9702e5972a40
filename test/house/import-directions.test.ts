import { dirname, relative, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { codeOf, sourcesOf, textOf } from "./sources.ts";

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
  "cluster/time": ["cluster", "sip", "sip/record"],
  "cluster/map": ["cluster", "sip", "sip/message", "sip/flow"],
  "cluster/authority": ["cluster", "sip", "sip/message", "sip/flow"],
  "cluster/assignment": ["cluster", "cluster/map", "sip"],
  "cluster/calls": ["cluster", "cluster/group", "cluster/map", "sip", "sip/record"],
  "cluster/group": ["cluster", "cluster/assignment", "cluster/map", "sip"],
  "cluster/metrics": [],
  "cluster/dns": ["cluster", "sip", "sip/message", "sip/flow"],
  "cluster/overload": ["cluster", "cluster/map", "sip", "sip/flow"],
  "cluster/backhaul": ["cluster", "cluster/overload", "sip", "sip/message", "sip/flow"],
  "cluster/replication": ["cluster", "sip", "sip/record"],
  actors: ["cluster", "cluster/backhaul", "cluster/time", "sip"],
  "actors/*": ["actors", "cluster", "cluster/*", "sip", "sip/*"],
  schemas: ["cluster", "cluster/authority", "cluster/map", "cluster/group", "actors/exchange"],
  workers: ["schemas", "actors", "actors/*", "cluster", "cluster/*", "sip", "sip/*", "workers/*"],
  "workers/exchange": ["actors", "actors/*", "cluster", "cluster/*", "sip", "sip/*", "workers", "workers/line"],
  "workers/line": ["actors", "actors/*", "cluster", "cluster/*", "sip", "sip/*", "workers"],
  "workers/ledger": ["actors", "actors/*", "cluster", "cluster/*", "sip", "sip/*", "workers"],
  "workers/core-group": ["actors", "actors/*", "cluster", "cluster/*", "sip", "sip/*", "workers"],
  "workers/api": ["schemas", "cluster", "cluster/*", "sip", "sip/*", "workers", "workers/exchange", "workers/ledger", "workers/core-group"],
  gateway: ["schemas", "actors", "actors/gateway", "cluster", "cluster/*", "sip", "sip/message", "sip/flow", "gateway/*"],
  "gateway/*": ["schemas", "actors", "actors/gateway", "cluster", "cluster/*", "sip", "sip/message", "sip/flow", "gateway", "gateway/*"],
  "kit/phone": ["sip", "sip/message"],
  "kit/connections": ["kit/phone", "sip", "sip/message"],
  "kit/world": ["kit/phone", "cli", "cluster/map"],
  cli: [
    "schemas",
    "cli/acme",
    "cli/deploy",
    "cli/drill",
    "cli/package",
    "cli/service",
    "cluster",
    "cluster/authority",
    "cluster/dns",
    "cluster/map",
    "sip",
    "sip/flow",
  ],
  "cli/commands": [
    "schemas",
    "kit/phone",
    "kit/world",
    "cli",
    "cli/deploy",
    "cli/drill",
    "cli/service",
    "cluster",
    "cluster/authority",
    "cluster/dns",
    "cluster/map",
    "cluster/group",
    "cluster/assignment",
    "sip",
  ],
  "cli/acme": ["cli", "cluster/authority", "sip"],
  "cli/deploy": ["schemas", "cli", "cluster", "cluster/map", "sip"],
  "cli/package": ["cli", "cli/service", "cluster"],
  "cli/service": ["cli"],
  "cli/drill": ["schemas", "kit/*", "cli", "cli/package", "cluster/authority", "sip", "sip/message"],
  bench: ["bench/*", "kit/*", "cli", "cli/drill", "sip", "sip/message"],
  "bench/*": ["bench", "bench/*", "kit/*", "cli", "cli/drill", "actors/*", "cluster/*", "sip", "sip/*", "workers"],
};

/** What has no clock, no random and no socket: event in, effects out. */
const pure = ["sip", "cluster", "actors", "kit/phone"];

const root = resolve(import.meta.dirname, "../..");

/** What a file imports: all of it, or what is left when types are erased. */
function importsOf(file: string, kind: "all" | "values" = "all"): string[] {
  return [...textOf(file).matchAll(/^(?:import|export)\s(type\s)?[^;]*?from\s+"([^"]+)"|^import\s+"([^"]+)"/gm)]
    .filter((match) => kind === "all" || match[1] === undefined)
    .map((match) => match[2] ?? match[3] ?? "");
}

/** The room that a folder, or an entry of the table, belongs to. */
function roomOf(folder: string): string {
  return folder.split("/")[0] ?? "";
}

function ruleOf(folder: string): readonly string[] | undefined {
  return mayImport[folder] ?? mayImport[`${dirname(folder)}/*`];
}

function allowed(rule: readonly string[], folder: string): boolean {
  return rule.some((entry) => entry === folder || (entry.endsWith("/*") && folder.startsWith(entry.slice(0, -1))));
}

describe("the house", () => {
  const sources = ["sip", "cluster", "actors", "schemas", "workers", "gateway", "kit", "cli", "bench"].flatMap(sourcesOf);

  it("has sources to look at", () => {
    expect(sources.length).toBeGreaterThan(20);
  });

  it("imports only from where the table says", () => {
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

  it("is what ARCHITECTURE.md says: a row for each room, with the rooms that it may know", () => {
    const rooms = new Set(Object.keys(mayImport).map(roomOf));
    const rows = [...textOf("ARCHITECTURE.md").matchAll(/^\| `(\w+)\/` +\|[^|]*\|([^|]*)\|$/gm)].map(([, room = "", knows = ""]) => ({
      room,
      knows: new Set([...knows.matchAll(/`(\w+)\//g)].map(([, name = ""]) => name).filter((name) => rooms.has(name) && name !== room)),
    }));
    const wanted = Array.from(rooms, (room) => ({
      room,
      knows: new Set(
        Object.entries(mayImport)
          .filter(([folder]) => roomOf(folder) === room)
          .flatMap(([, targets]) => targets.map(roomOf))
          .filter((name) => name !== room),
      ),
    }));
    expect(rows.filter(({ room }) => room !== "test")).toEqual(wanted);
  });

  it("keeps the framework of the HTTP API out of the Durable Objects", () => {
    const objects = sources.filter((file) => /^workers\/(?:exchange|line|core-group)\//.test(file));
    expect(objects.length).toBeGreaterThan(20);
    const behind = new Set(objects);
    for (const file of behind) {
      for (const target of importsOf(file, "values")) {
        if (target.startsWith(".")) behind.add(relative(root, resolve(root, dirname(file), target)));
      }
    }
    expect([...behind].filter((file) => importsOf(file).some((target) => /^hono(?:\/|$)/.test(target)))).toEqual([]);
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
      .filter((file) => /\b(Date\.now|new Date\(\)|Math\.random|setTimeout|performance\.now|crypto\.)/.test(codeOf(file)));
    expect(impure).toEqual([]);
  });

  it("leaves nothing for later in the sources", () => {
    const left = sources.filter((file) => /\b(TODO|FIXME|XXX)\b/.test(textOf(file)));
    expect(left).toEqual([]);
  });
});
