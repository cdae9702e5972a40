import type { Arguments } from "../arguments.ts";
import { ownCertificate } from "../certificate.ts";
import { advertisingFault, clusterSettingsOf, lettersOf, withHashKey } from "../cluster.ts";
import type { Io } from "../io.ts";
import { checkJoinedOptions } from "../joined.ts";
import { checkPorts, httpHostOf, layoutOf } from "../layout.ts";
import { reporterOf } from "../reporter.ts";
import { runToItsEnd, withState } from "../running.ts";
import { checkNative, settingsOf } from "../settings.ts";
import { StateDirectory } from "../state-directory.ts";

/** The children of a system that was killed end at once; a busy machine may need a moment for it. */
const portPatienceMs = 3_000;

/** Runs what is of a system on this machine until it is told to stop. Throws when it cannot start; nothing is left running then. */
export async function run(args: Arguments, io: Io): Promise<void> {
  const asked = settingsOf(args);
  checkNative(process.env["TANDEM_NATIVE"]);
  const state = new StateDirectory(asked.state);
  state.checkNotRemoved();
  const known = state.readCluster();
  if (known?.joined !== undefined) checkJoinedOptions(args, state);
  const cluster = known?.joined === undefined ? withHashKey(clusterSettingsOf(asked, known), known) : known;
  // A machine that was offered to others stays so.
  const settings = { ...asked, listen: cluster.listen };
  const layout = layoutOf(settings, lettersOf(cluster), cluster.joined?.gateways);
  // What is wrong with it is said before anything is made.
  if (settings.tls !== undefined) ownCertificate(settings.tls.certificate, settings.tls.key, [], new Date());
  await withState(state, async (wasKilled) => {
    await checkPorts(layout, httpHostOf(settings), wasKilled ? portPatienceMs : 0);
    state.writeCluster(cluster);
    const reporter = reporterOf(settings.json, io);
    // Who has started it so before is told, and may go on.
    const fault = advertisingFault(settings, cluster.domain);
    if (fault !== undefined) reporter.event("tandem", "warns", fault);
    await runToItsEnd({ settings, cluster, layout, state, reporter });
  });
}
