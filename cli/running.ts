import { ControlServer } from "./control.ts";
import { onEnd } from "./ending.ts";
import { reasonOf } from "./errors.ts";
import { HostAgent, localHost } from "./host-agent.ts";
import { controlHandlersOf, LocalSystem, type LocalSystemOptions } from "./local-system.ts";
import { programVersion, versionText } from "./program.ts";
import type { Reporter } from "./reporter.ts";
import { notifier, type ServiceManager, serviceManagerOf } from "./service/service-manager.ts";
import { removedText, type StateDirectory } from "./state-directory.ts";
import { whatHasJoined, whatToTry } from "./what-to-try.ts";

/** Does something with a state directory that no other process has meanwhile. `wasKilled`: a run that was killed has left its lock. */
export async function withState<Result>(state: StateDirectory, act: (wasKilled: boolean) => Promise<Result>): Promise<Result> {
  state.create();
  try {
    const wasKilled = state.lock();
    try {
      return await act(wasKilled);
    } finally {
      state.removeRun();
      state.unlock();
    }
  } finally {
    state.removeEmpty();
  }
}

/** Starts everything, then waits for the end: a signal, that of the launcher, or that this host is removed from its system. */
export async function runToItsEnd(options: LocalSystemOptions): Promise<void> {
  const { reporter } = options;
  const stop = new AbortController();
  const manager = ownServiceManager(reporter);
  // What processes say of each other's ends at ours is no news.
  const line: Reporter["line"] = (process, text, isWarning) => (stop.signal.aborted ? undefined : reporter.line(process, text, isWarning));
  const end = (cause: string): void => {
    if (stop.signal.aborted) return system.kill();
    reporter.event("tandem", "stops", cause);
    manager.stopping();
    stop.abort();
    void system.stop();
  };
  const system = new LocalSystem({ ...options, reporter: { ...reporter, line }, wasRemoved: () => end(removedText) });
  const { cluster, state } = options;
  const agent = new HostAgent({
    ...system.powers,
    host: cluster.host ?? localHost,
    version: versionText(programVersion()),
    state,
    reporter,
  });
  const control = new ControlServer(state, controlHandlersOf(system));
  const ended = new Promise<void>((isEnded) => stop.signal.addEventListener("abort", () => isEnded()));
  const reload = async (): Promise<void> => {
    try {
      reporter.event("tandem", "reloaded", await system.reload());
    } catch (error) {
      if (!stop.signal.aborted) reporter.event("tandem", "not reloaded", reasonOf(error));
    }
  };
  const unwatch = onEnd(end, () => void reload());
  try {
    const passwords = await system.start(stop.signal);
    await control.listen();
    agent.start();
    const { settings, layout } = options;
    const { domain, joined, host } = cluster;
    const isFirst = joined === undefined;
    reporter.text(isFirst ? whatToTry(settings, domain, layout, passwords, host) : whatHasJoined(settings, domain, layout, host));
    const subscribers = Object.entries(passwords).map(([aor, password]) => ({ aor, password }));
    reporter.ready({ ...(host === undefined ? {} : { host }), ...system.run, subscribers });
    manager.ready();
    await ended;
  } catch (error) {
    if (stop.signal.aborted) return;
    reporter.failed();
    throw error;
  } finally {
    agent.stop();
    control.close();
    await system.stop();
    unwatch();
    manager.close();
  }
}

/** The launcher of a checkout is its parent, and may be the process that systemd knows. */
function ownServiceManager(reporter: Reporter): ServiceManager {
  const notify = notifier((reason) => reporter.event("tandem", "warns", reason));
  return serviceManagerOf({ environment: process.env, pids: [process.pid, process.ppid], notify });
}
