import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { resolve } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { startOf } from "../../cli/process-table.ts";
import type { Reporter } from "../../cli/reporter.ts";
import { Supervisor, type ProcessSpec } from "../../cli/supervisor.ts";
import { until } from "../../kit/world/until.ts";

const supervisors: Supervisor[] = [];
const helpers: ChildProcess[] = [];

afterEach(async () => {
  await Promise.all(supervisors.splice(0).map((supervisor) => supervisor.stop()));
  for (const helper of helpers.splice(0)) helper.kill("SIGKILL");
});

type Watched = { supervisor: Supervisor; lines: string[]; pids: number[] };

function supervise(restart = true): Watched {
  const lines: string[] = [];
  const pids: number[] = [];
  const reporter: Reporter = {
    step: () => undefined,
    event: (name, event, cause) => void lines.push(`${name} ${event}: ${cause}`),
    line: (name, text) => void lines.push(`${name}> ${text}`),
    text: () => undefined,
    ready: () => undefined,
    failed: () => undefined,
  };
  const supervisor = new Supervisor({ restart, reporter, onStarted: (_, pid) => void pids.push(pid) });
  supervisors.push(supervisor);
  return { supervisor, lines, pids };
}

function script(code: string): ProcessSpec {
  return { name: "it", command: [process.execPath, "-e", code], environment: { GREETING: "hello" }, readiness: { line: /^ready$/ } };
}

const serving = 'console.log("ready"); setInterval(() => {}, 1000);';
const isGone = (pid: number | undefined): boolean => pid === undefined || startOf(pid) === undefined;

describe("Supervisor", () => {
  it("starts a program under its own process id, with its environment, and passes on what it says", async () => {
    const { supervisor, lines, pids } = supervise();
    await supervisor.start(script(`console.error(process.env.GREETING, process.pid); console.log("out"); ${serving}`));
    await until(() => lines.length === 2);
    expect(lines.toSorted()).toEqual([`it> hello ${pids[0]}`, "it> out"]);
  });

  it("starts it so that what it writes is for this user alone", async () => {
    const { supervisor, lines } = supervise();
    await supervisor.start(script(`console.log(process.umask().toString(8)); ${serving}`));
    await until(() => lines.length === 1);
    expect(lines).toEqual(["it> 77"]);
  });

  it("stops one when it is told, though it would start it again, and starts it when it is told", async () => {
    const { supervisor, lines, pids } = supervise();
    await supervisor.start(script(`console.error("a last word"); ${serving}`));
    const [first = 0] = pids;
    await until(() => supervisor.processes[0]?.said !== "");
    expect(supervisor.processes).toMatchObject([{ name: "it", state: "up", pid: first, starts: 1, said: "a last word" }]);
    await expect(supervisor.startOne("it")).rejects.toThrow("it runs already");
    await supervisor.stopOne("it");
    expect([isGone(first), supervisor.isStopped("it"), supervisor.renew("it", "")]).toEqual([true, true, false]);
    expect(supervisor.processes).toMatchObject([{ state: "stopped", starts: 1, said: "a last word" }]);
    expect(supervisor.processes[0]).not.toHaveProperty("pid");
    await expect(supervisor.stopOne("it")).rejects.toThrow("it is stopped already");
    await supervisor.startOne("it");
    expect(supervisor.processes).toMatchObject([{ state: "up", pid: pids[1], starts: 2 }]);
    await expect(supervisor.stopOne("another")).rejects.toThrow("there is no process another here");
    expect(lines.filter((line) => line.startsWith("it "))).toEqual([
      "it stopped: as it was told",
      `it started: process ${pids[1]}, as it was told`,
    ]);
    // One that dies is started again as before.
    process.kill(pids[1] ?? 0, "SIGKILL");
    await until(() => pids.length === 3 && supervisor.processes[0]?.state === "up");
  });

  it("stays stopped when it does not start", async () => {
    const { supervisor, pids } = supervise();
    await supervisor.start(script(`if (process.env.BROKEN === "1") process.exit(3); ${serving}`));
    await supervisor.stopOne("it");
    process.env["BROKEN"] = "1";
    try {
      await expect(supervisor.startOne("it")).rejects.toThrow(/^it does not start, and is stopped: /);
    } finally {
      delete process.env["BROKEN"];
    }
    expect([supervisor.processes[0]?.state, pids.length]).toEqual(["stopped", 2]);
    await supervisor.startOne("it");
    expect(supervisor.processes[0]?.state).toBe("up");
  });

  it("ends one for good, and starts it again no more", async () => {
    const { supervisor, lines, pids } = supervise();
    await supervisor.start(script(serving));
    await supervisor.end("it");
    expect([isGone(pids[0]), lines]).toEqual([true, []]);
    await expect(supervisor.startAgain("it")).rejects.toThrow("it was never started");
    // Nor one that dies again and again, and waits for its next start.
    const failing = { ...script("process.exit(3)"), name: "cell a" };
    await supervisor.startSome([failing, { ...script(serving), name: "cell b" }]);
    await supervisor.end("cell a");
    const { length } = lines;
    await supervisor.start({ ...script(serving), name: "cell c" });
    expect(lines).toHaveLength(length);
    await supervisor.end("nobody");
  });

  it("goes on with those that start, says who does not, and tries that one again", async () => {
    const { supervisor, lines } = supervise();
    const tries: number[] = [];
    const failing = { ...script("process.exit(3)"), name: "cell a", prepare: () => void tries.push(1) };
    const names = await supervisor.startSome([failing, { ...script(serving), name: "cell b" }]);
    expect([...names]).toEqual(["cell b"]);
    expect(lines).toEqual(["cell a failed: cell a does not start: ended with code 3; the others go on without it"]);
    await until(() => tries.length > 2);
  });

  it("fails when none of them starts", async () => {
    const { supervisor } = supervise();
    const failing = script("process.exit(3)");
    await expect(supervisor.startSome([failing, { ...failing, name: "cell b" }])).rejects.toThrow("it does not start: ended with code 3");
  });

  it("says why a program does not start", async () => {
    const { supervisor } = supervise();
    await expect(supervisor.start(script('console.error("no such luck"); process.exit(3)'))).rejects.toThrow(
      "it does not start: ended with code 3 (last words: no such luck)",
    );
    await expect(supervisor.start({ ...script(""), command: ["/nonexistent/program"] })).rejects.toThrow(
      /^it does not start: ended with code 127 .*not found/,
    );
  });

  it("starts a killed process again when it is told to, where it does not by itself", async () => {
    const { supervisor, lines, pids } = supervise(false);
    await supervisor.start(script(serving));
    await expect(supervisor.startAgain("it")).rejects.toThrow("it is running");
    process.kill(pids[0] ?? 0, "SIGKILL");
    await supervisor.startAgain("it");
    expect(pids).toHaveLength(2);
    expect(isGone(pids[1])).toBe(false);
    process.kill(pids[1] ?? 0, "SIGKILL");
    await until(() => lines.length === 2);
    expect(lines[1]).toBe(`it died: process ${pids[1]} was ended by SIGKILL; not started again (--no-restart)`);
  });

  it("starts a killed process again, at once, and says so", async () => {
    const { supervisor, lines, pids } = supervise();
    await supervisor.start(script(serving));
    const [first = 0] = pids;
    process.kill(first, "SIGKILL");
    await until(() => lines.some((line) => line.startsWith("it restarted")));
    expect(lines).toEqual([
      `it died: process ${first} was ended by SIGKILL`,
      expect.stringMatching(new RegExp(`^it restarted: process ${pids[1]}, serving after \\d+ ms$`)),
    ]);
    expect(isGone(first)).toBe(true);
    expect(isGone(pids[1])).toBe(false);
  });

  it("ends a process to start it again, and says why; not where nothing is started again", async () => {
    const { supervisor, lines, pids } = supervise();
    await supervisor.start(script(serving));
    expect(supervisor.renew("it", "it is old")).toBe(true);
    await until(() => lines.length === 2);
    expect(lines).toEqual([`it ended: process ${pids[0]}: it is old`, expect.stringMatching(/^it restarted: /)]);
    expect(isGone(pids[0])).toBe(true);
    const other = supervise(false);
    await other.supervisor.start(script(serving));
    expect(other.supervisor.renew("it", "it is old")).toBe(false);
    expect(isGone(other.pids[0])).toBe(false);
  });

  it("backs off from a process that dies again and again", async () => {
    const { supervisor, lines, pids } = supervise();
    const at: number[] = [];
    await supervisor.start(script(serving));
    for (let deaths = 1; deaths <= 3; deaths += 1) {
      process.kill(pids.at(-1) ?? 0, "SIGKILL");
      const killed = performance.now();
      await until(() => lines.filter((line) => line.startsWith("it restarted")).length === deaths);
      at.push(performance.now() - killed);
    }
    // At once, after 250 ms, after 500 ms.
    expect(at[1]).toBeGreaterThan(250);
    expect(at[2]).toBeGreaterThan(500);
  });

  it("does not start it again when told not to", async () => {
    const { supervisor, lines, pids } = supervise(false);
    await supervisor.start(script(serving));
    process.kill(pids[0] ?? 0, "SIGKILL");
    await until(() => lines.length > 0);
    expect(lines).toEqual([`it died: process ${pids[0]} was ended by SIGKILL; not started again (--no-restart)`]);
    expect(pids).toHaveLength(1);
  });

  it("stops politely, and by force after a second", async () => {
    const { supervisor, lines, pids } = supervise();
    await supervisor.start(script(`process.on("SIGTERM", () => { console.log("bye"); process.exit(0); }); ${serving}`));
    await supervisor.start({ ...script(`process.on("SIGTERM", () => undefined); ${serving}`), name: "deaf" });
    const start = performance.now();
    await supervisor.stop();
    expect(performance.now() - start).toBeLessThan(2_500);
    expect(pids.every(isGone)).toBe(true);
    expect(lines).toEqual(["it> bye"]);
  });

  it("leaves no process when it is killed itself, a frozen one neither", async () => {
    const source = `
      import { Supervisor } from ${JSON.stringify(resolve(import.meta.dirname, "../../cli/supervisor.ts"))};
      const reporter = { event() {}, line() {} };
      const pids = [];
      const supervisor = new Supervisor({ restart: true, reporter, onStarted: (name, pid) => pids.push(pid) });
      const code = ${JSON.stringify(serving)};
      for (const name of ["one", "two"]) {
        await supervisor.start({ name, command: [process.execPath, "-e", code], environment: {}, readiness: { line: /^ready$/ } });
      }
      process.kill(pids[1], "SIGSTOP");
      console.log(JSON.stringify(pids));`;
    const helper = spawn(process.execPath, ["--input-type=module", "-e", source], { stdio: ["ignore", "pipe", "inherit"] });
    helpers.push(helper);
    const [line] = await once(createInterface({ input: helper.stdout }), "line");
    const pids: unknown = JSON.parse(String(line));
    const children = Array.isArray(pids) ? pids.map(Number) : [];
    expect(children.map(isGone)).toEqual([false, false]);
    helper.kill("SIGKILL");
    await until(() => children.every(isGone));
  });
});
