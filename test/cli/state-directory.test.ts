import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { StateDirectory } from "../../cli/state-directory.ts";

let state: StateDirectory;

beforeEach(() => {
  state = new StateDirectory(mkdtempSync(join(tmpdir(), "tandem-state-")));
});

afterEach(() => rmSync(state.path, { recursive: true, force: true }));

const modeOf = (name: string): number => statSync(state.file(name)).mode & 0o777;

describe("StateDirectory", () => {
  it("makes a secret once, readable by its owner only", () => {
    expect(state.readSecret()).toBeUndefined();
    const secret = state.secret();
    expect(secret).toMatch(/^[0-9a-f]{64}$/);
    expect(state.secret()).toBe(secret);
    expect(modeOf("secret")).toBe(0o600);
  });

  it("closes to others what is for its user alone, also in a directory that was there and is open to all", () => {
    const mask = process.umask(0);
    try {
      chmodSync(state.path, 0o755);
      for (const open of ["cells", "cells/a", "tls", "other"]) mkdirSync(state.file(open), { mode: 0o755 });
      state.create();
      state.makeDirectory("authority");
      state.makeDirectory("members", "h1");
      state.makeDirectory("cells", "b", "room");
    } finally {
      process.umask(mask);
    }
    expect(["cells", "tls", "authority", "members", "members/h1", "cells/b", "cells/b/room"].map(modeOf)).toEqual(
      Array.from({ length: 7 }, () => 0o700),
    );
    // What is not of its making is left as it is.
    expect(modeOf("other")).toBe(0o755);
    expect(statSync(state.path).mode & 0o777).toBe(0o755);
  });

  it.runIf(process.platform === "linux")("is not used while a folder of keys is open to others, and stays so", () => {
    symlinkSync("/proc/self", state.file("cells"));
    expect(() => state.create()).toThrow(/^\/.*\/cells is open to other users, and cannot be closed to them: ./);
  });

  it("says what is wrong with a directory that cannot be made, and with damaged files", () => {
    writeFileSync(state.file("file"), "");
    expect(() => new StateDirectory(state.file("file", "x")).create()).toThrow(
      /^\/.*\/file\/x: cannot be made a state directory: not a directory/,
    );
    writeFileSync(state.file("run.json"), "{");
    expect(() => state.readRun()).toThrow(`${state.file("run.json")} is damaged: not JSON`);
    writeFileSync(state.file("cluster.json"), '{"domain":1}');
    expect(() => state.readCluster()).toThrow(`${state.file("cluster.json")} is damaged: it does not hold what this version`);
    writeFileSync(state.file("secret"), "\n");
    expect(() => state.secret()).toThrow(`${state.file("secret")} is empty`);
    state.write("secret", "short\n", 0o600);
    expect(() => state.secret()).toThrow(`${state.file("secret")} must hold at least 16 characters`);
  });

  it("says its format, and nothing is started with one of a later release", () => {
    const settings = { domain: "example.test", exchanges: 2, cells: 2 };
    // As 0.1.0 and what was before it wrote it.
    writeFileSync(state.file("cluster.json"), JSON.stringify(settings));
    expect(state.readCluster()).toEqual(settings);
    state.writeCluster(settings);
    expect(state.readCluster()).toEqual({ ...settings, format: 1 });
    const offered = { ...settings, listen: { host: "192.0.2.1", port: 8841 }, host: "h1" };
    state.writeCluster(offered);
    expect(state.readCluster()).toEqual({ ...offered, format: 2 });
    const later = '{"format":3,"domains":["example.test"]}';
    writeFileSync(state.file("cluster.json"), later);
    expect(() => state.readCluster()).toThrow(
      `${state.path} is of a later release (format 3, this one reads 2): start that, or use another --state`,
    );
    expect(() => state.writeCluster(settings)).toThrow("is not of tandem's making, and is not replaced");
    expect(readFileSync(state.file("cluster.json"), "utf8")).toBe(later);
  });

  it.each([
    ["run.json", "[1, 2]"],
    ["cluster.json", "mine"],
    ["passwords.json", '{"root":"x"}'],
    ["cell-a.capnp", "@0xbf5147cbbecf40c1;"],
    ["gateway-g1.toml", "name = 'other'"],
  ])("replaces no %s that somebody else has written", (name, text) => {
    writeFileSync(state.file(name), text);
    expect(() => state.write(name, "ours")).toThrow(`${state.file(name)} is not of tandem's making, and is not replaced`);
    expect(readFileSync(state.file(name), "utf8")).toBe(text);
  });

  it("forgets the passwords that are not true any more", () => {
    state.forgetPasswords(["alice@example.test"]);
    expect(readdirSync(state.path)).toEqual([]);
    state.writePasswords({ provisioned: true, passwords: { "alice@example.test": "a", "bob@example.test": "b" } });
    state.forgetPasswords(["alice@example.test", "nobody@example.test"]);
    expect(state.readPasswords()).toEqual({ provisioned: true, passwords: { "bob@example.test": "b" } });
    expect(modeOf("passwords.json")).toBe(0o600);
  });
});

describe("its lock", () => {
  it("is refused while a process that is alive has it", () => {
    expect(state.lock()).toBe(false);
    expect(() => state.lock()).toThrow(
      `${state.path} is in use by a running tandem (process ${process.pid}): stop it, or use another --state`,
    );
    state.unlock();
    expect(state.lock()).toBe(false);
  });

  it("is taken over from a process that is gone", async () => {
    const child = spawn("true");
    await once(child, "exit");
    writeFileSync(state.file("lock"), JSON.stringify({ pid: child.pid, started: "1" }));
    expect(state.lock()).toBe(true);
    expect(readdirSync(state.path)).toEqual(["lock"]);
  });

  it.runIf(process.platform === "linux")("is taken over when its process id belongs to another process now", () => {
    writeFileSync(state.file("lock"), JSON.stringify({ pid: process.pid, started: "1" }));
    expect(state.lock()).toBe(true);
  });
});
