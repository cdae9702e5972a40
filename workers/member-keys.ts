import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import type { ClusterMap } from "../cluster/map/cluster-map.ts";
import { mayUse, memberOf } from "../cluster/map/members.ts";
import { base64Of, octetsOfBase64, pemOf } from "./base64.ts";

/** What a cell signs with: the secret of the system, or its own key. */
export type SigningKey = string | MemberKey;

/** What a cell checks with: the secret of the system, or the keys of its members. */
export type CheckingKeys = string | KeyOf;

/** A member's private key, ready to be used. */
export type MemberKey = { readonly privateKey: KeyObject };

/** The key that counts for a name, and whether that member may ask for this; undefined: nobody has the name. */
export type KeyOf = (who: string, purpose: string) => { readonly key: KeyObject; readonly mayUse: boolean } | undefined;

const encoder = new TextEncoder();

/** The private key of a text: PKCS #8 in base64, as it stands between the lines of a PEM file. */
export function memberKeyOf(text: string): MemberKey {
  return { privateKey: createPrivateKey(pemOf("PRIVATE KEY", text)) };
}

/** An Ed25519 signature in base64url: 86 characters. */
export function signWith({ privateKey }: MemberKey, text: string): string {
  const base64 = base64Of(sign(null, encoder.encode(text), privateKey));
  return base64.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

export function isSignedBy(key: KeyObject, text: string, signature: string): boolean {
  const octets = octetsOfBase64(signature.replaceAll("-", "+").replaceAll("_", "/"));
  return octets !== undefined && verify(null, encoder.encode(text), key, octets);
}

/** What a cell signs with and checks with, by the map. Keys are read once: to read one costs as much as to check a signature. */
export class CellKeys {
  readonly #secret: string;
  readonly #ownText: string | undefined;
  #own: MemberKey | undefined;
  #map: ClusterMap | undefined;
  #read = new Map<string, KeyObject>();

  constructor(secret: string, ownText: string | undefined) {
    this.#secret = secret;
    this.#ownText = ownText;
  }

  /** The secret of the system, or this cell's own key where there is an authority. Throws when it was given none. */
  signing(map: ClusterMap): SigningKey {
    if (map.authority === undefined) return this.#secret;
    if (this.#ownText === undefined) throw new TypeError("TANDEM_MEMBER_KEY is missing: this system has an authority");
    this.#own ??= memberKeyOf(this.#ownText);
    return this.#own;
  }

  /** The secret of the system, or the keys of its members where there is an authority. */
  checking(map: ClusterMap): CheckingKeys {
    if (map.authority === undefined) return this.#secret;
    if (map !== this.#map) this.#forgetAllBut(map);
    return (who, purpose) => {
      const member = memberOf(map, who);
      return member === undefined ? undefined : { key: this.#keyOf(member.key), mayUse: mayUse(map, member, purpose) };
    };
  }

  #forgetAllBut(map: ClusterMap): void {
    const texts = new Set(map.members?.map(({ key }) => key));
    this.#read = new Map([...this.#read].filter(([text]) => texts.has(text)));
    this.#map = map;
  }

  #keyOf(text: string): KeyObject {
    let key = this.#read.get(text);
    if (key === undefined) this.#read.set(text, (key = publicKeyOf(text)));
    return key;
  }
}

/** The key of a member as the map has it. */
function publicKeyOf(text: string): KeyObject {
  return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: text }, format: "jwk" });
}
