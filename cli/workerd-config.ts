import { readFileSync } from "node:fs";
import { isIPv6 } from "node:net";
import type { ClusterMap } from "../cluster/map/cluster-map.ts";
import type { NamedObject } from "./databases.ts";
import { Failure, reasonOf } from "./errors.ts";
import { isWildcard } from "./settings.ts";
import { type Migration, wranglerFileOf } from "./wrangler-file.ts";

/** What wrangler.toml says about one environment, as far as a workerd process needs it. */
export type WorkerSettings = {
  readonly main: string;
  /** Whether functions keep their names where the bundler renames them: wrangler's `keep_names`. */
  readonly keepNames: boolean;
  readonly compatibilityDate: string;
  readonly compatibilityFlags: readonly string[];
  readonly variables: Readonly<Record<string, string>>;
  /** Durable Object bindings. `storageKey` names a class's data and outlives renaming it. */
  readonly objects: readonly { readonly binding: string; readonly className: string; readonly storageKey: string }[];
};

/** One module of the bundle, the main one first. `path` is relative to the configuration file. */
export type BundleModule = { readonly name: string; readonly path: string };

/** {@link workerSettingsOf} of a file. */
export function readWorkerSettings(file: string, cell: string): WorkerSettings {
  let toml: string;
  try {
    toml = readFileSync(file, "utf8");
  } catch (error) {
    throw new Failure(`${file}: cannot be read: ${reasonOf(error)}`);
  }
  return workerSettingsOf(toml, cell);
}

/** Reads wrangler.toml for one cell. A cell without an environment of its own is made as cell a is. Throws a {@link Failure}. */
export function workerSettingsOf(toml: string, cell: string): WorkerSettings {
  const root = wranglerFileOf(toml);
  // Variables and bindings are not inherited by environments, all else is.
  const own = root.env?.[cell] ?? root.env?.["a"] ?? {};
  const settings = { ...root, ...own };
  const { main, compatibility_date: compatibilityDate } = settings;
  if (main === undefined) throw new Failure("wrangler.toml: main is missing");
  if (compatibilityDate === undefined) throw new Failure("wrangler.toml: compatibility_date is missing");
  const storageKeys = storageKeysOf(settings.migrations ?? []);
  return {
    main,
    keepNames: settings.keep_names ?? true,
    compatibilityDate,
    compatibilityFlags: settings.compatibility_flags ?? [],
    variables: Object.fromEntries(
      Object.entries(own.vars ?? {}).map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]),
    ),
    objects: (own.durable_objects?.bindings ?? []).map(({ name, class_name: className }) => {
      const storageKey = storageKeys.get(className);
      if (storageKey === undefined) throw new Failure(`wrangler.toml: no migration makes ${className} a class with SQLite`);
      return { binding: name, className, storageKey };
    }),
  };
}

/** As Cloudflare does: data belongs to the name under which a class was first made, whatever it is called today. */
function storageKeysOf(migrations: readonly Migration[]): Map<string, string> {
  const keys = new Map<string, string>();
  for (const migration of migrations) {
    for (const name of migration.new_sqlite_classes ?? []) keys.set(name, name);
    for (const { from, to } of migration.renamed_classes ?? []) {
      keys.set(to, keys.get(from) ?? from);
      keys.delete(from);
    }
    for (const name of migration.deleted_classes ?? []) keys.delete(name);
  }
  return keys;
}

/** Names the data of a class of a cell: the directory of its databases. */
function uniqueKeyOf(cell: string, storageKey: string): string {
  return `tandem-${cell}-${storageKey}`;
}

/** The objects that a cell may have, by the names that `workers/environment.ts` gives them. */
export function objectsOf(cell: string, objects: WorkerSettings["objects"], map: ClusterMap): NamedObject[] {
  return objects.flatMap(({ className, storageKey }) => {
    const uniqueKey = uniqueKeyOf(cell, storageKey);
    const numbered = (name: string, count: number): NamedObject[] =>
      Array.from({ length: count }, (_, number) => ({ name: `${name}-${number}`, uniqueKey }));
    if (className === "ExchangeObject") return numbered("exchange", map.exchangeCount);
    if (className === "LineObject") return numbered("line", map.lineCount);
    return [{ name: className === "LedgerObject" ? "ledger" : "core-group", uniqueKey }];
  });
}

/** The configuration of one cell's workerd process. */
export type CellConfig = {
  readonly cell: string;
  /** Address without brackets. */
  readonly host: string;
  readonly port: number;
  readonly settings: WorkerSettings;
  readonly modules: readonly BundleModule[];
  /** Absolute path of the directory of the objects' databases. */
  readonly storage: string;
  /** Absolute path of a directory on the same disk, where the cell's script finds out whether there is room. */
  readonly room: string;
  /** Idle objects are put to sleep after some 10 s, as on Cloudflare. */
  readonly mayEvict: boolean;
  /** The socket that members alone get into, in a system with an authority. Paths are relative to the configuration file. */
  readonly members?: {
    readonly host: string;
    readonly port: number;
    readonly tlsKey: string;
    readonly certificate: string;
    readonly authority: string;
  };
  /** Text bindings; they win over wrangler.toml's variables of the same name. */
  readonly texts: Readonly<Record<string, string>>;
  /** Bindings whose values workerd takes from its environment, so that secrets are in no file. */
  readonly fromEnvironment: readonly string[];
};

/**
 * A young generation of 8 MB: what a message leaves lives for a millisecond, and V8's own 16 MB make the process larger (391 MiB in all and not 351 with
 * 100 000 registrations) without costing less; 4 MB cost a call 7 % more (docs/decisions/0029-what-a-call-costs.md).
 */
const v8Flags: readonly string[] = ["--max-semi-space-size=8"];

/** The Cap'n Proto text that `workerd serve` reads. */
export function cellConfigText(config: CellConfig): string {
  const { cell, host, port, settings } = config;
  // Cells of this machine reach each other on the loopback when they listen at every address.
  const near = isWildcard(host) ? (isIPv6(host) ? "::1" : "127.0.0.1") : host;
  const address = isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
  const texts = Object.entries({ ...settings.variables, ...config.texts }).filter(([name]) => !config.fromEnvironment.includes(name));
  const bindings = [
    ...texts.map(([name, value]) => `(name = ${quote(name)}, text = ${quote(value)})`),
    ...config.fromEnvironment.map((name) => `(name = ${quote(name)}, fromEnvironment = ${quote(name)})`),
    `(name = "DISK", service = "room")`,
    ...settings.objects.map(({ binding, className }) => `(name = ${quote(binding)}, durableObjectNamespace = ${quote(className)})`),
  ];
  // An object that slept would need room on the disk to open its database again, and a full one has none (docs/decisions/0018).
  const namespaces = settings.objects.map(
    ({ className, storageKey }) =>
      `(className = ${quote(className)}, uniqueKey = ${quote(uniqueKeyOf(cell, storageKey))}, enableSql = true, preventEviction = ${!config.mayEvict})`,
  );
  const modules = config.modules.map(({ name, path }) => `(name = ${quote(name)}, ${moduleKind(name)} = embed ${quote(path)})`);
  return `# Made by "tandem up" for cell ${cell}; written again at every start.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "cell", worker = .cell),
    (name = "storage", disk = (path = ${quote(config.storage)}, writable = true)),
    (name = "room", disk = (path = ${quote(config.room)}, writable = true)),
${networkText(config, near)}
  ],
  sockets = [${socketsOf(config, address).join(", ")}],
  logging = (stdoutPrefix = "", stderrPrefix = ""),
  v8Flags = [${v8Flags.map(quote).join(", ")}],
);

const cell :Workerd.Worker = (
    compatibilityDate = ${quote(settings.compatibilityDate)},
    compatibilityFlags = [${settings.compatibilityFlags.map(quote).join(", ")}],
    modules = ${listText(modules)},
    bindings = ${listText(bindings)},
    durableObjectNamespaces = ${listText(namespaces)},
    durableObjectStorage = (localDisk = "storage"),
);
`;
}

/** What a cell may connect to. Nobody but the cluster map, which cells alone write, says where to. */
function networkText({ members }: CellConfig, near: string): string {
  if (members === undefined) {
    return `    # The internet, and of the private networks only the address where the other cells are.
    (name = "internet", network = (allow = ["public", ${quote(`${near}/${isIPv6(near) ? 128 : 32}`)}], tlsOptions = (trustBrowserCas = true))),`;
  }
  const tls = `trustBrowserCas = true, trustedCertificates = [embed ${quote(members.authority)}], keypair = ${keypairText(members)}`;
  return `    # Other cells may be anywhere. Only URLs of the cluster map are asked for, and members alone change that.
    (name = "internet", network = (allow = ["public", "private"], tlsOptions = (${tls}))),`;
}

function socketsOf({ members }: CellConfig, address: string): string[] {
  const http = `(name = "http", address = ${quote(address)}, http = (), service = "cell")`;
  if (members === undefined) return [http];
  const { host, port, authority } = members;
  const at = isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
  const trust = `requireClientCerts = true, trustedCertificates = [embed ${quote(authority)}], minVersion = tls1Dot3`;
  const tls = `tlsOptions = (keypair = ${keypairText(members)}, ${trust})`;
  return [
    http,
    `(name = "members", address = ${quote(at)}, https = (options = (), ${tls}), service = (name = "cell", entrypoint = "members"))`,
  ];
}

function keypairText({ tlsKey, certificate }: NonNullable<CellConfig["members"]>): string {
  return `(privateKey = embed ${quote(tlsKey)}, certificateChain = embed ${quote(certificate)})`;
}

function listText(items: readonly string[]): string {
  return `[\n${items.map((item) => `      ${item},\n`).join("")}    ]`;
}

function moduleKind(name: string): string {
  if (/\.[cm]?js$/.test(name)) return "esModule";
  if (name.endsWith(".wasm")) return "wasm";
  return /\.(?:txt|html|sql|json|csv)$/.test(name) ? "text" : "data";
}

/** A Cap'n Proto text literal: no newlines, and only C's escapes. */
export function quote(text: string): string {
  let quoted = "";
  for (const character of text) {
    if (character === '"' || character === "\\") quoted += `\\${character}`;
    else if (character < " " || character === "\x7f") quoted += `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
    else quoted += character;
  }
  return `"${quoted}"`;
}
