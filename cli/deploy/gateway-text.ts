import { stringify } from "smol-toml";
import type { System } from "./system.ts";

/** What goes into a gateway: its file, as gateway/config/config.ts reads it. The secret is in a file beside it. */
export function gatewayTextOf({ cells }: Pick<System, "cells">, gateway: System["gateways"][number]): string {
  const { name, listeners, tls } = gateway;
  return stringify({
    name,
    secretFile: "tandem.secret",
    cells: cells.map(({ id, url }) => ({ id, url })),
    listeners: listeners.map((listener) => ({ ...listener })),
    ...(tls === undefined ? {} : { tls: { ...tls } }),
  });
}
