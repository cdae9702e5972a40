import type { ForwardOptions } from "../../sip/proxy/proxy.ts";

/** Methods that may make a dialog, of which later requests come here as well (RFC 3261 16.6 4, RFC 6665 4.3). */
const recordRouteMethods: ReadonlySet<string> = new Set(["INVITE", "SUBSCRIBE", "REFER", "NOTIFY"]);

export const staysOnPath: ForwardOptions = { recordRoute: true };
export const passesOn: ForwardOptions = { recordRoute: false };

/** Whether we stay on the path of what an initial request of this method makes. */
export function pathOf(method: string): ForwardOptions {
  return recordRouteMethods.has(method) ? staysOnPath : passesOn;
}
