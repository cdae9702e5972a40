import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { DeployFiles } from "../../../cli/deploy/files.ts";
import { firstDifference, isAsMade, wranglerTextOf } from "../../../cli/deploy/wrangler-text.ts";
import { root } from "../../../cli/program.ts";
import { workerSettingsOf } from "../../../cli/workerd-config.ts";
import { wranglerFileOf } from "../../../cli/wrangler-file.ts";
import { oneAccount, systemIn, twoAccounts, withBlade } from "./systems.ts";

const main = "workers/index.ts";
const there = readFileSync(join(root, "wrangler.toml"), "utf8");

describe("wrangler.toml at the top", () => {
  it("is what tandem.toml makes: npm run reference writes it anew", () => {
    const { text } = new DeployFiles(join(root, "tandem.toml")).texts().last;
    expect(there).toBe(text);
    expect(isAsMade(there)).toBe(true);
  });

  it.each(["a", "b"])("lets cell %s reach the others at their public addresses, and replaces code at once", (cell) => {
    const { compatibilityFlags, variables } = workerSettingsOf(there, cell);
    expect(compatibilityFlags).toContain("global_fetch_strictly_public");
    expect(variables["LOCATION_HINT"]).toMatch(/^[a-z-]+$/);
    expect(there).not.toContain("deferred");
  });

  it("keeps what a cell logs, and not that it was asked something", () => {
    expect(there).toMatch(/\[observability\.logs\]\nenabled = true\ninvocation_logs = false\n/);
  });
});

describe("a wrangler.toml that is made", () => {
  it("has an environment for each cell on Cloudflare, and none for a blade", () => {
    const { text, environments } = wranglerTextOf(systemIn(withBlade), main);
    expect(Object.keys(wranglerFileOf(text).env ?? {})).toEqual(["a", "b"]);
    expect([...environments.keys()]).toEqual(["a", "b"]);
    for (const cell of ["a", "b"]) expect(workerSettingsOf(text, cell).variables["CLUSTER"]).toContain("https://c.example.org");
  });

  it("says account, door and place of each", () => {
    const one = wranglerTextOf(systemIn(oneAccount), main).environments;
    expect(one.get("a")).toMatch(/^workers_dev = true$/m);
    expect(one.get("a")).toMatch(/^LOCATION_HINT = "weur"\nJURISDICTION = "eu"$/m);
    expect(one.get("b")).toMatch(
      /^workers_dev = false\npreview_urls = false\nroutes = \[\{ pattern = "b\.sip\.example\.org", custom_domain = true \}\]$/m,
    );
    const two = wranglerTextOf(systemIn(twoAccounts), main).environments;
    expect(two.get("a")).toMatch(/^account_id = "1{32}"$/m);
    expect(two.get("b")).toMatch(/^account_id = "2{32}"\nworkers_dev = false\npreview_urls = false\nroute = "b\.sip\.example\.org\/\*"$/m);
  });

  it("has no bindings where the targets are not there yet", () => {
    expect(wranglerTextOf(systemIn(oneAccount), main).text).toContain('binding = "CELL_B"\nservice = "tandem-b"');
    expect(wranglerTextOf(systemIn(oneAccount), main, { isBound: false }).text).not.toContain("CELL_B");
  });

  it("takes no map that would end its text", () => {
    const system = systemIn(oneAccount);
    expect(() => wranglerTextOf({ ...system, map: { ...system.map, aliases: ["'''"] } }, main)).toThrow("three apostrophes");
  });

  it("is known from one that was changed by hand, and the change is found", () => {
    const { text } = wranglerTextOf(systemIn(oneAccount), main);
    expect(isAsMade(text)).toBe(true);
    const changed = text.replace('LOCATION_HINT = "weur"', 'LOCATION_HINT = "enam"');
    expect(isAsMade(changed)).toBe(false);
    const line = changed.split("\n").indexOf('LOCATION_HINT = "enam"') + 1;
    expect(firstDifference(changed, text)).toEqual({ line, there: 'LOCATION_HINT = "enam"', made: 'LOCATION_HINT = "weur"' });
    expect(firstDifference(`${text}more\n`, text)).toMatchObject({ there: "more", made: "" });
  });
});
