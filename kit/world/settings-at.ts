import type { Settings } from "../../cli/settings.ts";

export const loopback = "127.0.0.1";

export type SettingsAtOptions = {
  /** Where its state is kept. */
  readonly state: string;
  readonly domain: string | undefined;
  readonly gateways: number;
  /** Two when absent. */
  readonly cells?: number;
  readonly exchanges?: number | undefined;
};

/**
 * The settings of a system on this machine's loopback that lets every phone in and starts nothing again by itself. Its ports follow
 * `firstPort`: two for each gateway, then one for each cell.
 */
export function settingsAt(firstPort: number, { state, domain, gateways, cells = 2, exchanges }: SettingsAtOptions): Settings {
  return {
    domain,
    auth: "open",
    digest: ["MD5"],
    failedLogins: undefined,
    host: loopback,
    sipPort: firstPort,
    tlsPort: firstPort + 1,
    wsPort: undefined,
    wssPort: undefined,
    httpPort: firstPort + 2 * gateways,
    cells,
    gateways,
    exchanges,
    replication: true,
    state,
    restart: false,
    json: false,
  };
}
