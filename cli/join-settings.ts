import type { Arguments, CommandSpec, Option } from "./arguments.ts";
import { usage } from "./arguments.ts";
import { invitationLocationCharactersMax } from "../cluster/authority/limits.ts";
import { Failure, UsageError } from "./errors.ts";
import { checkMetrics, doorPortDefault, type Settings, settingsOf, upSpec } from "./settings.ts";

/** What `tandem join` takes as `tandem up` does. */
const shared: readonly string[] = [
  "sip",
  "advertise",
  "tls-port",
  "ws-port",
  "wss-port",
  "tls-cert",
  "tls-key",
  "acme",
  "acme-names",
  "acme-directory",
  "acme-ca",
  "acme-port",
  "trusted",
  "proxy-from",
  "messages-per-source",
  "http-host",
  "http-port",
  "health",
  "metrics-from",
  "gateways",
  "state",
  "no-restart",
  "json",
];

const ownOptions: readonly Option[] = [
  { name: "token", value: "-|FILE", help: "of tandem invite; - asks for it, or reads it from standard input" },
  { name: "address", value: "ADDRESS[:PORT]", help: "where the others reach its cell (the address by which it reaches URL)" },
  { name: "name", value: "HOST", help: "what this machine is called in the system (its host name)" },
  { name: "location", value: "L", help: "where it stands (what the invitation says)" },
];

export const joinSpec: CommandSpec = {
  name: "join",
  summary: "Joins a system with this machine, and runs what it was invited for.",
  positionals: ["URL"],
  explained: { URL: "as tandem invite has printed it" },
  options: [...ownOptions, ...upSpec.options.filter(({ name }) => shared.includes(name)).map(asOfJoin)],
};

/** Gateways of a machine that joins are where it reaches the others. */
function asOfJoin(option: Option): Option {
  const help = "UDP and TCP of a gateway (5060 where it reaches URL from); again: more";
  return option.name === "sip" ? { ...option, help } : option;
}

/** What `tandem join` was asked for, beside what `tandem up` knows as well. */
export type JoinSettings = {
  readonly url: string;
  /** `-`, or the file of the token. */
  readonly token: string;
  readonly name: string | undefined;
  readonly location: string | undefined;
  /** Where others reach the cell, if that was said. */
  readonly settings: Settings;
};

/** Checks every option of `tandem join`. Throws a {@link UsageError} with one line. */
export function joinSettingsOf(args: Arguments): JoinSettings {
  const { values, positionals } = args;
  const [url = ""] = positionals;
  if (!URL.canParse(url) || new URL(url).protocol !== "https:" || new URL(url).pathname !== "/")
    throw usage(joinSpec, `${url}: must be a URL as https://192.0.2.10:8840`);
  const token = values.get("token");
  if (token === undefined) throw usage(joinSpec, "--token is missing: --token - reads it from standard input");
  const [location, address] = [values.get("location"), values.get("address")];
  if (location !== undefined && (location.trim() === "" || location.length > invitationLocationCharactersMax))
    throw usage(joinSpec, `--location: must be 1 to ${invitationLocationCharactersMax} characters`);
  const settings = settingsAt(args, address);
  return { url: withPort(url.replace(/\/$/, "")), token, name: settings.name, location, settings };
}

/** A URL without a port means the usual door, and not that of web servers. A parsed URL does not say whether its 443 was typed. */
function withPort(url: string): string {
  return /:\d+$/.test(url) ? url : `${url}:${doorPortDefault}`;
}

/** The settings of this machine whose cell is at an address. */
export function settingsAt(args: Arguments, address: string | undefined): Settings {
  return asJoin(() => {
    const values = new Map(args.values);
    if (address !== undefined) values.set("listen", address);
    const settings = settingsOf({ ...args, values });
    checkMetrics(settings);
    return settings;
  });
}

/** What `tandem up` says of its options is said of those of `tandem join`. */
function asJoin<Result>(act: () => Result): Result {
  try {
    return act();
  } catch (error) {
    throw inWordsOfJoin(error);
  }
}

export function inWordsOfJoin(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const text = error.message.replaceAll("--listen", "--address").replace("tandem up --help", "tandem join --help");
  return error instanceof UsageError ? new UsageError(text) : error instanceof Failure ? new Failure(text) : error;
}
