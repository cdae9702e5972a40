import { hostInUri } from "../sip/host-in-uri.ts";
import { stringify } from "smol-toml";
import type { TlsFiles } from "./certificate.ts";
import { type Layout } from "./layout.ts";
import type { Settings } from "./settings.ts";

/** The configuration file of one gateway, as `gateway/config/config.ts` reads it. The secret stays in its own file. `advertise` of the settings is the host that phones use. */
export function gatewayConfigText(
  gateway: Layout["gateways"][number],
  cells: Layout["cells"],
  secretFile: string,
  tls: TlsFiles,
  { advertise, trusted, messagesPerSource }: Pick<Settings, "advertise" | "trusted" | "messagesPerSource">,
): string {
  const limits = {
    ...(messagesPerSource === undefined ? {} : { messagesPerSource }),
    ...(trusted === undefined ? {} : { trusted: [...trusted] }),
  };
  return `# Made by "tandem up" for gateway ${gateway.id}; written again at every start.\n${stringify({
    name: gateway.id,
    secretFile,
    cells: cells.map(({ id, url }) => ({ id, url })),
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
