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

describe("a process that watches for its end", () => {
  const script = `
    const { onEnd } = await import(${JSON.stringify(resolve(import.meta.dirname, "../../cli/ending.ts"))});
    const unwatch = onEnd((cause) => { console.log(cause); unwatch(); });
    console.log("watching");`;

  /** What it says to these signals. */
  async function endOf(before: readonly string[], ...signals: NodeJS.Signals[]): Promise<string[]> {
    const command = [...before, process.execPath, "--input-type=module", "-e", script];
    const environment = { ...process.env, _: before[0] === "nohup" ? "/usr/bin/nohup" : "/bin/sh", npm_lifecycle_event: undefined };
    const child = spawn(command[0] ?? "", command.slice(1), { env: environment, stdio: ["ignore", "pipe", "ignore"] });
    const said: string[] = [];
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      const isFirst = said.length === 0;
      said.push(...text.trim().split("\n"));
      if (!isFirst) return;
      for (const signal of signals) child.kill(signal);
    });
    await once(child, "close");
    return said;
  }

  it("ends at a SIGHUP", async () => {
    expect(await endOf([], "SIGHUP")).toEqual(["watching", "SIGHUP"]);
  });

  it("does not under nohup, and still ends at a SIGTERM", async () => {
    expect(await endOf(["nohup"], "SIGHUP", "SIGTERM")).toEqual(["watching", "SIGTERM"]);
  });
});
