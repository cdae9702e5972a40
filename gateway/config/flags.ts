import { isIP } from "node:net";
import { isTransport } from "../../sip/flow/flow.ts";
import { hostInUri, isWildcard } from "./address.ts";
import type { ListenerConfig } from "./config.ts";
import { UsageError } from "../errors.ts";

export type GatewayFlags = {
  readonly config?: string;
  readonly name?: string;
  readonly secretFile?: string;
  /** `<id>=<url>`. */
  readonly cells: readonly string[];
  /** `<transport>:<host>:<port>`. */
  readonly listen: readonly string[];
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
  readonly tlsVerify?: boolean;
  readonly dns: readonly string[];
  readonly json: boolean;
  readonly supervised: boolean;
  readonly parentPid?: number;
};

export const usageText = `Usage: node gateway/index.ts [--config FILE] [flags; they win over the file]
  --name NAME               access name, unique in the cluster (g1)
  --secret-file FILE        the cluster's secret
  --cell ID=URL             a cell to ask for the cluster map; may be repeated
  --listen TRANSPORT:HOST:PORT   udp, tcp, tls, ws or wss; may be repeated
  --tls-cert FILE --tls-key FILE --tls-ca FILE --tls-verify true|false
  --dns SERVER              DNS server; may be repeated
  --parent-pid PID          exit when that process is gone
  --supervised              exit when stdin ends
  --json                    log and ready line as JSON
`;

const withValue: readonly string[] = [
  "config",
  "name",
  "secret-file",
  "cell",
  "listen",
  "tls-cert",
  "tls-key",
  "tls-ca",
  "tls-verify",
  "dns",
  "parent-pid",
];
const repeated: readonly string[] = ["cell", "listen", "dns"];
const withoutValue: readonly string[] = ["json", "supervised"];

/** Reads the command line. Throws {@link UsageError} with one line that names the flag. */
export function parseFlags(args: readonly string[]): GatewayFlags {
  const values = new Map<string, string[]>();
  for (let at = 0; at < args.length; at += 1) {
    const argument = args[at] ?? "";
    const match = /^--([a-z-]+)(?:=(.*))?$/.exec(argument);
    const flag = match?.[1] ?? "";
    if (match === null || (!withValue.includes(flag) && !withoutValue.includes(flag))) throw new UsageError(`${argument}: is not known`);
    if (values.has(flag) && !repeated.includes(flag)) throw new UsageError(`--${flag}: is given twice`);
    let value = match[2];
    if (withoutValue.includes(flag)) {
      if (value !== undefined) throw new UsageError(`--${flag}: takes no value`);
    } else if (value === undefined) {
      at += 1;
      value = args[at];
    }
    if (withValue.includes(flag) && (value === undefined || value === "")) throw new UsageError(`--${flag}: needs a value`);
    values.set(flag, [...(values.get(flag) ?? []), value ?? ""]);
  }
  return flagsOf(values);
}

function flagsOf(values: ReadonlyMap<string, readonly string[]>): GatewayFlags {
  const one = (flag: string): string | undefined => values.get(flag)?.[0];
  const optional = (key: keyof GatewayFlags, flag: string): Record<string, string> => {
    const value = one(flag);
    return value === undefined ? {} : { [key]: value };
  };
  const verify = one("tls-verify");
  if (verify !== undefined && verify !== "true" && verify !== "false")
    throw new UsageError(`--tls-verify: must be true or false, is "${verify}"`);
  const pid = one("parent-pid");
  if (pid !== undefined && !/^[1-9]\d{0,8}$/.test(pid)) throw new UsageError(`--parent-pid: must be a process id, is "${pid}"`);
  for (const cell of values.get("cell") ?? []) {
    if (!cell.includes("=")) throw new UsageError(`--cell: must be ID=URL, is "${cell}"`);
  }
  return {
    ...optional("config", "config"),
    ...optional("name", "name"),
    ...optional("secretFile", "secret-file"),
    ...optional("tlsCert", "tls-cert"),
    ...optional("tlsKey", "tls-key"),
    ...optional("tlsCa", "tls-ca"),
    cells: values.get("cell") ?? [],
    listen: values.get("listen") ?? [],
    dns: values.get("dns") ?? [],
    json: values.has("json"),
    supervised: values.has("supervised"),
    ...(verify === undefined ? {} : { tlsVerify: verify === "true" }),
    ...(pid === undefined ? {} : { parentPid: Number(pid) }),
  };
}

/** `udp:192.0.2.1:5060`, `tls:[2001:db8::1]:5061`. */
export function parseListen(text: string): ListenerConfig {
  const match = /^([a-z]+):(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/i.exec(text);
  const host = match?.[2] ?? match?.[3] ?? "";
  const family = isIP(host);
  const port = Number(match?.[4]);
  const transport = match?.[1]?.toUpperCase();
  if (
    match === null ||
    !isTransport(transport) ||
    family === 0 ||
    (family === 6) !== (match[2] !== undefined) ||
    port < 1 ||
    port > 65_535
  ) {
    throw new UsageError(
      `--listen: must be TRANSPORT:ADDRESS:PORT, for example udp:192.0.2.1:5060 or tls:[2001:db8::1]:5061, is "${text}"`,
    );
  }
  if (isWildcard(host)) {
    throw new UsageError(`--listen: ${host} is no address that a phone could send to; use a file with listeners.advertise`);
  }
  return { transport, host, port, advertisedHost: hostInUri(host) };
}
