import { resolve } from "node:path";
import type { Arguments } from "../arguments.ts";
import { askTandem } from "../control.ts";
import { Failure } from "../errors.ts";
import type { Io } from "../io.ts";
import { isTable, isText } from "../json.ts";
import { defaultState } from "../settings.ts";
import { StateDirectory } from "../state-directory.ts";

/** Has `tandem up` read its certificates and those of its gateways again. Throws a {@link Failure} with what is wrong; all is as it was then. */
export async function run({ values, flags }: Arguments, io: Io): Promise<void> {
  const state = new StateDirectory(resolve(values.get("state") ?? defaultState));
  const answer = await askTandem(state, "reload", flags.has("renew-certificate") ? { renewCertificate: true } : {});
  if (!isTable(answer) || !isText(answer["said"]))
    throw new Failure("the running tandem has answered something else: is it of another version?");
  io.out(flags.has("json") ? `${JSON.stringify(answer)}\n` : `${answer["said"].replaceAll("; ", "\n")}\n`);
}
