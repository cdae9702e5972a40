import { createHash, createHmac, createPrivateKey, sign } from "node:crypto";
import { type CertificateSubject, memberCertificate } from "../cluster/authority/certificate.ts";
import type { InvitationMac } from "../cluster/authority/invitation.ts";
import type { AuthorityKeys } from "../cluster/authority/keyring.ts";
import { base64Of, octetsOfBase64, pemOf } from "./base64.ts";

/** Of whom a certificate is wanted; `publicKey` is SubjectPublicKeyInfo in base64. */
export type Subject = Omit<CertificateSubject, "publicKey"> & { readonly publicKey: string };

export type IssuedCertificate = { readonly id: string; readonly certificate: string; readonly until: number };

/** Signs the certificate of a member, PEM. Throws when its key or an address is none. `now`: ms since the epoch. */
export function issue({ name, publicKey, privateKey }: AuthorityKeys, subject: Subject, now: number): IssuedCertificate {
  const key = createPrivateKey(pemOf("PRIVATE KEY", privateKey));
  const { der, until } = memberCertificate(
    { ...subject, publicKey: octetsOfBase64(subject.publicKey) ?? new Uint8Array(0) },
    { name, publicKey: octetsOfBase64(publicKey) ?? new Uint8Array(0) },
    { now, serial: crypto.getRandomValues(new Uint8Array(16)) },
    {
      sign: (octets) => new Uint8Array(sign("sha256", octets, key)),
      sha256: (octets) => new Uint8Array(createHash("sha256").update(octets).digest()),
    },
  );
  return { id: subject.id, certificate: pemOf("CERTIFICATE", base64Of(der)), until };
}

/** SHA-256 of a certificate in PEM, 64 hex digits. Throws when it is none. */
export function fingerprintOf(certificate: string): string {
  const octets = octetsOfBase64(certificate.replaceAll(/-----[A-Z ]+-----|\s/g, ""));
  if (octets === undefined) throw new RangeError("this is no certificate");
  return createHash("sha256").update(octets).digest("hex");
}

/** What invitations carry of the secret of the system: a key of their own, so that nothing else that is made with it can be one. */
export function invitationMacOf(secret: string): InvitationMac {
  const key = createHmac("sha256", secret).update("invitations").digest();
  return (text) => createHmac("sha256", key).update(text).digest("hex");
}
