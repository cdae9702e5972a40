import { type Group, groupSchema } from "../../schemas/api-answers.ts";
import { read } from "../../schemas/reading.ts";
import { mapVersionOf, mapVersionText } from "../../cluster/map/map-version.ts";
import { healAfterMsMax, healAfterMsMin } from "../../cluster/limits.ts";
import { type Arguments, usage } from "../arguments.ts";
import { groupHealAfterSpec, groupPreferSpec } from "../command-specs.ts";
import { doublingText } from "../doubling-text.ts";
import { Failure } from "../errors.ts";
import type { Io } from "../io.ts";
import { tableText } from "../table.ts";
import { findTarget } from "../target.ts";

/** Shows who is a member, who does the services of the group, and which cells have which exchange. */
export async function show(args: Arguments, io: Io): Promise<void> {
  const { api } = findTarget(args, io.environment);
  const answer = await api.get("/api/group");
  if (args.flags.has("json")) return io.out(`${JSON.stringify(answer)}\n`);
  const { value, fault } = read(groupSchema, answer);
  if (fault !== undefined) throw new Failure("the cell's answer is no group: is it of another version?");
  io.out(groupText(value));
}

/** Names the cells that are to be the coordinator before others. */
export async function prefer(args: Arguments, io: Io): Promise<void> {
  const { api } = findTarget(args, io.environment);
  const preferred = args.positionals;
  const twice = preferred.find((cell, index) => preferred.indexOf(cell) !== index);
  if (twice !== undefined) throw usage(groupPreferSpec, `${twice}: name each cell once`);
  const answer = await api.put("/api/group", { preferred });
  if (args.flags.has("json")) return io.out(`${JSON.stringify(answer)}\n`);
  io.out(
    preferred.length === 0
      ? "The first cell that lives is the coordinator\n"
      : `The coordinator is the first cell that lives, in this order: ${preferred.join(", ")}, then all others\n`,
  );
}

/** Changes how long a dead cell is waited for. */
export async function healAfter(args: Arguments, io: Io): Promise<void> {
  const { api } = findTarget(args, io.environment);
  const [text = ""] = args.positionals;
  const seconds = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (seconds < healAfterMsMin / 1_000 || seconds > healAfterMsMax / 1_000) {
    throw usage(groupHealAfterSpec, `SECONDS ${text}: must be a whole number from ${healAfterMsMin / 1_000} to ${healAfterMsMax / 1_000}`);
  }
  const answer = await api.put("/api/group", { healAfterMs: seconds * 1_000 });
  if (args.flags.has("json")) return io.out(`${JSON.stringify(answer)}\n`);
  io.out(`A cell that is down is waited for ${seconds} s; then others get what it had\n`);
}

export function groupText({ coordinator, epoch, map, preferred, healAfterMs, members, singletons, exchanges, doubling }: Group): string {
  const mapText = mapVersionText(mapVersionOf(map));
  const wish = preferred.length === 0 ? "" : `, preferred ${preferred.join(", ")}`;
  return [
    `Coordinator ${coordinator}${wish}; view ${epoch}, map ${mapText}; a dead cell is waited for ${healAfterMs / 1_000} s\n${doublingText(doubling === undefined ? {} : { doubling })}`,
    tableText(
      ["MEMBER", "KIND", "STATE", "HOST", "LOCATION", "WEIGHT", "PRIMARIES", "REPLICAS"],
      members.map(({ id, kind, state, host = "", location = "", weight = "", primaries = "", replicas = "" }) => [
        id,
        kind,
        state,
        host,
        location,
        weight,
        primaries,
        replicas,
      ]),
    ),
    tableText(
      ["SERVICE", "POLICY", "OWNER", "EPOCH", "MEMBERS"],
      singletons.map((each) => [
        each.name,
        each.policy,
        each.owner === "" ? "nobody" : each.owner,
        each.writer === "" ? String(each.epoch) : `${each.epoch} of cell ${each.writer}`,
        each.members.map(({ id, state }) => `${id} ${state}`).join(", "),
      ]),
    ),
    tableText(
      ["EXCHANGE", "PRIMARY", "SECONDARY", "STATE"],
      exchanges.map(({ exchange, primary, secondary, joining, state, cause }) => [
        exchange,
        primary,
        secondary,
        [state, ...(joining === undefined ? [] : [`to ${joining}`]), ...(cause === undefined ? [] : [cause])].join(", "),
      ]),
    ),
  ].join("\n");
}
