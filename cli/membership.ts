import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, X509Certificate } from "node:crypto";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { isRenewalDue } from "../cluster/authority/certificate.ts";
import type { Member, MemberKind } from "../cluster/map/members.ts";
import type { HostIdentity } from "./api-client.ts";
import { type Authority, authorityFile } from "./authority.ts";
import { Failure, reasonOf } from "./errors.ts";
import type { StateDirectory } from "./state-directory.ts";

/** Files of a member, absolute: its signing key, the key of its certificate, that, and the authority's. PEM. */
export type MemberFiles = { readonly key: string; readonly tlsKey: string; readonly cert: string; readonly authority: string };

/** Who is to be a member, as `PUT /api/members` and `PUT /host/certificates` take it. */
export type MemberRequest = Member & { readonly tlsKey: string; readonly addresses: readonly string[] };

/** Reached at an address, or by nobody. */
type Addressed = { readonly id: string; readonly kind: MemberKind; readonly addresses: readonly string[] };

/**
 * What this machine is in a system with an authority: a host, and what runs on it. Keys are drawn here, and stay in DIR/members
 * (docs/decisions/0046-members-have-keys.md).
 */
export class Membership {
  /** The name of the host. */
  readonly host: string;
  readonly #state: StateDirectory;

  constructor(state: StateDirectory, host: string) {
    this.#state = state;
    this.host = host;
  }

  files(id: string): MemberFiles {
    const at = (name: string): string => this.#state.file("members", id, name);
    return { key: at("key.pem"), tlsKey: at("tls-key.pem"), cert: at("cert.pem"), authority: authorityFile(this.#state) };
  }

  /** A member with its keys, which are made when it has none. */
  request({ id, kind, addresses }: Addressed): MemberRequest {
    const { key, tlsKey } = this.#keys(id);
    const { x = "" } = createPublicKey(key).export({ format: "jwk" });
    return { id, kind, host: this.host, key: x, tlsKey: spkiOf(tlsKey), addresses };
  }

  /** The signing key of the host. */
  get privateKey(): KeyObject {
    return this.#keys(this.host).key;
  }

  /** The public signing key of a member that has been made here; undefined: none of that name has. */
  knownKey(id: string): string | undefined {
    if (!existsSync(this.files(id).key)) return undefined;
    const { x } = createPublicKey(this.#keys(id).key).export({ format: "jwk" });
    return x;
  }

  /** The signing key as cells take it from their environment: PKCS #8 in base64. */
  signingKey(id: string): string {
    return this.#keys(id).key.export({ type: "pkcs8", format: "der" }).toString("base64");
  }

  /** How this machine asks cells; `id`: how a member of it does. Throws a {@link Failure} when it is no member. */
  identity(id: string = this.host): HostIdentity {
    return identityOf(this.files(id), id);
  }

  keepCertificate(id: string, certificate: string): void {
    this.#state.write(`members/${id}/cert.pem`, certificate);
  }

  /** Of those, which need another certificate: they have none for these keys and addresses, or two thirds of its life are over. */
  due(members: readonly Addressed[], now: Date): readonly MemberRequest[] {
    return members.map((member) => this.request(member)).filter((request) => !this.#isCertified(request, now));
  }

  /** Gives those that need one another certificate, by the authority of this machine. */
  certify(members: readonly Addressed[], authority: Authority, now: Date): void {
    for (const { id, addresses, tlsKey } of this.due(members, now)) {
      this.keepCertificate(id, authority.issue({ id, addresses, publicKey: Buffer.from(tlsKey, "base64") }, now));
    }
  }

  /** Of a member that is none any more nothing is kept. */
  forget(id: string): void {
    rmSync(this.#state.file("members", id), { recursive: true, force: true });
  }

  #keys(id: string): { readonly key: KeyObject; readonly tlsKey: KeyObject } {
    const files = this.files(id);
    this.#state.makeDirectory("members", id);
    const makeKey = (name: string, make: () => KeyObject): void => {
      if (!existsSync(this.#state.file("members", id, name)))
        this.#state.write(`members/${id}/${name}`, make().export({ type: "pkcs8", format: "pem" }).toString(), 0o600);
    };
    makeKey("key.pem", () => generateKeyPairSync("ed25519").privateKey);
    makeKey("tls-key.pem", () => generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey);
    try {
      return { key: createPrivateKey(readFileSync(files.key)), tlsKey: createPrivateKey(readFileSync(files.tlsKey)) };
    } catch (error) {
      throw new Failure(`the keys of ${id} in ${this.#state.file("members", id)} cannot be read: ${reasonOf(error)}`);
    }
  }

  #isCertified({ id, tlsKey, addresses }: MemberRequest, now: Date): boolean {
    const { cert, authority } = this.files(id);
    try {
      const certificate = new X509Certificate(readFileSync(cert));
      const issuer = new X509Certificate(readFileSync(authority));
      return (
        certificate.verify(issuer.publicKey) &&
        certificate.publicKey.export({ type: "spki", format: "der" }).toString("base64") === tlsKey &&
        addresses.every((address) => (certificate.checkIP(address) ?? certificate.checkHost(address)) !== undefined) &&
        !isRenewalDue(certificate.validFromDate.getTime(), certificate.validToDate.getTime(), now.getTime())
      );
    } catch {
      return false;
    }
  }
}

function identityOf(files: MemberFiles, id: string): HostIdentity {
  try {
    const tls = { cert: textOf(files.cert), key: textOf(files.tlsKey), ca: textOf(files.authority) };
    return { id, key: createPrivateKey(textOf(files.key)), tls };
  } catch (error) {
    throw new Failure(`the key or certificate of ${id} cannot be read: ${reasonOf(error)}`);
  }
}

function textOf(file: string): string {
  return readFileSync(file, "utf8");
}

function spkiOf(privateKey: KeyObject): string {
  return createPublicKey(privateKey).export({ type: "spki", format: "der" }).toString("base64");
}
