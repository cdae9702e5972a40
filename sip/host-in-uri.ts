/** A host as it stands in a URI: an IPv6 address in brackets (RFC 3261 25.1, IPv6reference). */
export function hostInUri(host: string): string {
  return host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
}
