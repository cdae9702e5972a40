import { X509Certificate, createPrivateKey, randomBytes } from "node:crypto";
import { isIP } from "node:net";
import { existsSync, readFileSync, renameSync } from "node:fs";
import { generate } from "selfsigned";
import { Failure, codeOf, reasonOf } from "./errors.ts";
import { quoted } from "./shown-path.ts";
import type { StateDirectory } from "./state-directory.ts";

/** Paths of the TLS files of a system: what a phone may be told to trust, and what a gateway shows. */
export type TlsFiles = {
  /** Undefined: the certificate is the operator's own, and phones know its authority or not. */
  readonly ca: string | undefined;
  readonly certificate: string;
  readonly key: string;
};

const dayMs = 86_400_000;
const certificateDays = 365;
const authorityDays = 3650;
/** A certificate is replaced at a start when less than this is left. */
const renewalDays = 30;

/**
 * Makes DIR/tls: a certificate authority of our own (kept for ten years, so that phones need to be told once) and a server certificate
 * (a year) for the domain, the address and localhost. What is there and good is kept.
 * RSA, because desk phones exist that take nothing else.
 *
 * A certificate of somebody else's making is never replaced: a {@link Failure} says what to do with it. What cannot be told to be ours, a damaged
 * file or a key without its certificate, is kept under another name.
 */
export async function ensureCertificate(
  state: StateDirectory,
  domain: string,
  hosts: readonly string[],
  now: Date,
): Promise<TlsFiles & { readonly ca: string }> {
  const files = {
    ca: state.file("tls", "ca.pem"),
    certificate: state.file("tls", "cert.pem"),
    key: state.file("tls", "key.pem"),
  };
  state.makeDirectory("tls");
  refuseForeign(files);
  const authority = readPair(files.ca, state.file("tls", "ca-key.pem"));
  if (authority === undefined) for (const file of [files.ca, state.file("tls", "ca-key.pem")]) keepAside(file);
  const keepAuthority = authority !== undefined && lasts(authority.certificate, now, certificateDays);
  const ca = keepAuthority ? { cert: authority.cert, key: authority.key } : await makeAuthority(state, domain, now);
  const server = readPair(files.certificate, files.key);
  const issuer = new X509Certificate(ca.cert);
  if (server !== undefined && lasts(server.certificate, now, renewalDays) && serves(server.certificate, issuer, [domain, ...hosts]))
    return files;
  if (server === undefined) for (const file of [files.certificate, files.key]) keepAside(file);
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
          ...hosts.map((host) => (isIP(host) === 0 ? { type: 2 as const, value: host } : { type: 7 as const, ip: host })),
        ],
      },
    ],
  });
  state.write("tls/key.pem", made.private, 0o600);
  state.write("tls/cert.pem", made.cert);
  return files;
}

/** Begins the name of every authority that was made here: by it our own certificates are known. */
const authorityName = "Tandem CA of";

/** Whether an authority that was made here has signed it. */
export function isOfOwnAuthority({ issuer }: X509Certificate): boolean {
  return issuer.startsWith(`CN=${authorityName} `);
}

/** Throws when there is a certificate that no authority of ours has signed: it was put there by somebody, and is theirs. */
function refuseForeign(files: { readonly ca: string; readonly certificate: string; readonly key: string }): void {
  for (const file of [files.certificate, files.ca]) {
    const certificate = readCertificate(file);
    if (certificate === undefined || isOfOwnAuthority(certificate)) continue;
    throw new Failure(
      `${file} is not of tandem's making, and is not replaced: name it, --tls-cert ${quoted(files.certificate)} --tls-key ${quoted(files.key)}, or move it away`,
    );
  }
}

function readCertificate(file: string): X509Certificate | undefined {
  try {
    return new X509Certificate(readFileSync(file));
  } catch {
    return undefined;
  }
}

/** Gives a file a name that is free: `cert.pem.1`. */
function keepAside(file: string): void {
  if (!existsSync(file)) return;
  for (let number = 1; ; number += 1) {
    if (existsSync(`${file}.${number}`)) continue;
    renameSync(file, `${file}.${number}`);
    return;
  }
}

/**
 * The operator's own certificate and key, with all that can be wrong about them found before anything starts. Throws a {@link Failure}, one line.
 * `names`: what of the domain and the address it does not name; phones that check will not accept it there.
 */
export function ownCertificate(
  certificateFile: string,
  keyFile: string,
  names: readonly string[],
  now: Date,
): { readonly files: TlsFiles; readonly unnamed: readonly string[] } {
  const cert = readPem("--tls-cert", certificateFile);
  const keyText = readPem("--tls-key", keyFile);
  const [certificate, ...chain] = readChain(certificateFile, cert);
  let key;
  try {
    key = createPrivateKey(keyText);
  } catch {
    const isLocked = keyText.includes("ENCRYPTED");
    throw new Failure(`--tls-key ${keyFile}: ${isLocked ? "has a passphrase: take it off" : "is no private key in PEM"}`);
  }
  if (!certificate.checkPrivateKey(key)) throw new Failure(`--tls-key ${keyFile}: is not the key of ${certificateFile}`);
  for (const [index, each] of [certificate, ...chain].entries()) {
    const which = index === 0 ? "" : `certificate ${index + 1} of its chain `;
    if (each.validToDate <= now) throw new Failure(`--tls-cert ${certificateFile}: ${which}expired on ${dayOf(each.validToDate)}`);
    if (each.validFromDate > now) {
      throw new Failure(`--tls-cert ${certificateFile}: ${which}is valid from ${dayOf(each.validFromDate)} on only`);
    }
  }
  const unnamed = unnamedBy(certificate, names);
  return { files: { ca: undefined, certificate: certificateFile, key: keyFile }, unnamed };
}

/** All certificates of a file, the server's first. One that cannot be read is not left out: phones would miss it, and nobody knew why. */
function readChain(file: string, text: string): [X509Certificate, ...X509Certificate[]] {
  const begin = "-----BEGIN CERTIFICATE-----";
  const [, ...blocks] = text.split(begin);
  const certificates = blocks.map((block, index) => {
    try {
      if (!block.includes("-----END CERTIFICATE-----")) throw new Error("it does not end");
      return new X509Certificate(begin + block);
    } catch {
      throw new Failure(
        `--tls-cert ${file}: ${index === 0 ? "is no certificate in PEM" : `certificate ${index + 1} of its chain cannot be read`}`,
      );
    }
  });
  const marks = text.match(/(?:BEGIN|END) CERTIFICATE/g)?.length ?? 0;
  if (marks !== 2 * blocks.length) throw new Failure(`--tls-cert ${file}: a BEGIN or END line of a certificate is damaged`);
  const [first, ...rest] = certificates;
  if (first === undefined) throw new Failure(`--tls-cert ${file}: is no certificate in PEM`);
  return [first, ...rest];
}

function readPem(option: string, file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const code = codeOf(error);
    const reason =
      code === "ENOENT"
        ? "does not exist"
        : code === "EACCES"
          ? "may not be read by this user"
          : `cannot be read (${code ?? reasonOf(error)})`;
    throw new Failure(`${option} ${file}: ${reason}`);
  }
}

function dayOf(date: Date): string {
  return date.toISOString().slice(0, 10);
}

async function makeAuthority(state: StateDirectory, domain: string, now: Date): Promise<{ cert: string; key: string }> {
  // Each machine has one of its own. Who trusts several finds the right one by its name.
  const name = `${authorityName} ${domain} ${randomBytes(4).toString("hex")}`;
  const made = await generate([{ name: "commonName", value: name }], {
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

function serves(certificate: X509Certificate, issuer: X509Certificate, names: readonly string[]): boolean {
  return certificate.verify(issuer.publicKey) && unnamedBy(certificate, names).length === 0;
}

function unnamedBy(certificate: X509Certificate, names: readonly string[]): readonly string[] {
  return names.filter((name) => (isIP(name) === 0 ? certificate.checkHost(name) : certificate.checkIP(name)) === undefined);
}
