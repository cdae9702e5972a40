import { domainNameFault } from "../../cluster/map/domains.ts";
import { domainRemovedSchema, domainsSchema } from "../../schemas/api-answers.ts";
import { read } from "../../schemas/reading.ts";
import { type Arguments, usage } from "../arguments.ts";
import { domainAddSpec } from "../command-specs.ts";
import { Failure } from "../errors.ts";
import type { Io } from "../io.ts";
import { tableText } from "../table.ts";
import { findTarget } from "../target.ts";

/** Has the running system serve a domain more, or says anew who may register in it. */
export async function add(args: Arguments, io: Io): Promise<void> {
  const { api, domain } = findTarget(args, io.environment);
  const name = (args.positionals[0] ?? "").toLowerCase();
  const fault = domainNameFault(name);
  if (fault !== undefined) throw usage(domainAddSpec, `D ${name}: ${fault}`);
  const auth = args.values.get("auth") ?? "digest";
  if (auth !== "digest" && auth !== "open") throw usage(domainAddSpec, `--auth ${auth}: must be digest or open`);
  if (name === domain) throw new Failure(`${name} is the first domain; its --auth is set at npm start`);
  const answer = await api.put(pathOf(name), { auth });
  if (args.flags.has("json")) return io.out(`${JSON.stringify(answer)}\n`);
  const who = auth === "open" ? "anybody may register in it" : `its subscribers: tandem subscriber add USER@${name} --password -`;
  io.out(`${name} is served; ${who}\n`);
}

/** Has it serve a domain no more. Subscribers go with it, if that is meant. */
export async function remove(args: Arguments, io: Io): Promise<void> {
  const { api, state } = findTarget(args, io.environment);
  const name = (args.positionals[0] ?? "").toLowerCase();
  const isMeant = args.flags.has("yes");
  let answer: unknown;
  try {
    answer = await api.delete(`${pathOf(name)}${isMeant ? "?subscribers=true" : ""}`);
  } catch (error) {
    if (!(error instanceof Failure) || !/ has \d+ .*, who would be removed with it/.test(error.message)) throw error;
    throw new Failure(`${error.message}: say --yes, or remove them first`);
  }
  const { value, fault } = read(domainRemovedSchema, answer);
  if (fault !== undefined) throw new Failure("the cell's answer does not say what is removed: is it of another version?");
  const known = Object.keys(state?.readPasswords()?.passwords ?? {});
  state?.forgetPasswords(known.filter((aor) => aor.endsWith(`@${name}`)));
  if (value.left > 0) throw new Failure(`${name} is served no more, but ${value.left} of its subscribers are left: remove it again`);
  if (args.flags.has("json")) return io.out(`${JSON.stringify(value)}\n`);
  const who = [countText(value.subscribers, "subscriber"), countText(value.phones ?? 0, "registered phone")].filter((each) => each !== "");
  const gone = who.length === 0 ? "" : `, and ${who.join(" and ")} with it`;
  io.out(`${name} is served no more${gone}; calls that stand go on\n`);
}

export async function list(args: Arguments, io: Io): Promise<void> {
  const { api } = findTarget(args, io.environment);
  const { value, fault } = read(domainsSchema, await api.get("/api/domains?subscribers=true"));
  if (fault !== undefined) throw new Failure("the cell's answer is no list of domains: is it of another version?");
  if (args.flags.has("json")) return io.out(`${JSON.stringify(value)}\n`);
  const rows = value.map(({ name, auth, isAdded, subscribers = 0 }) => [name, auth, subscribers, isAdded ? "by command" : "at the start"]);
  io.out(tableText(["DOMAIN", "AUTH", "SUBSCRIBERS", "ADDED"], rows));
}

function countText(count: number, what: string): string {
  return count === 0 ? "" : `${count} ${what}${count === 1 ? "" : "s"}`;
}

function pathOf(name: string): string {
  return `/api/domains/${encodeURIComponent(name)}`;
}
