import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeArchive } from "../../cli/package/archive.ts";
import { programVersion, root, versionText } from "../../cli/program.ts";
import { accountOf, addSubscribers } from "../../kit/world/subscribers.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";
import { establish, exchange } from "./clients/call.ts";
import { Phone } from "./clients/phone.ts";
import { wayOf } from "./clients/way.ts";

const directory = mkdtempSync(join(tmpdir(), "tandem-archive-"));
/** There is no program there: neither Node nor anything else. */
const environment = { PATH: join(directory, "none"), HOME: directory };
let archive: string;
let folder: string;

beforeAll(async () => {
  archive = await makeArchive({ checkout: root, directory: join(directory, "first"), level: 1 });
  execFileSync("tar", ["-xzf", archive, "-C", directory]);
  folder = archive.replace(/^.*\/(tandem-[^/]*)\.tar\.gz$/, `${directory}/$1`);
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

function run(...words: string[]): string {
  return execFileSync(join(folder, "bin", "tandem"), words, { env: environment, cwd: directory, encoding: "utf8" });
}

function digestOf(file: string): string {
  return createHash("sha256").update(readFileSync(file)).digest("hex");
}

describe("an archive", () => {
  it("says the version and commit of its checkout", () => {
    expect(run("--version")).toBe(`${versionText(programVersion())}\n`);
  });

  it("is the same, octet for octet, when it is made again", async () => {
    const again = await makeArchive({ checkout: root, directory: join(directory, "second"), level: 1 });
    expect(digestOf(again)).toBe(digestOf(archive));
    rmSync(again);
  });

  it("names nothing of the checkout that it was made in, and has the license of every package", () => {
    const code = readdirSync(join(folder, "lib")).filter((name) => name.endsWith(".js"));
    expect(code.filter((name) => readFileSync(join(folder, "lib", name), "utf8").includes(root))).toEqual([]);
    const packages = readFileSync(join(folder, "licenses", "packages.txt"), "utf8");
    for (const name of ["hono", "valibot", "ws", "smol-toml", "selfsigned", "workerd", "node-linux-"])
      expect(packages).toContain(`\n${name}`);
    const [version = ""] = readdirSync(join(folder, "licenses", "ws"));
    expect(readdirSync(join(folder, "licenses", "ws", version))).toEqual(["LICENSE"]);
    const paths = execFileSync("tar", ["-tzf", archive], { encoding: "utf8" }).split("\n");
    expect(paths.filter((path, index) => paths.indexOf(path) < index)).toEqual([]);
  });

  it("starts a system without Node, checkout and network: a call, its status, and its end", async () => {
    const system: Tandem = await startTandem({
      program: join(folder, "bin", "tandem"),
      spawn: (command, args) => spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env: environment, cwd: directory }),
    });
    const phones: Phone[] = [];
    try {
      await addSubscribers(system, ["from", "to"].map(accountOf));
      for (const [user, transport] of [
        ["from", "UDP"],
        ["to", "WS"],
      ] as const)
        phones.push(await Phone.open(wayOf(system, transport), accountOf(user)));
      const [from, to] = phones;
      if (from === undefined || to === undefined) throw new Error("there are no phones");
      for (const phone of phones) expect(await phone.register()).toMatchObject({ status: 200 });
      const { caller } = await establish(from, to);
      expect(await exchange("BYE", caller, to)).toMatchObject({ status: 200 });
      expect(JSON.parse(run("status", "--json", "--state", system.state))).toMatchObject({ registrations: 2 });
      // It has the library for many datagrams at once, and the processes are its own.
      expect(JSON.parse(run("status", "--json", "--state", system.state))).toMatchObject({ gateways: [{ isNative: true }] });
      const { cells, gateways } = system.run;
      for (const { pid } of [...cells, ...gateways]) expect(readFileSync(`/proc/${pid}/cmdline`, "utf8")).toContain(folder);
    } finally {
      for (const phone of phones) phone.close();
      await system.stop("SIGTERM");
    }
  });
});
