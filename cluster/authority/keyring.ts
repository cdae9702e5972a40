/**
 * What cells have and nobody else: the secret that tokens and nonces are signed with, and the key of the authority, where there is one. Each cell keeps it, so
 * that losing the first machine loses nothing. It is never in a map.
 */
export type Keyring = {
  /** Higher with each change; of two of one number the writer decides, as with maps. */
  readonly version: number;
  /** The cell that wrote it; empty: it was deployed. */
  readonly writer: string;
  readonly secret: string;
  readonly authority?: AuthorityKeys;
};

/** The authority, as far as it is needed to sign a certificate. */
export type AuthorityKeys = {
  /** As its certificates name it. */
  readonly name: string;
  /** SubjectPublicKeyInfo, and PKCS #8: DER in base64. */
  readonly publicKey: string;
  readonly privateKey: string;
};

type Versioned = Pick<Keyring, "version" | "writer">;

export function isNewerKeyring(one: Versioned, other: Versioned): boolean {
  return one.version === other.version ? one.writer > other.writer : one.version > other.version;
}
