import { hostInUri } from "../sip/host-in-uri.ts";
import { stringify } from "smol-toml";
import type { TlsFiles } from "./certificate.ts";
import { type CellOfLayout, type Layout, membersUrlOf } from "./layout.ts";
import type { MemberFiles } from "./membership.ts";
import type { Settings } from "./settings.ts";

/**
 * The configuration file of one gateway, as `gateway/config/config.ts` reads it. `credentials`: the file of the secret, or those of a
 * member. `advertise` of the settings is the host that phones use.
 */
export function gatewayConfigText(
  gateway: Layout["gateways"][number],
  cells: readonly Pick<CellOfLayout, "id" | "url" | "members">[],
  credentials: string | MemberFiles,
  tls: TlsFiles,
  {
    advertise,
    trusted,
    proxyFrom,
    metricsFrom,
    messagesPerSource,
  }: Pick<Settings, "advertise" | "trusted" | "proxyFrom" | "metricsFrom" | "messagesPerSource">,
): string {
  const limits = {
    ...(messagesPerSource === undefined ? {} : { messagesPerSource }),
    ...(trusted === undefined ? {} : { trusted: [...trusted] }),
  };
  return `# Made by "tandem up" for gateway ${gateway.id}; written again at every start.\n${stringify({
    name: gateway.id,
    ...(typeof credentials === "string" ? { secretFile: credentials } : { member: credentials }),
    ...(proxyFrom === undefined ? {} : { proxyFrom: [...proxyFrom] }),
    ...(gateway.health === undefined ? {} : { health: `${hostInUri(gateway.health.host)}:${gateway.health.port}` }),
    ...(metricsFrom === undefined ? {} : { metricsFrom: [...metricsFrom] }),
    cells: cells.map((cell) => ({ id: cell.id, url: membersUrlOf(cell) })),
    listeners: gateway.listeners.map(({ transport, host, port }) => ({
      transport: transport.toLowerCase(),
      host,
      port,
      ...(advertise === undefined ? {} : { advertise: `${hostInUri(advertise)}:${port}` }),
    })),
    tls: { cert: tls.certificate, key: tls.key },
    ...(Object.keys(limits).length === 0 ? {} : { limits }),
  })}\n`;
}
