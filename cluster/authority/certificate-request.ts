import { alternativeName, extension } from "./certificate.ts";
import { bitString, identifier, sequence, setOf, smallInteger, value } from "./der.ts";

const sha256WithRsa = sequence(identifier("1.2.840.113549.1.1.11"), value(0x05));
const extensionRequest = identifier("1.2.840.113549.1.9.14");
const subjectAltName = "2.5.29.17";

/**
 * A request for a certificate of an authority that is not ours (PKCS #10, RFC 2986): DER. The names stand where they are looked for today, and the subject is
 * empty. `publicKey`: RSA, as SubjectPublicKeyInfo. `sign`: RSASSA-PKCS1-v1_5 with SHA-256.
 */
export function certificateRequest(names: readonly string[], publicKey: Uint8Array, sign: (octets: Uint8Array) => Uint8Array): Uint8Array {
  const extensions = sequence(extension(subjectAltName, sequence(...names.map(alternativeName))));
  const attributes = value(0xa0, sequence(extensionRequest, setOf(extensions)));
  const toSign = sequence(smallInteger(0), sequence(), publicKey, attributes);
  return sequence(toSign, sha256WithRsa, bitString(sign(toSign)));
}
