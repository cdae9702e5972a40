import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { notifier, serviceManagerOf } from "../../../cli/service/service-manager.ts";
import { until } from "../../../kit/world/until.ts";

afterEach(() => vi.useRealTimers());

function rig(environment: NodeJS.ProcessEnv): { readonly said: string[]; readonly manager: ReturnType<typeof serviceManagerOf> } {
  const said: string[] = [];
  const manager = serviceManagerOf({ environment, pids: [7, 8], notify: (assignments) => void said.push(...assignments) });
  onTestFinished(() => manager.close());
  return { said, manager };
}

describe("whoever has started a service", () => {
  it("hears nothing where nobody listens", () => {
    vi.useFakeTimers();
    const { said, manager } = rig({ WATCHDOG_USEC: "30000000" });
    manager.ready();
    vi.advanceTimersByTime(60_000);
    expect(said).toEqual([]);
  });

  it("hears that it is ready, that its main loop goes round, and that it stops", () => {
    vi.useFakeTimers();
    const { said, manager } = rig({ NOTIFY_SOCKET: "/run/x", WATCHDOG_USEC: "30000000", WATCHDOG_PID: "8" });
    manager.ready();
    vi.advanceTimersByTime(30_000);
    expect(said).toEqual(["READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"]);
    manager.stopping();
    manager.close();
    vi.advanceTimersByTime(60_000);
    expect(said.slice(4)).toEqual(["STOPPING=1"]);
  });

  it.each([{ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "9" }, { WATCHDOG_USEC: "0" }, { WATCHDOG_USEC: "soon" }, {}])(
    "is told nothing of the loop where it does not ask this process: %j",
    (environment) => {
      vi.useFakeTimers();
      const { said } = rig({ NOTIFY_SOCKET: "/run/x", ...environment });
      vi.advanceTimersByTime(120_000);
      expect(said).toEqual([]);
    },
  );
});

describe("systemd's own program", () => {
  it("is given what is to be said, and what it cannot say is told once", async () => {
    const directory = mkdtempSync(join(tmpdir(), "tandem-notify-"));
    const path = process.env["PATH"];
    onTestFinished(() => {
      process.env["PATH"] = path;
      rmSync(directory, { recursive: true, force: true });
    });
    process.env["PATH"] = `${directory}:${path ?? ""}`;
    writeFileSync(join(directory, "systemd-notify"), '#!/bin/sh\n[ "$1" = READY=1 ] || { echo refused >&2; exit 1; }\n', { mode: 0o755 });
    const failures: string[] = [];
    const notify = notifier((reason) => failures.push(reason));
    notify(["WATCHDOG=1"]);
    await until(() => failures.length === 1);
    notify(["READY=1"]);
    notify(["WATCHDOG=1"]);
    expect(failures[0]).toMatch(/^systemd hears nothing of this process: Command failed: systemd-notify WATCHDOG=1/);
  });
});
