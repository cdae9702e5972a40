import { execFile } from "node:child_process";

/** Whoever has started this process as a service wants to hear of it. */
export type ServiceManager = {
  /** Phones are served from now on. */
  ready(): void;
  stopping(): void;
  /** Nothing more is said. */
  close(): void;
};

export type ServiceManagerOptions = {
  readonly environment: NodeJS.ProcessEnv;
  readonly pids: readonly number[];
  /** Says these assignments (sd_notify(3)). */
  readonly notify: (assignments: readonly string[]) => void;
};

const silent: ServiceManager = { ready: () => undefined, stopping: () => undefined, close: () => undefined };
/** systemd wants to hear it in half of its time; a busy machine may be late. */
const saidInWatchdog = 3;

/** The systemd that has started this process with `Type=notify` and maybe `WatchdogSec=`; nobody where it has not. */
export function serviceManagerOf({ environment, pids, notify }: ServiceManagerOptions): ServiceManager {
  if (environment["NOTIFY_SOCKET"] === undefined) return silent;
  const watchdogMs = watchdogMsOf(environment, pids);
  // From the main loop: where that does not go round, nothing is said.
  const watch = watchdogMs === undefined ? undefined : setInterval(() => notify(["WATCHDOG=1"]), watchdogMs / saidInWatchdog);
  return {
    ready: () => notify(["READY=1"]),
    stopping: () => notify(["STOPPING=1"]),
    close: () => clearInterval(watch),
  };
}

/** Undefined: nobody watches, or another process is meant. */
function watchdogMsOf(environment: NodeJS.ProcessEnv, pids: readonly number[]): number | undefined {
  const ms = Number(environment["WATCHDOG_USEC"]) / 1_000;
  const pid = environment["WATCHDOG_PID"];
  return ms >= 1 && (pid === undefined || pids.includes(Number(pid))) ? ms : undefined;
}

/** Node has no datagrams of Unix sockets: systemd's own program says it. It waits until systemd has read it. `failed`: why it could not, said once. */
export function notifier(failed: (reason: string) => void): (assignments: readonly string[]) => void {
  let isSaid = false;
  return (assignments) => {
    execFile("systemd-notify", [...assignments], { timeout: notifyMsMax }, (error) => {
      if (error === null || isSaid) return;
      isSaid = true;
      failed(`systemd hears nothing of this process: ${error.message.split("\n", 1)[0] ?? ""}`);
    });
  };
}

const notifyMsMax = 10_000;
