import { gatewayWeightMax } from "../../cluster/limits.ts";
import { type Arguments, usage } from "../arguments.ts";
import { gatewayWeightSpec } from "../command-specs.ts";
import type { Io } from "../io.ts";
import { findTarget } from "../target.ts";

/** Gives a gateway another share of the phones. The zone of `tandem dns` has it. */
export async function weight(args: Arguments, io: Io): Promise<void> {
  const { api } = findTarget(args, io.environment);
  const [gateway = "", text = ""] = args.positionals;
  const value = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value <= gatewayWeightMax)) throw usage(gatewayWeightSpec, `N ${text}: must be a whole number from 0 to ${gatewayWeightMax}`);
  const answer = await api.put(`/api/gateways/${encodeURIComponent(gateway)}`, { weight: value });
  if (args.flags.has("json")) return io.out(`${JSON.stringify(answer)}\n`);
  const share = value === 0 ? "gets phones when no other gateway answers" : `has weight ${value}`;
  io.out(`Gateway ${gateway} ${share}, by the zone that tandem dns prints\n`);
}
