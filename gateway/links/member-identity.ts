import { createPrivateKey, type KeyObject } from "node:crypto";
import { readFileSync, statSync } from "node:fs";

/** Files of a member of a system with an authority, all PEM (docs/decisions/0046-members-have-keys.md). */
export type MemberFiles = {
  /** What it signs with, Ed25519. */
  readonly key: string;
  /** Its certificate, which is renewed while it runs, and the key of that. */
  readonly cert: string;
  readonly tlsKey: string;
  /** The authority's certificate: the only one that cells are believed by. */
  readonly authority: string;
};

/** What a TLS connection to a cell is made with. */
export type MemberTls = { readonly cert: string; readonly key: string; readonly ca: string };

/** What a gateway is to the cells of a system with an authority. */
export class MemberIdentity {
  readonly key: KeyObject;
  readonly #files: MemberFiles;
  #tls: MemberTls;
  #changedMs: number;

  /** Throws when a file cannot be read, or is not what it should be. */
  constructor(files: MemberFiles) {
    this.#files = files;
    this.key = createPrivateKey(readFileSync(files.key));
    if (this.key.asymmetricKeyType !== "ed25519") throw new Error(`${files.key} is no Ed25519 key`);
    this.#changedMs = statSync(files.cert).mtimeMs;
    this.#tls = read(files);
  }

  /** The certificate as it is now: connections that are made after it was renewed show the new one. One that cannot be read changes nothing. */
  get tls(): MemberTls {
    try {
      const { mtimeMs } = statSync(this.#files.cert);
      if (mtimeMs === this.#changedMs) return this.#tls;
      this.#tls = read(this.#files);
      this.#changedMs = mtimeMs;
    } catch {
      // The one before is good for another third of its life.
    }
    return this.#tls;
  }
}

function read({ cert, tlsKey, authority }: MemberFiles): MemberTls {
  return { cert: readFileSync(cert, "utf8"), key: readFileSync(tlsKey, "utf8"), ca: readFileSync(authority, "utf8") };
}
