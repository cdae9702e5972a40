import { resolve } from "node:path";
import { type Layout, hostInUri } from "./layout.ts";
import { type Settings, defaultState } from "./settings.ts";
import { shownPath } from "./shown-path.ts";
import { tableText } from "./table.ts";

/** What a first user needs: where a phone registers and as whom, and the commands. */
export function whatToTry(settings: Settings, domain: string, layout: Layout, passwords: Readonly<Record<string, string>>): string {
  const servers = layout.gateways.map(({ sipPort, tlsPort }) => {
    const host = hostInUri(settings.host);
    return `${host}:${sipPort} (UDP, TCP), ${host}:${tlsPort} (TLS)`;
  });
  const sockets = layout.cells.map(({ url }) => url.replace("http", "ws"));
  const lines = [
    ["Domain", domain],
    ["Server", servers.join("; ")],
    ["WebSocket", `${sockets.join(" or ")}, subprotocol sip`],
    ["CA for TLS", `${shownPath(settings.state)}/tls/ca.pem`],
  ] as const;
  const state = settings.state === resolve(defaultState) ? "" : ` --state ${shownPath(settings.state)}`;
  return `
Register a phone:
${lines.map(([name, value]) => `  ${name.padEnd(11)}  ${value}\n`).join("")}
${usersText(settings, domain, passwords)}
Then:
  npx tandem status${state}
  npx tandem registrations${state}
  npx tandem subscriber add dave --password -${state}

`;
}

function usersText(settings: Settings, domain: string, passwords: Readonly<Record<string, string>>): string {
  if (settings.auth === "open") return `Any user of ${domain} may register, without a password (--auth open).\n`;
  const rows = Object.entries(passwords).map(([aor, password]) => [aor.slice(0, aor.lastIndexOf("@")), password]);
  if (rows.length === 0) return "npx tandem subscriber list shows who may register.\n";
  return tableText(["USER", "PASSWORD"], rows)
    .split("\n")
    .map((line) => (line === "" ? "" : `  ${line}`))
    .join("\n");
}
