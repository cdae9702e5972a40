/**
 * What the gateway speaks over TLS, as a server and as a client. It is TLS 1.3, and of TLS 1.2 what has forward secrecy and authenticated encryption
 * (RFC 9325 4.2). RFC 3261 26.2.1 asks for TLS_RSA_WITH_AES_128_CBC_SHA (`AES128-SHA`). Who records that and steals the key one day reads it all. So
 * a phone that knows nothing else gets no connection.
 */
export type TlsVersions = { readonly minVersion: "TLSv1.2"; readonly ciphers: string };

const ciphers: readonly string[] = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
];

export const tlsVersions: TlsVersions = { minVersion: "TLSv1.2", ciphers: ciphers.join(":") };
