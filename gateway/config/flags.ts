import { isIP } from "node:net";
import { parseArgs } from "node:util";
import { isTransport } from "../../sip/flow/flow.ts";
import { hostInUri } from "../../sip/host-in-uri.ts";
import { isWildcard } from "./address.ts";
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
  /** `<address>:<port>`. */
  readonly health?: string;
  readonly metricsFrom?: readonly string[];
  readonly proxyFrom?: readonly string[];
  readonly dns: readonly string[];
  readonly json: boolean;
  readonly supervised: boolean;
  readonly parentPid?: number;
};

export const usageText = `Usage: npx node gateway/index.ts [--config FILE] [flags; they win over the file]
Without a file these are needed: --name, --secret-file, --cell, --listen.
  --name NAME               access name, for example g1; no other gateway of the cluster has it
  --secret-file FILE        the cluster's secret
  --cell ID=URL             a cell to ask for the cluster map; may be repeated
  --listen TRANSPORT:HOST:PORT   udp, tcp, tls, ws or wss; may be repeated
  --tls-cert FILE --tls-key FILE --tls-ca FILE --tls-verify true|false
  --proxy-from A[,B]        load balancers whose connections begin with a PROXY header; may be repeated
  --health ADDRESS:PORT     a page for load balancers: 200 ready, or 503 with the reason
  --metrics-from A[,B]      who may read /metrics there, beside this machine
  --dns SERVER              DNS server; may be repeated
  --parent-pid PID          exit when that process is gone
  --supervised              exit when stdin ends
  --json                    log and ready line as JSON
`;

const options: Readonly<Record<string, { readonly type: "string" | "boolean"; readonly multiple?: true }>> = {
  config: { type: "string" },
  name: { type: "string" },
  "secret-file": { type: "string" },
  cell: { type: "string", multiple: true },
  listen: { type: "string", multiple: true },
  "tls-cert": { type: "string" },
  "tls-key": { type: "string" },
  "tls-ca": { type: "string" },
  "tls-verify": { type: "string" },
  "proxy-from": { type: "string", multiple: true },
  health: { type: "string" },
  "metrics-from": { type: "string" },
  dns: { type: "string", multiple: true },
  "parent-pid": { type: "string" },
  json: { type: "boolean" },
  supervised: { type: "boolean" },
};

/** Reads the command line. Throws {@link UsageError} with one line that names the flag. */
export function parseFlags(args: readonly string[]): GatewayFlags {
  const { tokens } = parseArgs({ args: [...args], options, strict: false, tokens: true });
  const values = new Map<string, string[]>();
  for (const token of tokens) {
    if (token.kind !== "option") throw new UsageError(`${args[token.index] ?? ""}: is not known`);
    const { name, rawName, value } = token;
    const option = rawName.startsWith("--") && Object.hasOwn(options, name) ? options[name] : undefined;
    if (option === undefined) throw new UsageError(`${args[token.index] ?? rawName}: is not known`);
    const earlier = values.get(name);
    if (earlier !== undefined && option.multiple !== true) throw new UsageError(`${rawName}: is given twice`);
    if (option.type === "boolean" && value !== undefined) throw new UsageError(`${rawName}: takes no value`);
    if (option.type === "string" && (value === undefined || value === "")) throw new UsageError(`${rawName}: needs a value`);
    values.set(name, [...(earlier ?? []), value ?? ""]);
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
  const proxyFrom = values.get("proxy-from")?.flatMap((text) => text.split(","));
  const metricsFrom = values.get("metrics-from")?.flatMap((text) => text.split(","));
  return {
    ...optional("config", "config"),
    ...optional("name", "name"),
    ...optional("secretFile", "secret-file"),
    ...optional("tlsCert", "tls-cert"),
    ...optional("tlsKey", "tls-key"),
    ...optional("tlsCa", "tls-ca"),
    ...optional("health", "health"),
    cells: values.get("cell") ?? [],
    listen: values.get("listen") ?? [],
    ...(proxyFrom === undefined ? {} : { proxyFrom }),
    ...(metricsFrom === undefined ? {} : { metricsFrom }),
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
