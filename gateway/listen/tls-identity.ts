import type { PeerCertificate } from "node:tls";

/**
 * Checks that a certificate is for a SIP domain, or for the address that was connected to (RFC 5922 7). Node's own check knows host names
 * only; RFC 5922 wants SIP URIs first, then DNS names, and no wildcards. Undefined: it is; an Error says why not.
 */
export function checkSipIdentity(name: string, certificate: PeerCertificate): Error | undefined {
  const alternatives = alternativeNames(certificate.subjectaltname);
  const wanted = name.toLowerCase();
  if (alternatives.some(([type, value]) => type === "IP Address" && value === wanted)) return undefined;
  const domains = alternatives.flatMap(([type, value]) => (type === "URI" ? sipDomain(value) : []));
  if (domains.length > 0) return domains.includes(wanted) ? undefined : mismatch(name, domains);
  const hosts = alternatives.flatMap(([type, value]) => (type === "DNS" ? [value] : []));
  if (hosts.length > 0) return hosts.includes(wanted) ? undefined : mismatch(name, hosts);
  const { CN: commonName } = certificate.subject;
  const common = [commonName].flat().map((value) => value?.toLowerCase() ?? "");
  return common.includes(wanted) ? undefined : mismatch(name, common);
}

/** `DNS:a.example, URI:sip:example, IP Address:192.0.2.1` as pairs in lower case. */
function alternativeNames(text: string | undefined): [type: string, value: string][] {
  if (text === undefined) return [];
  return text.split(", ").map((entry) => {
    const colon = entry.indexOf(":");
    return [entry.slice(0, colon), entry.slice(colon + 1).toLowerCase()];
  });
}

/** RFC 5922 7.1: a SIP URI without a user part names a domain. */
function sipDomain(uri: string): string[] {
  const match = /^sips?:([^@;?]+)$/.exec(uri);
  return match?.[1] === undefined ? [] : [match[1]];
}

function mismatch(name: string, has: readonly string[]): Error {
  return new Error(`the certificate is not for ${name} but for ${has.join(", ")}`);
}
