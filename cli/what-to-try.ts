import { hostInUri } from "../sip/host-in-uri.ts";
import { resolve } from "node:path";
import { type Layout, advertisedHostOf, httpHostOf, placesOf } from "./layout.ts";
import { program } from "./program.ts";
import { type Settings, defaultState, isWildcard } from "./settings.ts";
import { quoted, shownPath } from "./shown-path.ts";
import { tableText } from "./table.ts";

/** What a first user needs: where a phone registers and as whom, and the commands. */
export function whatToTry(
  settings: Settings,
  domain: string,
  layout: Layout,
  passwords: Readonly<Record<string, string>>,
  ownName?: string,
): string {
  const host = advertisedHostOf(settings);
  const urls = urlsOf(layout, settings.advertise);
  const httpHost = httpHostOf(settings);
  const cellUrls = layout.cells.map(({ port, url }) =>
    isWildcard(httpHost) ? `ws://${hostInUri(host)}:${port}` : url.replace("http", "ws"),
  );
  const lines: readonly (readonly [name: string, value: string])[] = [
    ["Domain", domain],
    ...hostLine(ownName),
    ["Server", serversText(layout, settings.advertise)],
    ["WebSocket", `${cellUrls.join(" or ")}, subprotocol sip`],
    ...(urls.length === 0 ? [] : [["At gateways", `${urls.join(" or ")}, subprotocol sip`] as const]),
    ...(settings.tls === undefined && settings.acme === undefined
      ? [["CA for TLS", `${shownPath(settings.state)}/tls/ca.pem`] as const]
      : []),
  ];
  const state = stateOption(settings);
  return `
Register a phone:
${lines.map(([name, value]) => `  ${name.padEnd(11)}  ${value}\n`).join("")}
${usersText(settings, domain, passwords)}
Then:
  ${program.name} status${state}
  ${program.name} registrations${state}
${settings.auth === "open" ? "" : `  ${program.name} subscriber add dave --password -${state}\n`}${settings.listen === undefined ? "" : `  ${program.name} invite${state}\n`}
`;
}

/** On a host that has joined phones find what is here, and users are those of the system. */
export function whatHasJoined(settings: Settings, domain: string, layout: Layout, ownName?: string): string {
  const urls = urlsOf(layout, settings.advertise);
  const lines: readonly (readonly [name: string, value: string])[] = [
    ["Domain", domain],
    ...hostLine(ownName),
    ...(layout.gateways.length === 0 ? [] : [["Server", serversText(layout, settings.advertise)] as const]),
    ...(urls.length === 0 ? [] : [["At gateways", `${urls.join(" or ")}, subprotocol sip`] as const]),
    ...(layout.gateways.length === 0 || settings.tls !== undefined
      ? []
      : [["CA for TLS", `${shownPath(settings.state)}/tls/ca.pem`] as const]),
  ];
  return `
This machine has joined:
${lines.map(([name, value]) => `  ${name.padEnd(11)}  ${value}\n`).join("")}
It is started again by this, and needs neither the token nor other options then:
  ${program.name} up --state ${quoted(settings.state)}

`;
}

/** What `tandem drain`, `host` and `remove` take. A system for one machine has no name for it. */
function hostLine(name: string | undefined): (readonly [name: string, value: string])[] {
  return name === undefined ? [] : [["Host", name]];
}

/** How a command finds this system; nothing where it does by itself. */
function stateOption({ state }: Settings): string {
  return state === resolve(defaultState) ? "" : ` --state ${quoted(shownPath(state))}`;
}

function serversText(layout: Layout, advertise: string | undefined): string {
  return layout.gateways
    .map(({ listeners }) => {
      const plain = listeners
        .filter(({ transport }) => transport !== "WS" && transport !== "WSS")
        .map((listener) => ({ ...listener, host: advertise ?? listener.host }));
      return Array.from(placesOf(plain), ([place, here]) => `${place} (${here.map(({ transport }) => transport).join(", ")})`).join(", ");
    })
    .join("; ");
}

/** Where gateways take softphones. */
function urlsOf(layout: Layout, advertise: string | undefined): string[] {
  return layout.gateways.flatMap(({ listeners }) =>
    listeners
      .filter(({ transport }) => transport === "WS" || transport === "WSS")
      .map(({ transport, host, port }) => `${transport.toLowerCase()}://${hostInUri(advertise ?? host)}:${port}`),
  );
}

function usersText(settings: Settings, domain: string, passwords: Readonly<Record<string, string>>): string {
  if (settings.auth === "open") return `Any user of ${domain} may register, without a password (--auth open).\n`;
  const rows = Object.entries(passwords).map(([aor, password]) => [aor.slice(0, aor.lastIndexOf("@")), password]);
  if (rows.length === 0) return `${program.name} subscriber list${stateOption(settings)} shows who may register.\n`;
  return tableText(["USER", "PASSWORD"], rows)
    .split("\n")
    .map((line) => (line === "" ? "" : `  ${line}`))
    .join("\n");
}
