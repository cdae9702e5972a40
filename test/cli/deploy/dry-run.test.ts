import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { readInvocation } from "../../../gateway/config/config.ts";
import { runCommand } from "../captured-io.ts";
import { oneAccount, twoAccounts, withBlade } from "./systems.ts";

const directory = mkdtempSync(join(tmpdir(), "tandem-dry-run-"));

afterAll(() => rmSync(directory, { recursive: true, force: true }));

const gateway = `[[gateways]]
name = "g1"
listeners = [{ transport = "udp", host = "192.0.2.10", port = 5060 }]
`;

/** A busy machine takes half a minute for one. */
const uploadsMsMax = 600_000;

/** A folder with this tandem.toml. */
function folderWith(name: string, toml: string): string {
  const folder = join(directory, name);
  mkdirSync(folder);
  writeFileSync(join(folder, "tandem.toml"), toml);
  return folder;
}

/** wrangler writes its log beside its own settings, and knows an account by them: it is given neither. */
const environment = { ...process.env, NODE_ENV: "", WRANGLER_LOG_PATH: join(directory, "logs"), CLOUDFLARE_API_TOKEN: undefined };

function deploy(folder: string, ...words: readonly string[]): ReturnType<typeof runCommand> {
  return runCommand(["deploy", "--config", join(folder, "tandem.toml"), ...words], { environment });
}

describe("tandem deploy --dry-run", () => {
  it.each<[string, string, readonly string[]]>([
    ["two cells of one account", oneAccount, ["a, without bindings yet", "b", "a"]],
    ["two cells of two accounts", twoAccounts, ["a", "b"]],
    ["two cells and a blade", withBlade, ["a, without bindings yet", "b", "a"]],
  ])(
    "has wrangler take %s, without an account, and leaves nothing",
    async (name, toml, taken) => {
      const folder = folderWith(name.replaceAll(" ", "-"), `${toml}\n${gateway}`);
      const { code, out, err } = await deploy(folder, "--dry-run");
      expect({ code, err }).toEqual({ code: 0, err: "" });
      expect(out.match(/^wrangler takes cell .*$/gm)).toEqual(taken.map((cell) => `wrangler takes cell ${cell}`));
      expect(out).toMatch(/^ +3 {2}cell a.* npx wrangler deploy --env a --tag [0-9a-f]{12} /m);
      expect(readdirSync(folder)).toEqual(["tandem.toml"]);
    },
    uploadsMsMax,
  );
});

describe("tandem deploy, of what is there", () => {
  it("says each fault of the file in a line of its own, by its key", async () => {
    const folder = folderWith("faults", oneAccount.replace('"weur"', '"mars"').replace('"eeur"', '"moon"'));
    const { code, out, err } = await deploy(folder);
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err.split("\n").map((line) => /tandem\.toml: (\S+)/.exec(line)?.[1])).toEqual([
      "cells[0].location",
      "cells[1].location",
      undefined,
    ]);
  });

  it("refuses a wrangler.toml that was changed by hand, and leaves it as it is", async () => {
    const trial = readFileSync("tandem.toml", "utf8");
    const folder = folderWith("changed", trial);
    expect((await deploy(folder)).out).toMatch(/wrangler\.toml: is made: it was not there$/m);
    expect((await deploy(folder)).out).toMatch(/wrangler\.toml: is what tandem\.toml makes$/m);
    const file = join(folder, "wrangler.toml");
    const made = readFileSync(file, "utf8");
    const changed = made.replace('"eeur"', '"me"');
    writeFileSync(file, changed);
    const { code, err } = await deploy(folder);
    expect({ code, err }).toEqual({
      code: 1,
      err: expect.stringMatching(
        /wrangler\.toml was changed by hand: line \d+ is "LOCATION_HINT = \\"me\\"", and tandem\.toml makes "LOCATION_HINT = \\"eeur\\""/,
      ),
    });
    expect(readFileSync(file, "utf8")).toBe(changed);
    expect((await deploy(folder, "--force")).out).toContain("is made anew: it was changed by hand, which is given up\n");
    expect(readFileSync(file, "utf8")).toBe(made);
    writeFileSync(join(folder, "tandem.toml"), trial.replace('"eeur"', '"afr"'));
    expect((await deploy(folder)).out).toContain("is made anew: it was of an earlier tandem.toml\n");
    expect(readFileSync(file, "utf8")).toContain('LOCATION_HINT = "afr"');
  });

  it("prints what goes into each gateway, as a gateway takes it", async () => {
    const folder = folderWith("gateways", `${readFileSync("tandem.toml", "utf8")}\n${gateway}`);
    const { out } = await deploy(folder, "--json");
    const { gateways, steps } = JSON.parse(out) as {
      gateways: readonly { readonly name: string; readonly file: string }[];
      steps: readonly { readonly command: string | null }[];
    };
    expect(steps.map(({ command }) => command?.split(" ").slice(0, 3).join(" "))).toContain("npx wrangler deploy");
    const file = join(folder, "gateway.toml");
    writeFileSync(file, gateways[0]?.file ?? "");
    writeFileSync(join(folder, "tandem.secret"), "x".repeat(32));
    expect(readInvocation(["--config", file]).config).toMatchObject({
      name: "g1",
      cells: [
        { id: "a", url: "http://127.0.0.1:8801" },
        { id: "b", url: "http://127.0.0.1:8802" },
      ],
    });
  });

  it.each<[string, readonly string[], string]>([
    ["cells on this machine", ["--yes"], "cell a is at http://127.0.0.1:8801, on this machine: on Cloudflare nobody would find it there\n"],
    ["two wishes", ["--yes", "--dry-run"], "--yes and --dry-run exclude each other (see tandem deploy --help)\n"],
  ])("does nothing for %s", async (name, words, reason) => {
    const folder = folderWith(name.replaceAll(" ", "-"), readFileSync("tandem.toml", "utf8"));
    const { code, out, err } = await deploy(folder, ...words);
    expect({ isDone: code === 0, out }).toEqual({ isDone: false, out: "" });
    expect(err.endsWith(reason)).toBe(true);
    expect(readdirSync(folder)).toEqual(["tandem.toml"]);
  });

  it("has a secret that others may not read, or none", async () => {
    const folder = folderWith("open-secret", readFileSync("tandem.toml", "utf8"));
    writeFileSync(join(folder, "tandem.secret"), "x".repeat(32), { mode: 0o644 });
    expect((await deploy(folder)).err).toMatch(/tandem\.secret may be read by others: chmod 600 /);
    rmSync(join(folder, "tandem.secret"));
    writeFileSync(join(folder, "tandem.secret"), "short", { mode: 0o600 });
    expect((await deploy(folder)).err).toMatch(/tandem\.secret: must hold one line of 32 characters or more/);
  });
});
