import { type Members, membersSchema } from "../../schemas/api-answers.ts";
import { read } from "../../schemas/reading.ts";
import type { ApiClient } from "../api-client.ts";
import type { Arguments } from "../arguments.ts";
import { removeSpec } from "../command-specs.ts";
import { statusOf } from "../cell-service.ts";
import { Failure } from "../errors.ts";
import type { Io } from "../io.ts";
import { mapOf } from "../map-changes.ts";
import { findTarget } from "../target.ts";
import { checkTakeOut, sayer, takeOut } from "./cell.ts";
import { beginDrain, deadlineOf, untilIdle } from "./drain.ts";

/** Removes a host when nothing runs on it any more that somebody would miss. It may be dead. */
export async function run(args: Arguments, io: Io): Promise<void> {
  const [host = ""] = args.positionals;
  const target = findTarget(args, io.environment);
  const { api, credentials } = target;
  const deadlineMs = deadlineOf(removeSpec, args.values.get("deadline"));
  const start = performance.now();
  const members = await membersOn(api, host);
  if (typeof credentials !== "string" && credentials.id === host)
    throw new Failure(`${host} is this machine, which may change nothing without its cells: give the command on another one`);
  const say = sayer(args.flags.has("json"), io);
  const [cells, gateways] = (["cell", "gateway"] as const).map((kind) => members.filter((each) => each.kind === kind).map(({ id }) => id));
  const { gateways: known } = await statusOf(api);
  // What stands against it is said before anything is taken out of service.
  const { cells: present } = await mapOf(api);
  for (const cell of (cells ?? []).filter((id) => present.some((each) => each.id === id)))
    await checkTakeOut(target, cell, args.flags.has("yes"));
  const serving = (gateways ?? []).filter((id) => known.some((each) => each.id === id && ["up", "draining"].includes(each.state)));
  if (serving.length > 0 && known.every(({ id, state }) => serving.includes(id) || state !== "up"))
    throw new Failure(`host ${host} stays: no other gateway is up that phones could go to`);
  let hasBegun = false;
  try {
    const those = members.filter(({ kind }) => kind !== "host").map(({ kind, id }) => `${kind} ${id}`);
    if (those.length > 0) say(`Host ${host} is taken out of service first: ${those.join(", ")}\n`);
    for (const gateway of serving) {
      await beginDrain(api, gateway, deadlineMs);
      hasBegun = true;
      say(`Gateway ${gateway} is out of service, and keeps what it has\n`);
    }
    for (const cell of cells ?? []) {
      const { cells: inMap } = await mapOf(api);
      if (inMap.every(({ id }) => id !== cell)) continue;
      hasBegun = true;
      const { moves } = await takeOut(target, cell, args.flags.has("yes"), say);
      say(`Cell ${cell} is removed, ${moves} replicas moved\n`);
    }
    for (const gateway of serving) await untilIdle(api, gateway, deadlineMs, say);
    await api.delete(`/api/members/${encodeURIComponent(host)}`);
  } catch (error) {
    if (!hasBegun || !(error instanceof Failure)) throw error;
    throw new Failure(`${error.message}; the removal of ${host} has begun, and what was done stays: type it again to go on`);
  }
  const ms = Math.round(performance.now() - start);
  if (args.flags.has("json")) return io.out(`${JSON.stringify({ host, cells, gateways, ms })}\n`);
  io.out(`Host ${host} is removed: its keys count no more, and what runs there ends\n`);
}

async function membersOn(api: ApiClient, host: string): Promise<Members> {
  const { value } = read(membersSchema, await api.get("/api/members"));
  if (value === undefined) throw new Failure("the cell's answer is no list of members: is it of another version?");
  const hosts = value.filter(({ kind }) => kind === "host").map(({ id }) => id);
  if (hosts.length === 0) throw new Failure("this system is for one machine: it was started without --listen");
  if (!hosts.includes(host)) throw new Failure(`there is no host ${host}; there are ${hosts.join(", ")}`);
  return value.filter((each) => each.host === host);
}
