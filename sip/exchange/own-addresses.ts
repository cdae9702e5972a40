import { isParseError } from "../errors.ts";
import { isSipUri, parseUri, type SipUri } from "../message/uri.ts";
import { domainOf, type ClusterMap } from "../placement/cluster-map.ts";
import { addressToHex, defaultPort, type Listener, type Transport } from "../transport/flow.ts";

/** An address that another one is reached under as well: by the same machine (0.0.0.0), or over IPv6 (RFC 4291 2.5.5.2). */
const anyAddress = "00000000";
const mapped = "00000000000000000000ffff";

/**
 * The addresses and names under which this cluster itself is reached. What is sent there comes back, and a user whose Contact or Path lies there
 * makes many requests of one (RFC 5393 3). The port counts: a phone may share our address.
 */
export class OwnAddresses {
  /** Address and port of each listener, in hex as in flow keys. */
  readonly #remotes = new Set<string>();

  add(listeners: readonly Listener[]): void {
    for (const { host, port } of listeners) {
      const address = addressToHex(host);
      const portHex = port.toString(16).padStart(4, "0");
      // A name: its domain or alias says that it is ours.
      if (/^0+$/.test(address)) continue;
      this.#remotes.add(address + portHex);
      if (address.length !== 8) continue;
      this.#remotes.add(anyAddress + portHex);
      this.#remotes.add(mapped + address + portHex);
    }
  }

  /** True for a flow that is no connection and leads to a listener of ours. */
  has(flow: string): boolean {
    // `<access>~<transport and listener>.<connection>.<address and port>`: no connection, two points.
    const at = flow.indexOf("..", flow.indexOf("~"));
    if (at < 0) return false;
    const end = flow.indexOf(".", at + 2);
    return this.#remotes.has(end < 0 ? flow.slice(at + 2) : flow.slice(at + 2, end));
  }

  /** What in a URI, or a name-addr, leads to us: the name of a domain or alias of ours, or address and port of a listener. */
  namedBy(map: ClusterMap, text: string): "name" | "address" | undefined {
    const open = text.indexOf("<");
    const uri = parseUri(open < 0 ? text : text.slice(open + 1, text.indexOf(">", open)));
    if (isParseError(uri) || !isSipUri(uri)) return undefined;
    const maddr = uri.params.get("maddr");
    return this.#ownHost(map, uri, uri.host) ?? (maddr === undefined ? undefined : this.#ownHost(map, uri, maddr));
  }

  #ownHost(map: ClusterMap, uri: SipUri, written: string): "name" | "address" | undefined {
    const host = written.toLowerCase().replace(/\.+$/, "");
    const isIpv6 = host.includes(":");
    const address = addressToHex(host);
    // Not an address: whatever its port, the name is ours or it is not.
    if (!isIpv6 && address === anyAddress && host !== "0.0.0.0") return domainOf(map, host) === undefined ? undefined : "name";
    const port = uri.port ?? defaultPort(transportOf(uri));
    if (this.#remotes.has(address + port.toString(16).padStart(4, "0"))) return "address";
    const bracketed = isIpv6 && !host.startsWith("[") ? `[${host}]` : host;
    return domainOf(map, bracketed, port) === undefined ? undefined : "address";
  }
}

function transportOf(uri: SipUri): Transport {
  const named = uri.params.get("transport")?.toUpperCase();
  return uri.scheme === "sips" || named === "TLS" ? "TLS" : "UDP";
}
