import { resolve } from "node:path";
import type { Arguments } from "../arguments.ts";
import { ownCertificate } from "../certificate.ts";
import { advertisingFault, clusterSettingsOf, lettersOf, withHashKey } from "../cluster.ts";
import { UsageError } from "../errors.ts";
import type { Io } from "../io.ts";
import { checkJoinedOptions, keptElsewhere, type KeptOptions, optionsToKeep, withKept } from "../joined.ts";
import { checkPorts, httpHostOf, layoutOf } from "../layout.ts";
import { reporterOf } from "../reporter.ts";
import { runToItsEnd, withState } from "../running.ts";
import { checkMetrics, checkNative, defaultState, type Settings, settingsOf } from "../settings.ts";
import { type ClusterSettings, StateDirectory } from "../state-directory.ts";

/** The children of a system that was killed end at once; a busy machine may need a moment for it. */
const portPatienceMs = 3_000;

/** Runs what is of a system on this machine until it is told to stop. Throws when it cannot start; nothing is left running then. */
export async function run(args: Arguments, io: Io): Promise<void> {
  checkNative(process.env["TANDEM_NATIVE"]);
  const state = new StateDirectory(resolve(args.values.get("state") ?? defaultState));
  state.checkNotRemoved();
  const known = state.readCluster();
  const all = withKeptOptions(args, state, known);
  const asked = settingsOf(all);
  checkMetrics(asked);
  const cluster = clusterOf(asked, known, optionsToKeep(all));
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

/** What a host has that has joined is settled, and it knows with which options it was started. */
function withKeptOptions(args: Arguments, state: StateDirectory, known: ClusterSettings | undefined): Arguments {
  if (known?.joined === undefined) return args;
  checkJoinedOptions(args, state);
  const { listen } = settingsOf(args);
  const { listen: before, joined } = known;
  if (listen !== undefined && before === undefined)
    throw new UsageError(`--listen: ${state.path} is of a host that runs gateways only, which nobody connects to`);
  const { options = {} } = joined;
  return withKept(args, listen === undefined || before === undefined ? options : keptElsewhere(options, before.host, listen.host));
}

function clusterOf(asked: Settings, known: ClusterSettings | undefined, options: KeptOptions): ClusterSettings {
  if (known?.joined === undefined) return withHashKey(clusterSettingsOf(asked, known), known);
  const { listen = known.listen } = asked;
  return { ...known, ...(listen === undefined ? {} : { listen }), joined: { ...known.joined, options } };
}
