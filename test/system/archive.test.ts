import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeArchive } from "../../cli/package/archive.ts";
import { programFileName, programVersion, root, versionText } from "../../cli/program.ts";
import { accountOf, addSubscribers } from "../../kit/world/subscribers.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";
import { comesTrue, until } from "../../kit/world/until.ts";
import { establish, exchange, sdpOf } from "./clients/call.ts";
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

/** An archive whose cells do not start. It has the Node and the workerd of the first one, so that it is small. */
function brokenArchive(version: string): string {
  const [name, work] = [`tandem-${version}-linux-${process.arch}`, join(directory, `broken-${version}`)];
  const [from, to] = [folder, join(work, name)];
  const large = ["node", "workerd"].map((program) => join("lib", program));
  cpSync(from, to, { recursive: true, filter: (file) => !large.includes(relative(from, file)) });
  for (const program of large) writeFileSync(join(to, program), `#!/bin/sh\nexec '${join(from, program)}' "$@"\n`, { mode: 0o755 });
  const own: object = JSON.parse(readFileSync(join(to, "lib", programFileName), "utf8"));
  writeFileSync(join(to, "lib", programFileName), JSON.stringify({ ...own, version }));
  writeFileSync(join(to, "lib", "cells", "index.js"), "export default {");
  execFileSync("tar", ["-C", work, "--format=ustar", "-czf", join(directory, `${name}.tar.gz`), name]);
  return join(directory, `${name}.tar.gz`);
}

/** The versions of cells and gateways, as status says them. */
async function versionsOf(system: Tandem): Promise<string[]> {
  const { cells = [], gateways = [] } = JSON.parse((await system.cli("status", "--json")).out) as Record<string, { version: string }[]>;
  return [...cells, ...gateways].map(({ version }) => version.replace(/ .*/, ""));
}

describe("an upgrade from one archive to another", () => {
  const phones: Phone[] = [];
  let system: Tandem;
  let newer: string;

  beforeAll(async () => {
    newer = await makeArchive({ checkout: root, directory: join(directory, "newer"), version: "9.9.9", level: 1 });
    system = await startTandem({
      program: join(folder, "bin", "tandem"),
      spawn: (command, args) => spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env: environment, cwd: directory }),
    });
    await addSubscribers(system, ["caller", "callee"].map(accountOf));
    for (const user of ["caller", "callee"]) {
      const phone = await Phone.open(wayOf(system, "UDP"), accountOf(user));
      phones.push(phone);
      expect(await phone.register()).toMatchObject({ status: 200 });
    }
  });

  afterAll(async () => {
    for (const phone of phones) phone.close();
    await system?.stop();
  });

  const pids = (): number[] => [...system.run.cells, ...system.run.gateways].map(({ pid }) => pid);

  it("refuses what is no archive, or not whole, in one line, and nothing has changed", async () => {
    const cut = join(directory, "cut.tar.gz");
    writeFileSync(cut, readFileSync(newer).subarray(0, 1_000_000));
    const plain = join(directory, "plain.tar.gz");
    writeFileSync(plain, "hello");
    const before = pids();
    for (const [file, reason] of [
      [cut, "is no archive, or not whole"],
      [plain, "is no archive, or not whole"],
      [join(directory, "nothing.tar.gz"), "cannot be read: no such file or directory"],
    ] as const) {
      expect(await system.cli("upgrade", "--to", file)).toEqual({ code: 1, out: "", err: `tandem: ${file}: ${reason}\n` });
    }
    expect((await system.cli("upgrade", "--back")).err).toBe(
      "tandem: nothing was upgraded since tandem up was started: there is no way back\n",
    );
    expect(pids()).toEqual(before);
  });

  it("goes cell by cell and gateway by gateway while a call stands, and back", { timeout: 900_000 }, async () => {
    const [caller, callee] = phones;
    if (caller === undefined || callee === undefined) throw new Error("there are no phones");
    const call = await establish(caller, callee);
    const [first = ""] = await versionsOf(system);
    const before = pids();
    // The call is changed all the while: each time both phones hear of it.
    const upgrading = system.cli("upgrade", "--to", newer);
    let [isOver, changes] = [false, 0];
    void upgrading.then(() => (isOver = true));
    const changed = async (): Promise<boolean> => {
      changes += 1;
      expect(await exchange("INVITE", call.caller, callee, sdpOf(caller, 1 + changes))).toMatchObject({ status: 200 });
      return isOver;
    };
    expect(await comesTrue(changed, 400_000, 50)).toBe(true);
    const upgraded = await upgrading;
    expect(changes).toBeGreaterThan(10);
    expect(upgraded).toMatchObject({ code: 0, err: "" });
    expect(
      upgraded.out
        .replaceAll(/ \([^)]*\)/g, "")
        .split("\n")
        .slice(0, 4),
    ).toEqual([`cell a: ${first} -> 9.9.9`, `cell b: ${first} -> 9.9.9`, `gateway g1: ${first} -> 9.9.9`, "All run 9.9.9."]);
    expect(await versionsOf(system)).toEqual(["9.9.9", "9.9.9", "9.9.9"]);
    for (const pid of pids()) expect(before).not.toContain(pid);
    expect((await system.cli("upgrade", "--to", newer)).out).toMatch(/^cell a runs 9\.9\.9.* already\ncell b .*\ngateway g1 .*\nAll run/);
    expect(await system.cli("upgrade", "--back")).toMatchObject({ code: 0, err: "" });
    expect(await versionsOf(system)).toEqual([first, first, first]);
    expect(await exchange("BYE", call.caller, callee)).toMatchObject({ status: 200 });
  });

  it("stops at a cell that does not come back, which then runs what it ran before", async () => {
    const [caller, callee] = phones;
    if (caller === undefined || callee === undefined) throw new Error("there are no phones");
    const call = await establish(caller, callee);
    const broken = brokenArchive("9.9.8");
    const [first = ""] = await versionsOf(system);
    const { code, out, err } = await system.cli("upgrade", "--to", broken);
    expect([code, out]).toEqual([1, ""]);
    expect(err).toMatch(/^tandem: cell a does not come back with 9\.9\.8.*; it runs \S+.* again\n$/);
    expect(await versionsOf(system)).toEqual([first, first, first]);
    expect(await exchange("INVITE", call.caller, callee, sdpOf(caller, 2))).toMatchObject({ status: 200 });
    // What was before is still the way back after another one has failed.
    expect((await system.cli("upgrade", "--to", brokenArchive("9.9.7"))).err).toMatch(/^tandem: cell a does not come back with 9\.9\.7/);
    await until(async () => {
      const { cells } = JSON.parse((await system.cli("status", "--json")).out) as { cells: { state: string }[] };
      return cells.every(({ state }) => state === "up");
    });
    expect(await system.cli("upgrade", "--back")).toMatchObject({ code: 0, out: expect.stringContaining(`All run ${first}`) });
    expect(readdirSync(join(system.state, "programs"))).toEqual([expect.stringContaining("tandem-9.9.7-")]);
    expect(await exchange("BYE", call.caller, callee)).toMatchObject({ status: 200 });
  });
});
