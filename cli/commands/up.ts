import type { Arguments } from "../arguments.ts";
import { ownCertificate } from "../certificate.ts";
import { clusterSettingsOf } from "../cluster.ts";
import { onEnd } from "../ending.ts";
import type { Io } from "../io.ts";
import { checkPorts, httpHostOf, layoutOf } from "../layout.ts";
import { type Reporter, humanReporter, jsonReporter } from "../reporter.ts";
import { settingsOf } from "../settings.ts";
import { StateDirectory } from "../state-directory.ts";
import { LocalSystem, type LocalSystemOptions } from "../local-system.ts";
import { whatToTry } from "../what-to-try.ts";

/** The children of a system that was killed end at once; a busy machine may need a moment for it. */
const portPatienceMs = 3_000;

/** Runs a whole system until it is told to stop. Throws when it cannot start; nothing is left running then. */
export async function run(args: Arguments, io: Io): Promise<void> {
  const settings = settingsOf(args);
  const state = new StateDirectory(settings.state);
  const cluster = clusterSettingsOf(settings, state.readCluster());
  const layout = layoutOf(settings, cluster.cells);
  // What is wrong with it is said before anything is made.
  if (settings.tls !== undefined) ownCertificate(settings.tls.certificate, settings.tls.key, [], new Date());
  state.create();
  try {
    const wasKilled = state.lock();
    try {
      await checkPorts(settings.host, layout, wasKilled ? portPatienceMs : 0, httpHostOf(settings));
      state.writeCluster(cluster);
      const reporter = settings.json ? jsonReporter(io, () => new Date()) : humanReporter(io, () => new Date());
      await runToItsEnd({ settings, cluster, layout, state, reporter });
    } finally {
      state.removeRun();
      state.unlock();
    }
  } finally {
    state.removeEmpty();
  }
}

/** Starts everything, then waits for the end: a signal, or that of the launcher. */
async function runToItsEnd(options: LocalSystemOptions): Promise<void> {
  const { reporter } = options;
  const stop = new AbortController();
  // What processes say of each other's ends at ours is no news.
  const line: Reporter["line"] = (process, text, isWarning) => (stop.signal.aborted ? undefined : reporter.line(process, text, isWarning));
  const system = new LocalSystem({ ...options, reporter: { ...reporter, line } });
  const ended = new Promise<void>((end) => stop.signal.addEventListener("abort", () => end()));
  const unwatch = onEnd((cause) => {
    if (stop.signal.aborted) return system.kill();
    reporter.event("tandem", "stops", cause);
    stop.abort();
    void system.stop();
  });
  try {
    const passwords = await system.start(stop.signal);
    reporter.text(whatToTry(options.settings, options.cluster.domain, options.layout, passwords));
    const subscribers = Object.entries(passwords).map(([aor, password]) => ({ aor, password }));
    reporter.ready({ ...system.run, subscribers });
    await ended;
  } catch (error) {
    if (stop.signal.aborted) return;
    reporter.failed();
    throw error;
  } finally {
    await system.stop();
    unwatch();
  }
}
