import { createPublicKey, type KeyObject, X509Certificate } from "node:crypto";
import { type ServedCertificate, servedFault } from "../cluster/authority/served.ts";

/** What a host says that gateways show, with what stands in it; or why it is no certificate for them. `now`: ms since the epoch. */
export function readServed(served: ServedCertificate, now: number): ServedCertificate | { readonly refused: string } {
  const certificate = certificateOf(served);
  if (certificate === undefined) return { refused: "chain and key are no PEM of a certificate and its key" };
  const refused = servedFault(served, certificate, now);
  return refused === undefined ? { ...served, from: certificate.from } : { refused };
}

/** workerd says of keys that fit that they do not, by `checkPrivateKey` and by `equals`: so what stands in them is compared. */
function spkiOf(key: KeyObject): string {
  return key.export({ type: "spki", format: "pem" });
}

function certificateOf({ chain, key }: ServedCertificate) {
  try {
    const all = chain
      .match(/-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g)
      ?.map((each) => new X509Certificate(each));
    const [first] = all ?? [];
    if (first === undefined) return undefined;
    return {
      from: Date.parse(first.validFrom),
      until: Date.parse(first.validTo),
      isForKey: spkiOf(first.publicKey) === spkiOf(createPublicKey(key)),
      isFor: (name: string) => first.checkHost(name) !== undefined,
    };
  } catch {
    return undefined;
  }
}
