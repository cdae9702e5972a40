import { X509Certificate, createPrivateKey } from "node:crypto";
import { isIP } from "node:net";
import { mkdirSync, readFileSync } from "node:fs";
import { generate } from "selfsigned";
import type { StateDirectory } from "./state-directory.ts";

/** Paths of the TLS files of a system: what a phone may be told to trust, and what a gateway shows. */
export type TlsFiles = { readonly ca: string; readonly certificate: string; readonly key: string };

const dayMs = 86_400_000;
const certificateDays = 365;
const authorityDays = 3650;
/** A certificate is replaced at a start when less than this is left. */
const renewalDays = 30;

/**
 * Makes DIR/tls: a certificate authority of our own (kept for ten years, so that phones need to be told once) and a server certificate
 * (a year) for the domain, the address and localhost. What is there and good is kept.
 * RSA, because desk phones exist that take nothing else.
 */
export async function ensureCertificate(state: StateDirectory, domain: string, host: string, now: Date): Promise<TlsFiles> {
  const files: TlsFiles = {
    ca: state.file("tls", "ca.pem"),
    certificate: state.file("tls", "cert.pem"),
    key: state.file("tls", "key.pem"),
  };
  mkdirSync(state.file("tls"), { recursive: true, mode: 0o700 });
  const authority = readPair(files.ca, state.file("tls", "ca-key.pem"));
  const keepAuthority = authority !== undefined && lasts(authority.certificate, now, certificateDays);
  const ca = keepAuthority ? { cert: authority.cert, key: authority.key } : await makeAuthority(state, domain, now);
  const server = readPair(files.certificate, files.key);
  const issuer = new X509Certificate(ca.cert);
  if (server !== undefined && lasts(server.certificate, now, renewalDays) && serves(server.certificate, issuer, domain, host)) return files;
  const made = await generate([{ name: "commonName", value: domain }], {
    algorithm: "sha256",
    keySize: 2048,
    notBeforeDate: new Date(now.getTime() - dayMs),
    notAfterDate: new Date(now.getTime() + certificateDays * dayMs),
    ca,
    extensions: [
      { name: "basicConstraints", cA: false, critical: true },
      { name: "keyUsage", digitalSignature: true, keyEncipherment: true, critical: true },
      { name: "extKeyUsage", serverAuth: true, clientAuth: true },
      {
        name: "subjectAltName",
        // RFC 5922 7.1: the identity of a SIP domain is a URI or a DNS name.
        altNames: [
          { type: 6, value: `sip:${domain}` },
          { type: 2, value: domain },
          { type: 2, value: "localhost" },
          { type: 7, ip: host },
        ],
      },
    ],
  });
  state.write("tls/key.pem", made.private, 0o600);
  state.write("tls/cert.pem", made.cert);
  return files;
}

async function makeAuthority(state: StateDirectory, domain: string, now: Date): Promise<{ cert: string; key: string }> {
  const made = await generate([{ name: "commonName", value: `Tandem CA of ${domain}` }], {
    algorithm: "sha256",
    keySize: 2048,
    notBeforeDate: new Date(now.getTime() - dayMs),
    notAfterDate: new Date(now.getTime() + authorityDays * dayMs),
    extensions: [
      { name: "basicConstraints", cA: true, pathLenConstraint: 0, critical: true },
      { name: "keyUsage", keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
  state.write("tls/ca-key.pem", made.private, 0o600);
  state.write("tls/ca.pem", made.cert);
  return { cert: made.cert, key: made.private };
}

type Pair = { readonly cert: string; readonly key: string; readonly certificate: X509Certificate };

/** A certificate and its key; undefined when one of them is missing, damaged, or does not belong to the other. */
function readPair(certificateFile: string, keyFile: string): Pair | undefined {
  try {
    const cert = readFileSync(certificateFile, "utf8");
    const key = readFileSync(keyFile, "utf8");
    const certificate = new X509Certificate(cert);
    return certificate.checkPrivateKey(createPrivateKey(key)) ? { cert, key, certificate } : undefined;
  } catch {
    return undefined;
  }
}

function lasts(certificate: X509Certificate, now: Date, days: number): boolean {
  return certificate.validFromDate <= now && certificate.validToDate.getTime() - now.getTime() > days * dayMs;
}

function serves(certificate: X509Certificate, issuer: X509Certificate, domain: string, host: string): boolean {
  return (
    certificate.verify(issuer.publicKey) &&
    certificate.checkHost(domain) !== undefined &&
    (isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host)) !== undefined
  );
}
