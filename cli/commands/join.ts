import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { looksLikeInvitation, noTokenText, readInvitation } from "../../cluster/authority/invitation.ts";
import type { Arguments } from "../arguments.ts";
import { hostNameOf } from "../cluster.ts";
import { Failure, reasonOf, UsageError } from "../errors.ts";
import type { Io } from "../io.ts";
import { inWordsOfJoin, joinSettingsOf } from "../join-settings.ts";
import { openDoor } from "../join-request.ts";
import { Newcomer } from "../newcomer.ts";
import { program } from "../program.ts";
import { reporterOf } from "../reporter.ts";
import { runToItsEnd, withState } from "../running.ts";
import { checkNative } from "../settings.ts";
import { quoted } from "../shown-path.ts";
import { StateDirectory } from "../state-directory.ts";

/** Joins a system, and runs what is of it on this machine until it is told to stop. */
export async function run(args: Arguments, io: Io): Promise<void> {
  const { url, token: source, name, location, settings } = joinSettingsOf(args);
  checkNative(process.env["TANDEM_NATIVE"]);
  const token = await tokenOf(source, io);
  const invitation = readInvitation(token);
  if (invitation === undefined) throw new Failure(noTokenText);
  const state = new StateDirectory(settings.state);
  await withState(state, async (wasKilled) => {
    state.checkNotRemoved();
    const known = state.readCluster();
    if (known !== undefined && known.joined === undefined)
      throw new Failure(`${state.path} has a system of its own: use another --state, or remove it`);
    if (known?.joined?.isPlaced === true) throw new Failure(joinedText(state, args.values.get("address")));
    const reporter = reporterOf(settings.json, io);
    const start = performance.now();
    const door = await openDoor(url, invitation.fingerprint);
    const host = name ?? known?.host ?? hostNameOf(hostname());
    const newcomer = new Newcomer({ args, state, known, door, invitation, token, host, location, wasKilled });
    const joined = await newcomer.join().catch((error: unknown) => {
      throw inWordsOfJoin(error);
    });
    reporter.step("joined", `as host ${host} by ${url}`, performance.now() - start);
    await runToItsEnd({ ...joined, state, reporter });
  });
}

/** Its cell has its place in the map, which is another one when it is told so at a start. */
function joinedText({ path }: StateDirectory, address: string | undefined): string {
  const start = `${path} has joined already: start it with ${program.name} up --state ${quoted(path)}`;
  return address === undefined ? start : `${start} --listen ${address}, and its cell is there from then on`;
}

/** From standard input or a file: what stands on a command line is seen by everybody on the machine. */
async function tokenOf(source: string, io: Io): Promise<string> {
  if (looksLikeInvitation(source))
    throw new UsageError("--token: give the token in a file, or - and standard input, never on a command line");
  let octets: Uint8Array;
  try {
    octets = source === "-" ? await io.readStdin("token") : readFileSync(source);
  } catch (error) {
    throw new Failure(`${source}: cannot be read: ${reasonOf(error)}`);
  }
  return Buffer.from(octets).toString("utf8").trim();
}
