import { type Checked, check as checkZone, type Finding } from "../../cluster/dns/check.ts";
import { planOf, recordsOf, usualTransports, zoneText, type Plan } from "../../cluster/dns/zone.ts";
import { dnsTtlSeconds } from "../../cluster/limits.ts";
import { gatewaysSchema, type GatewayRow } from "../../schemas/api-answers.ts";
import { read } from "../../schemas/reading.ts";
import { type Arguments, type CommandSpec, usage } from "../arguments.ts";
import { dnsCheckSpec, dnsSpec } from "../command-specs.ts";
import { DnsClient, nameServerIn, serverText, systemServers } from "../dns-client.ts";
import { domainNames } from "../domains.ts";
import { Failure, printable } from "../errors.ts";
import type { Io } from "../io.ts";
import { tableText } from "../table.ts";
import { findTarget } from "../target.ts";

/** Prints the zone of a domain for the system as it runs. */
export async function print(args: Arguments, io: Io): Promise<void> {
  const plan = await planFor(args, dnsSpec, io);
  if (args.flags.has("json")) {
    const { domain, softphones, unknown, unreachable } = plan;
    return io.out(`${JSON.stringify({ domain, ttl: dnsTtlSeconds, records: recordsOf(plan), softphones, unknown, unreachable })}\n`);
  }
  io.out(zoneText(plan, Math.floor(Date.now() / 1_000)));
}

/** Asks a name server for the zone, and says row by row what is right, missing and wrong. */
export async function check(args: Arguments, io: Io): Promise<void> {
  const text = args.values.get("server");
  const server = text === undefined ? undefined : nameServerIn(text);
  if (text !== undefined && server === undefined)
    throw usage(dnsCheckSpec, `--server ${text}: must be an address, or one with a port: 192.0.2.53, 192.0.2.53:5353, [2001:db8::53]:5353`);
  const plan = await planFor(args, dnsCheckSpec, io);
  const servers = server === undefined ? systemServers() : [server];
  const client = new DnsClient(servers);
  const checked = await checkZone(plan, (name, type) => client.look(name, type), server !== undefined);
  const wrong = checked.findings.filter(({ state }) => state !== "right").length;
  if (args.flags.has("json")) {
    io.out(`${JSON.stringify({ domain: plan.domain, servers: servers.map(serverText), isRight: wrong === 0, ...checked })}\n`);
  } else io.out(checkedText(plan, checked));
  if (wrong > 0) throw new Failure(`${wrong} of ${checked.findings.length} records of ${plan.domain} are missing or wrong`);
}

export function checkedText({ domain }: Plan, { findings, notes }: Checked): string {
  const rows = findings.map(({ state, record, text }) => [state, record, text]);
  const typed = findings.filter(({ state }) => state !== "right").flatMap((finding) => typedText(finding));
  return [
    tableText(["", "RECORD", "WHAT IT DOES, OR WHAT IS WRONG"], rows),
    ...(typed.length === 0
      ? []
      : [
          `\nIn the zone of ${domain}, take out (-) and type (+):\n${[...new Set(typed)].map((line) => `  ${printable(line)}\n`).join("")}`,
        ]),
    ...(notes.length === 0 ? [] : [`\nWhat to know:\n${notes.map((note) => `  ${printable(note)}.\n`).join("")}`]),
  ].join("");
}

function typedText({ add, remove }: Finding): string[] {
  return [...(remove === undefined ? [] : [`- ${remove}`]), ...(add === undefined ? [] : [`+ ${add}`])];
}

async function planFor(args: Arguments, spec: CommandSpec, io: Io): Promise<Plan> {
  const { api, domain: usual } = findTarget(args, io.environment);
  const [names, transports] = [pairsIn(args, spec, "names"), transportsIn(args, spec)];
  const addresses = new Map(Array.from(pairsIn(args, spec, "addresses"), ([id, address]) => [id, [address]]));
  const known = await domainNames(api);
  const domain = args.positionals[0]?.toLowerCase() ?? known[0] ?? usual;
  if (domain === undefined || (known.length > 0 && !known.includes(domain)))
    throw new Failure(`${domain ?? "the domain"} is none of this system's: it has ${known.join(", ")}`);
  const gateways = await gatewaysOf(api);
  for (const id of [...names.keys(), ...addresses.keys()]) {
    if (gateways.every((gateway) => gateway.id !== id)) throw new Failure(`there is no gateway ${id}`);
  }
  return planOf({ domain, gateways, names, addresses, transports });
}

async function gatewaysOf(api: { get(path: string): Promise<unknown> }): Promise<readonly GatewayRow[]> {
  const { value, fault } = read(gatewaysSchema, await api.get("/api/gateways"));
  if (fault !== undefined) throw new Failure("the cell's answer is no list of gateways: is it of another version?");
  // One that was stopped in order does not come back by itself.
  const gateways = value.filter(({ state }) => state !== "left");
  if (gateways.length === 0) throw new Failure("no gateway is known: phones have nowhere to come to");
  return gateways;
}

/** `g1=edge1.example.org,g2=...`, in lower case. */
function pairsIn(args: Arguments, spec: CommandSpec, option: string): Map<string, string> {
  const text = args.values.get(option);
  const pairs = new Map<string, string>();
  for (const part of text?.split(",") ?? []) {
    const [, id, value] = /^([^=\s]+)=([\w.:-]+)$/.exec(part) ?? [];
    if (id === undefined || value === undefined)
      throw usage(spec, `--${option} ${text}: must be G=X[,G=X], for example g1=edge1.example.org`);
    pairs.set(id, value.toLowerCase().replace(/\.$/, ""));
  }
  return pairs;
}

function transportsIn(args: Arguments, spec: CommandSpec): typeof usualTransports {
  const text = args.values.get("transports");
  if (text === undefined) return usualTransports;
  const wanted = text.toUpperCase().split(",");
  const known = wanted.flatMap((name) => usualTransports.find((each) => each === name) ?? []);
  if (known.length !== wanted.length || new Set(known).size !== known.length)
    throw usage(spec, `--transports ${text}: must be of tls, tcp, udp, wss, ws, the most preferred first`);
  return known;
}
