import { isParseError } from "../../sip/errors.ts";
import { isSipUri, parseUri, type SipUri } from "../../sip/message/uri.ts";
import { domainOf, isLocalName, type ClusterMap } from "../../cluster/map/cluster-map.ts";
import { addressToHex, defaultPort, isTransport, type Listener, type Transport } from "../../sip/flow/flow.ts";

/** An address that another one is reached under as well: by the same machine (0.0.0.0), or over IPv6 (RFC 4291 2.5.5.2). */
const anyAddress = "00000000";
const portDigits = 4;
const mapped = "00000000000000000000ffff";

/**
 * The addresses and names under which this cluster itself is reached. What is sent there comes back, and a user whose Contact or Path lies there
 * makes many requests of one (RFC 5393 3). The port counts, and whether it is one of UDP: a phone may share our address, and take the next port.
 */
export class OwnAddresses {
  /** Each listener is `u` for UDP, `t` for the others, and its address and port in hex as in flow keys. */
  readonly #remotes = new Set<string>();
  /** Their ports as in flow keys: nearly all flows lead to others. */
  readonly #ports = new Set<string>();

  add(listeners: readonly Listener[]): void {
    for (const { transport, host, port } of listeners) {
      const kind = kindOf(transport);
      const address = addressToHex(host);
      const portHex = portHexOf(port);
      // A name: its domain or alias says that it is ours.
      if (/^0+$/.test(address)) continue;
      this.#remotes.add(kind + address + portHex);
      this.#ports.add(portHex);
      this.#remotes.add(kind + anyAddress + portHex);
      if (address.length !== 8) continue;
      this.#remotes.add(kind + mapped + address + portHex);
    }
  }

  /** True for a flow that is no connection and leads to a listener of ours. */
  has(flow: string): boolean {
    // `<access>~<transport and listener>.<connection>.<address and port>`: no connection, two points.
    const tilde = flow.indexOf("~");
    const at = flow.indexOf("..", tilde);
    if (at < 0) return false;
    const end = flow.indexOf(".", at + 2);
    if (!this.#ports.has(flow.slice((end < 0 ? flow.length : end) - portDigits, end < 0 ? flow.length : end))) return false;
    const remote = end < 0 ? flow.slice(at + 2) : flow.slice(at + 2, end);
    return this.#remotes.has((flow.charAt(tilde + 1) === "u" ? "u" : "t") + remote);
  }

  /** What in a URI, or a name-addr, leads to us. It is the name of a domain or alias of ours, or address and port of a listener. */
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
    const transport = transportOf(uri);
    const port = uri.port ?? defaultPort(transport);
    if (!isIpv6 && address === anyAddress && host !== "0.0.0.0") {
      // Not an address: whatever its port, the name is ours or it is not.
      if (domainOf(map, host) !== undefined) return "name";
      // The gateway's own machine: with the port of a listener it is that listener.
      return isLocalName(host) && this.#remotes.has(kindOf(transport) + anyAddress + portHexOf(port)) ? "address" : undefined;
    }
    const remote = address + portHexOf(port);
    if (this.#remotes.has(kindOf(transport) + remote)) return "address";
    if (this.#remotes.has(`u${remote}`) || this.#remotes.has(`t${remote}`)) return undefined;
    const bracketed = isIpv6 && !host.startsWith("[") ? `[${host}]` : host;
    return domainOf(map, bracketed, port) === undefined ? undefined : "address";
  }
}

function portHexOf(port: number): string {
  return port.toString(16).padStart(portDigits, "0");
}

function kindOf(transport: Transport): "u" | "t" {
  return transport === "UDP" ? "u" : "t";
}

/** RFC 3263 4.1, of an address: what is named, TLS for sips, else UDP. */
function transportOf(uri: SipUri): Transport {
  const named = uri.params.get("transport")?.toUpperCase();
  if (uri.scheme === "sips") return "TLS";
  return isTransport(named) ? named : "UDP";
}
