import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, sign, X509Certificate } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import {
  type AuthorityName,
  authorityCertificate,
  type Certificate,
  type CertificateOptions,
  type CertificateSubject,
  type CertificateTools,
  memberCertificate,
} from "../cluster/authority/certificate.ts";
import type { AuthorityKeys } from "../cluster/authority/keyring.ts";
import { Failure, reasonOf } from "./errors.ts";
import { pemOf } from "./pem.ts";
import type { StateDirectory } from "./state-directory.ts";

/** Who signs the certificates of members (docs/decisions/0046-members-have-keys.md), as the machine has it that has made it. */
export class Authority {
  /** Its certificate, PEM: everybody may know it. */
  readonly certificate: string;
  readonly keys: AuthorityKeys;

  private constructor(certificate: string, keys: AuthorityKeys) {
    this.certificate = certificate;
    this.keys = keys;
  }

  /** That of a state directory, which is made at the first start. Throws a {@link Failure} when what is there cannot be used. */
  static ensure(state: StateDirectory, now: Date): Authority {
    const [certificateFile, keyFile] = [authorityFile(state), state.file("authority", "key.pem")];
    if (!existsSync(certificateFile) && !existsSync(keyFile)) make(state, now);
    try {
      const certificate = readFileSync(certificateFile, "utf8");
      const privateKey = createPrivateKey(readFileSync(keyFile));
      const read = new X509Certificate(certificate);
      if (!read.checkPrivateKey(privateKey)) throw new Error(`${keyFile} is not the key of ${certificateFile}`);
      return new Authority(certificate, {
        name: read.subject.replace(/^CN=/, ""),
        publicKey: createPublicKey(privateKey).export({ type: "spki", format: "der" }).toString("base64"),
        privateKey: privateKey.export({ type: "pkcs8", format: "der" }).toString("base64"),
      });
    } catch (error) {
      throw new Failure(`the authority of ${state.path} cannot be read: ${reasonOf(error)}`);
    }
  }

  /** A member's certificate, PEM. */
  issue(subject: CertificateSubject, now: Date): string {
    const { name, publicKey, privateKey } = this.keys;
    const key = createPrivateKey({ key: Buffer.from(privateKey, "base64"), format: "der", type: "pkcs8" });
    const authority: AuthorityName = { name, publicKey: Buffer.from(publicKey, "base64") };
    return pem(memberCertificate(subject, authority, optionsAt(now), toolsOf(key)));
  }
}

/** SHA-256 of a certificate in PEM, 64 hex digits. */
export function fingerprintOf(certificate: string): string {
  return createHash("sha256").update(new X509Certificate(certificate).raw).digest("hex");
}

/** Where every machine of a system has the certificate of its authority. */
export function authorityFile(state: StateDirectory): string {
  return state.file("authority", "cert.pem");
}

function make(state: StateDirectory, now: Date): void {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const authority: AuthorityName = {
    name: `Tandem authority ${randomBytes(8).toString("hex")}`,
    publicKey: publicKey.export({ type: "spki", format: "der" }),
  };
  state.makeDirectory("authority");
  state.write("authority/key.pem", privateKey.export({ type: "pkcs8", format: "pem" }).toString(), 0o600);
  state.write("authority/cert.pem", pem(authorityCertificate(authority, optionsAt(now), toolsOf(privateKey))));
}

function pem({ der }: Certificate): string {
  return pemOf("CERTIFICATE", der);
}

function optionsAt(now: Date): CertificateOptions {
  return { now: now.getTime(), serial: randomBytes(16) };
}

function toolsOf(key: ReturnType<typeof createPrivateKey>): CertificateTools {
  return {
    sign: (octets) => sign("sha256", octets, key),
    sha256: (octets) => createHash("sha256").update(octets).digest(),
  };
}
