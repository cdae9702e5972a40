import type { Arguments } from "../arguments.ts";
import { ownCertificate } from "../certificate.ts";
import { advertisingFault, clusterSettingsOf, lettersOf, withHashKey } from "../cluster.ts";
import { ControlServer } from "../control.ts";
import { onEnd } from "../ending.ts";
import type { Io } from "../io.ts";
import { checkPorts, httpHostOf, layoutOf } from "../layout.ts";
import { type Reporter, humanReporter, jsonReporter } from "../reporter.ts";
import { checkNative, settingsOf } from "../settings.ts";
import { StateDirectory } from "../state-directory.ts";
import { controlHandlersOf, LocalSystem, type LocalSystemOptions } from "../local-system.ts";
import { whatToTry } from "../what-to-try.ts";

/** The children of a system that was killed end at once; a busy machine may need a moment for it. */
const portPatienceMs = 3_000;

/** Runs a whole system until it is told to stop. Throws when it cannot start; nothing is left running then. */
export async function run(args: Arguments, io: Io): Promise<void> {
  const asked = settingsOf(args);
  checkNative(process.env["TANDEM_NATIVE"]);
  const state = new StateDirectory(asked.state);
  const known = state.readCluster();
  const cluster = withHashKey(clusterSettingsOf(asked, known), known);
  // A machine that was offered to others stays so.
  const settings = { ...asked, listen: cluster.listen };
  const layout = layoutOf(settings, lettersOf(cluster));
  // What is wrong with it is said before anything is made.
  if (settings.tls !== undefined) ownCertificate(settings.tls.certificate, settings.tls.key, [], new Date());
  state.create();
  try {
    const wasKilled = state.lock();
    try {
      await checkPorts(layout, httpHostOf(settings), wasKilled ? portPatienceMs : 0);
      state.writeCluster(cluster);
      const reporter = settings.json ? jsonReporter(io, () => new Date()) : humanReporter(io, () => new Date());
      // Who has started it so before is told, and may go on.
      const fault = advertisingFault(settings, cluster.domain);
      if (fault !== undefined) reporter.event("tandem", "warns", fault);
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
  const control = new ControlServer(options.state, controlHandlersOf(system));
  const ended = new Promise<void>((end) => stop.signal.addEventListener("abort", () => end()));
  const unwatch = onEnd((cause) => {
    if (stop.signal.aborted) return system.kill();
    reporter.event("tandem", "stops", cause);
    stop.abort();
    void system.stop();
  });
  try {
    const passwords = await system.start(stop.signal);
    await control.listen();
    reporter.text(whatToTry(options.settings, options.cluster.domain, options.layout, passwords));
    const subscribers = Object.entries(passwords).map(([aor, password]) => ({ aor, password }));
    reporter.ready({ ...system.run, subscribers });
    await ended;
  } catch (error) {
    if (stop.signal.aborted) return;
    reporter.failed();
    throw error;
  } finally {
    control.close();
    await system.stop();
    unwatch();
  }
}
