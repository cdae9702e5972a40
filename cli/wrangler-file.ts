import { parse } from "smol-toml";
import { boolean, exactOptional, type InferOutput, record as recordOf, string, unknown } from "valibot";
import { list, read, record } from "../schemas/reading.ts";
import { Failure, reasonOf } from "./errors.ts";

/** wrangler.toml, as far as a workerd process needs it: wrangler itself checks the rest. */

const text = string("must be a text");

const migration = record({
  new_sqlite_classes: exactOptional(list(text)),
  renamed_classes: exactOptional(list(record({ from: text, to: text }))),
  deleted_classes: exactOptional(list(text)),
});
export type Migration = InferOutput<typeof migration>;

/** What the file says at its top, and again for an environment. */
const settings = {
  main: exactOptional(text),
  compatibility_date: exactOptional(text),
  compatibility_flags: exactOptional(list(text)),
  keep_names: exactOptional(boolean("must be true or false")),
  vars: exactOptional(recordOf(string(), unknown())),
  durable_objects: exactOptional(record({ bindings: list(record({ name: text, class_name: text })) })),
  migrations: exactOptional(list(migration)),
};
const schema = record({ ...settings, env: exactOptional(recordOf(string(), record(settings))) });
export type WranglerFile = InferOutput<typeof schema>;

/** Throws a {@link Failure} for what is no TOML, and for the first value of another kind. */
export function wranglerFileOf(toml: string): WranglerFile {
  let content: unknown;
  try {
    content = parse(toml);
  } catch (error) {
    throw new Failure(`wrangler.toml: ${reasonOf(error)}`);
  }
  const { value, fault } = read(schema, content);
  if (fault !== undefined) throw new Failure(`wrangler.toml: ${fault.path} ${fault.reason}`);
  return value;
}

/** A cell on Cloudflare, as wrangler.toml has it: an environment, which makes one Worker. */
export type DeployedCell = {
  readonly id: string;
  /** The name of its Worker. */
  readonly script: string;
  /** Where its objects are to be, and within whose borders. */
  readonly locationHint?: string | undefined;
  readonly jurisdiction?: string | undefined;
  /** Other cells of its account, which it reaches over service bindings. Their Workers have to be there when it is deployed. */
  readonly bound: readonly Pick<DeployedCell, "id" | "script">[];
};

const fileHead = `# Made by \`npm run reference\` (cli/wrangler-file.ts). For a system of your own, write its URLs, its domain and the places of its cells here.
#
# One environment per cell. A cell is a whole edge deployment that fails on its own: bindings, variables and migrations are not
# inherited by environments, so every cell says all of its own. \`tandem up\` makes the configuration of its workerd processes from
# this file too. TANDEM_SECRET is a secret: the same one in every cell and every gateway. docs/cloudflare.md has the whole way.
name = "tandem"
main = "workers/index.ts"
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
`;

/** wrangler.toml of these cells. \`map\`: the cluster map as JSON text, the same for all. Throws a {@link Failure} for what TOML cannot say so. */
export function wranglerTomlOf(cells: readonly DeployedCell[], map: string): string {
  if (map.includes("'''")) throw new Failure("wrangler.toml: the cluster map has three apostrophes in a row");
  return [fileHead, ...cells.map((cell) => environmentText(cell, map))].join("\n");
}

function environmentText({ id, script, locationHint, jurisdiction, bound }: DeployedCell, map: string): string {
  const place = [
    ...(locationHint === undefined ? [] : [`LOCATION_HINT = ${JSON.stringify(locationHint)}\n`]),
    ...(jurisdiction === undefined ? [] : [`JURISDICTION = ${JSON.stringify(jurisdiction)}\n`]),
  ];
  const services = bound.map(
    (other) => `[[env.${id}.services]]\nbinding = "CELL_${other.id.toUpperCase()}"\nservice = ${JSON.stringify(other.script)}\n\n`,
  );
  return `[env.${id}]
name = ${JSON.stringify(script)}
build = { command = "" }
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
