import { spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { type StartedBy, ignoresHangup } from "../../cli/hangup.ts";

const plain: StartedBy = {
  command: "/usr/bin/npm",
  stdin: { path: "/dev/null", flags: "0100000" },
  stdout: "/var/log/tandem.log",
  ignoredByParents: ["0000000000001000"],
};

describe("ignoresHangup", () => {
  it.each<[string, Partial<StartedBy>]>([
    ["the shell's last command was nohup", { command: "/usr/bin/nohup" }],
    ["nohup writes to its own file", { stdout: "/home/op/nohup.out" }],
    [
      "nohup has put a /dev/null in the place of a terminal, which nobody can read from",
      { stdin: { path: "/dev/null", flags: "0100001" } },
    ],
    ["the script that started it ignores SIGHUP", { ignoredByParents: ["0000000000001000", "0000000000000001"] }],
  ])("%s: it lives on", (_, trace) => {
    expect(ignoresHangup({ ...plain, ...trace })).toBe(true);
  });

  it("without any trace SIGHUP means the end", () => {
    expect(ignoresHangup(plain)).toBe(false);
    expect(ignoresHangup({ command: undefined, stdin: undefined, stdout: undefined, ignoredByParents: [] })).toBe(false);
  });
});

/** What it says when it is sent these signals, one for each thing that it has said. */
async function saidBy(command: readonly string[], signals: readonly NodeJS.Signals[]): Promise<string[]> {
  const environment = { ...process.env, _: "/bin/sh", npm_lifecycle_event: undefined };
  // In a session of its own it has no terminal, whoever runs the tests.
  const child = spawn(command[0] ?? "", command.slice(1), { env: environment, stdio: ["pipe", "pipe", "ignore"], detached: true });
  let said = "";
  const left = [...signals];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    said += text;
    const pid = /^watching (\d+)\r?\n/.exec(said)?.[1];
    const signal = pid === undefined ? undefined : left.shift();
    if (signal !== undefined) process.kill(Number(pid), signal);
  });
  await once(child, "close");
  return said.trim().split(/\r?\n/).slice(1);
}

describe("a process that watches for its end", () => {
  const script = `
    const { onEnd } = await import(${JSON.stringify(resolve(import.meta.dirname, "../../cli/ending.ts"))});
    const reload = process.argv.includes("reloads") ? () => console.log("reloads") : undefined;
    const unwatch = onEnd((cause) => { console.log(cause); unwatch(); }, reload);
    console.log("watching " + process.pid);`;
  const node = [process.execPath, "--input-type=module", "-e", script];

  it("ends at a SIGHUP", async () => {
    expect(await saidBy(node, ["SIGHUP"])).toEqual(["SIGHUP"]);
  });

  it("reloads at a SIGHUP where it can and has no terminal, as often as it is told", async () => {
    expect(await saidBy([...node, "reloads"], ["SIGHUP", "SIGHUP", "SIGTERM"])).toEqual(["reloads", "reloads", "SIGTERM"]);
  });

  it.runIf(process.platform === "linux")("ends at a SIGHUP in a terminal, which may have been closed", async () => {
    const words = [...node, "reloads"].map((word) => `'${word.replaceAll("'", "'\\''")}'`);
    expect(await saidBy(["script", "-qec", words.join(" "), "/dev/null"], ["SIGHUP"])).toEqual(["SIGHUP"]);
  });

  it("does not under nohup, and still ends at a SIGTERM", async () => {
    const said: string[] = [];
    const child = spawn("nohup", node, {
      env: { ...process.env, _: "/usr/bin/nohup", npm_lifecycle_event: undefined },
      stdio: ["ignore", "pipe", "ignore"],
    });
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      const isFirst = said.length === 0;
      said.push(...text.trim().split("\n"));
      if (!isFirst) return;
      for (const signal of ["SIGHUP", "SIGTERM"] as const) child.kill(signal);
    });
    await once(child, "close");
    expect(said.slice(1)).toEqual(["SIGTERM"]);
  });
});
