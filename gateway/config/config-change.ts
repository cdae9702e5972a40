import { isDeepStrictEqual } from "node:util";
import type { GatewayConfig } from "./config.ts";

/** What differs between two configurations, by the keys of the file. */
export type ConfigChange = {
  /** What a gateway takes over while it runs. */
  readonly taken: readonly string[];
  /** What counts from its next start on. */
  readonly later: readonly string[];
};

type Keys = Readonly<Record<string, (config: GatewayConfig) => unknown>>;

const takenKeys: Keys = {
  "tls.cert": ({ tls }) => tls?.cert,
  "tls.key": ({ tls }) => tls?.key,
  "tls.ca": ({ tls }) => tls?.ca,
  "tls.verify": ({ tls }) => tls?.verify,
  proxyFrom: ({ proxyFrom }) => proxyFrom,
  metricsFrom: ({ metricsFrom }) => metricsFrom,
  "limits.connections": ({ limits }) => limits.connectionsMax,
  "limits.messagesPerSource": ({ limits }) => limits.messagesPerSource,
  "limits.trusted": ({ limits }) => limits.trusted,
};

/** Of the cells only the first start needs to know: later the map names them. */
const laterKeys: Keys = {
  name: ({ name }) => name,
  secret: ({ secret }) => secret,
  member: ({ member }) => member,
  listeners: ({ listeners }) => listeners,
  health: ({ health }) => health,
  "dns.servers": ({ dnsServers }) => dnsServers,
};

export function changeOf(before: GatewayConfig, after: GatewayConfig): ConfigChange {
  const differing = (keys: Keys): string[] =>
    Object.entries(keys)
      .filter(([, valueOf]) => !isDeepStrictEqual(valueOf(before), valueOf(after)))
      .map(([key]) => key);
  return { taken: differing(takenKeys), later: differing(laterKeys) };
}

/** `tls.cert, tls.key; from the next start on: listeners`. */
export function changeText({ taken, later }: ConfigChange): string {
  const now = taken.length === 0 ? "nothing" : taken.join(", ");
  return later.length === 0 ? now : `${now}; from the next start on: ${later.join(", ")}`;
}
