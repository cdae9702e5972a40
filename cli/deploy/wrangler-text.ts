import { createHash } from "node:crypto";
import { Failure } from "../errors.ts";
import { boundTo, type CloudCell, isOnCloudflare, type System } from "./system.ts";

/** What is above the hash of a file that was made: who may change it, and who not. */
const madeLine = "# Made by `npx tandem deploy` of tandem.toml: change that one. What is changed here is found by this hash, and refused.";
const hashPrefix = "# Hash of all below: ";

const explained = `#
# One environment per cell. A cell is a whole edge deployment that fails on its own: bindings, variables and migrations are not
# inherited by environments, so every cell says all of its own. \`tandem up\` makes the configuration of its workerd processes from
# this file too. TANDEM_SECRET is a secret: the same one in every cell and every gateway. docs/cloudflare.md has the whole way.
`;

function topOf(main: string): string {
  return `name = "tandem"
main = ${JSON.stringify(main)}
compatibility_date = "2026-11-01"
compatibility_flags = [
  # A compressed frame of 32 KB inflates to 32 MiB before anybody can look at its size. SIP over WebSocket needs no extension (RFC 7118).
  "no_web_socket_compression",
  # Cells of one account reach each other by their URLs; else Cloudflare answers 1042 (docs/decisions/0059-one-way-between-cells.md).
  "global_fetch_strictly_public",
]
# Names of inner functions are kept by a call each time one is made: on the way of every message.
keep_names = false

# Without \`--env\` there is no cell to deploy. The environments have no such command.
[build]
command = "echo 'This is no cell. Say which one: npx wrangler deploy --env a' >&2; exit 1"

# What a cell logs is kept. That it was asked something is not: two idle cells are asked 21 million times a month.
[observability]
enabled = true

[observability.logs]
enabled = true
invocation_logs = false
`;
}

/** One wrangler.toml. `first`: without bindings, for cells whose targets are not there yet. */
export type WranglerText = { readonly text: string; readonly environments: ReadonlyMap<string, string> };

/** wrangler.toml of a system. `main`: the script, from where the file is to be. Throws a {@link Failure} for what TOML cannot say so. */
export function wranglerTextOf(system: System, main: string, { isBound }: { readonly isBound: boolean } = { isBound: true }): WranglerText {
  const map = mapText(system);
  if (map.includes("'''")) throw new Failure("wrangler.toml: the cluster map has three apostrophes in a row");
  const environments = new Map(
    system.cells.filter(isOnCloudflare).map((cell) => [cell.id, environmentText(cell, isBound ? boundTo(cell, system) : [], map)]),
  );
  const rest = [explained + topOf(main), ...environments.values()].join("\n");
  return { text: `${madeLine}\n${hashPrefix}${hashOf(rest)}\n${rest}`, environments };
}

/** Whether nobody has changed a file since it was made. */
export function isAsMade(text: string): boolean {
  const [made, hash, ...rest] = text.split("\n");
  return made === madeLine && hash === `${hashPrefix}${hashOf(rest.join("\n"))}`;
}

/** The first line that is another one, of what there is and of what would be made; undefined: there is none. */
export function firstDifference(
  there: string,
  made: string,
): { readonly line: number; readonly there: string; readonly made: string } | undefined {
  const [own, wanted] = [linesForPeople(there), linesForPeople(made)];
  const at = Array.from({ length: Math.max(own.length, wanted.length) }, (_, index) => index).find((index) => own[index] !== wanted[index]);
  if (at === undefined) return undefined;
  const line = there.split("\n").findIndex((each) => each.startsWith(hashPrefix)) >= 0 && at > 0 ? at + 2 : at + 1;
  return { line, there: own[at] ?? "the end of the file", made: wanted[at] ?? "the end of the file" };
}

/** All but the hash, which says nothing to people. */
function linesForPeople(text: string): readonly string[] {
  return text.split("\n").filter((line) => !line.startsWith(hashPrefix));
}

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

/** A line for each key of the map. */
function mapText({ map }: System): string {
  return `{\n${Object.entries(map)
    .map(([key, value]) => `  ${JSON.stringify(key)}: ${JSON.stringify(value)}`)
    .join(",\n")}\n}`;
}

/** Where people and other cells find it. */
function doorText({ customDomain, route, account }: CloudCell): string {
  const isOwn = customDomain !== undefined || route !== undefined;
  return [
    ...(account === undefined ? [] : [`account_id = ${JSON.stringify(account.id)}\n`]),
    `workers_dev = ${!isOwn}\npreview_urls = false\n`,
    ...(customDomain === undefined ? [] : [`routes = [{ pattern = ${JSON.stringify(customDomain)}, custom_domain = true }]\n`]),
    ...(route === undefined ? [] : [`route = ${JSON.stringify(route)}\n`]),
  ].join("");
}

function environmentText(cell: CloudCell, bound: readonly CloudCell[], map: string): string {
  const { id, worker, location, jurisdiction } = cell;
  const place = [
    ...(location === undefined ? [] : [`LOCATION_HINT = ${JSON.stringify(location)}\n`]),
    ...(jurisdiction === undefined ? [] : [`JURISDICTION = ${JSON.stringify(jurisdiction)}\n`]),
  ];
  const services = bound.map(
    (other) => `[[env.${id}.services]]\nbinding = "CELL_${other.id.toUpperCase()}"\nservice = ${JSON.stringify(other.worker)}\n\n`,
  );
  return `[env.${id}]
name = ${JSON.stringify(worker)}
${doorText(cell)}build = { command = "" }
# Which code runs: \`tandem status\` says it of each cell, and of objects that have not got it yet.
version_metadata = { binding = "VERSION_METADATA" }

[env.${id}.vars]
CELL = ${JSON.stringify(id)}
${place.join("")}CLUSTER = '''
${map}
'''

[env.${id}.secrets]
required = ["TANDEM_SECRET"]

${services.join("")}[env.${id}.durable_objects]
# A cell is drained before it is deployed: nothing is gained by waiting, and an object with a beat a second would wait until the delay is over.
code_update_strategy = { mode = "immediate" }
bindings = [
  { name = "EXCHANGE", class_name = "ExchangeObject" },
  { name = "LINE", class_name = "LineObject" },
  { name = "CORE_GROUP", class_name = "CoreGroupObject" },
  { name = "LEDGER", class_name = "LedgerObject" },
]

[[env.${id}.migrations]]
tag = "v1"
new_sqlite_classes = ["ExchangeObject", "LineObject", "CoreGroupObject"]

[[env.${id}.migrations]]
tag = "v2"
new_sqlite_classes = ["LedgerObject"]
`;
}
