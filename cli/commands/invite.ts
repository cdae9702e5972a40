import { invitationMsDefault, invitationMsMax, invitationMsMin } from "../../cluster/authority/limits.ts";
import { invitationSchema } from "../../schemas/api-answers.ts";
import { read } from "../../schemas/reading.ts";
import { type Arguments, usage } from "../arguments.ts";
import { inviteSpec } from "../command-specs.ts";
import { Failure } from "../errors.ts";
import type { Io } from "../io.ts";
import { doorOf, doorUrlOf } from "../layout.ts";
import { program } from "../program.ts";
import { durationText } from "../table.ts";
import { findTarget } from "../target.ts";

const rolesKnown: Readonly<Record<string, string>> = { gateway: "gateways", cell: "a cell", both: "a cell and gateways" };

/** Makes an invitation, and says how another machine takes it. */
export async function run(args: Arguments, io: Io): Promise<void> {
  const { values, flags } = args;
  const role = values.get("role") ?? "both";
  if (!Object.hasOwn(rolesKnown, role)) throw usage(inviteSpec, `--role ${role}: must be gateway, cell or both`);
  const forMs = durationOf(values.get("for"));
  const { api, state } = findTarget(args, io.environment);
  if (state === undefined)
    throw new Failure(
      "a system that is asked at a URL has no authority that invites: what goes into a gateway of one on Cloudflare, tandem deploy prints",
    );
  const listen = state.readCluster()?.listen;
  if (listen === undefined)
    throw new Failure("this machine is not offered to others: start it with tandem up --listen ADDRESS, and give this command there");
  const location = values.get("location");
  const answer = await api.put("/api/invitations", { role, forMs, ...(location === undefined ? {} : { location }) });
  const { value } = read(invitationSchema, answer);
  if (value === undefined) throw new Failure("the cell's answer is no invitation: is it of another version?");
  const url = doorUrlOf(doorOf(listen));
  if (flags.has("json")) return io.out(`${JSON.stringify({ url, ...value })}\n`);
  io.out(`On the other machine, type this, and give it the token:

  ${program.name} join ${url} --token -

The token is good for one machine with ${rolesKnown[role]}, for ${durationText(forMs / 1_000)}:

  ${value.token}
`);
}

function durationOf(text: string | undefined): number {
  if (text === undefined) return invitationMsDefault;
  const [, digits = "", unit = ""] = /^(\d{1,6})([mhd])$/.exec(text) ?? [];
  const ms = Number(digits) * ({ m: 60_000, h: 3_600_000, d: 86_400_000 }[unit] ?? Number.NaN);
  if (ms >= invitationMsMin && ms <= invitationMsMax) return ms;
  throw usage(inviteSpec, `--for ${text}: must be a time such as 10m, 1h or 2d, and ${durationText(invitationMsMax / 1_000)} at most`);
}
