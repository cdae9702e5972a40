import type { Keyring } from "../cluster/authority/keyring.ts";
import type { ClusterMap } from "../cluster/map/cluster-map.ts";
import type { MemberKind } from "../cluster/map/members.ts";
import { certificatesSchema, membersAddedSchema } from "../schemas/api-answers.ts";
import { read } from "../schemas/reading.ts";
import type { ApiClient, HostIdentity } from "./api-client.ts";
import type { Authority } from "./authority.ts";
import { Failure } from "./errors.ts";
import type { CellOfLayout, Layout } from "./layout.ts";
import { type MemberFiles, Membership } from "./membership.ts";
import type { StateDirectory } from "./state-directory.ts";
import type { CellConfig } from "./workerd-config.ts";

type Described = { readonly id: string; readonly kind: MemberKind; readonly addresses: readonly string[] };

/** What a cell of a system with an authority is started with, beside what every cell is. */
type CellOfMember = {
  readonly socket: NonNullable<CellConfig["members"]>;
  readonly environment: Readonly<Record<string, string>>;
};

/** The members of this machine: the host itself, its cells and its gateways. */
export class LocalMembers {
  readonly #membership: Membership;
  readonly #gateways: readonly string[];
  #certificate = "";
  #keyring: Keyring | undefined;

  constructor(state: StateDirectory, host: string, { gateways }: Layout) {
    this.#membership = new Membership(state, host);
    this.#gateways = gateways.map(({ id }) => id);
  }

  get identity(): HostIdentity {
    return this.#membership.identity();
  }

  files(id: string): MemberFiles {
    return this.#membership.files(id);
  }

  /** Gives all of them keys and certificates. `secret`: what the first keyring has, for tokens and nonces. */
  certify(authority: Authority, cells: readonly CellOfLayout[], secret: string, now: Date): void {
    this.#certificate = authority.certificate;
    this.#keyring = { version: 1, writer: "", secret, authority: authority.keys };
    this.#membership.certify(this.#all(cells), authority, now);
  }

  /** What the first map has of them. */
  ofMap(cells: readonly CellOfLayout[]): Required<Pick<ClusterMap, "authority" | "members">> {
    const members = this.#all(cells).map((each) => {
      const { id, kind, host, key } = this.#membership.request(each);
      return { id, kind, host, key };
    });
    return { authority: this.#certificate, members };
  }

  cellOf({ id, members }: CellOfLayout): CellOfMember {
    if (members === undefined || this.#keyring === undefined) throw new Error(`cell ${id} has no members' socket`);
    const { host, port } = members;
    const own = `members/${id}`;
    return {
      socket: { host, port, tlsKey: `${own}/tls-key.pem`, certificate: `${own}/cert.pem`, authority: "authority/cert.pem" },
      environment: { TANDEM_MEMBER_KEY: this.#membership.signingKey(id), TANDEM_KEYRING: JSON.stringify(this.#keyring) },
    };
  }

  /** A cell of this machine is to be a member. */
  async add(cell: CellOfLayout, api: ApiClient): Promise<void> {
    const { value } = read(membersAddedSchema, await api.put("/api/members", [this.#membership.request(describe(cell))]));
    if (value === undefined) throw new Failure("the cell's answer names no members: is it of another version?");
    for (const { id, certificate } of value.certificates) this.#membership.keepCertificate(id, certificate);
  }

  /** Gives those another certificate that need one, while the system runs. `api`: what a host may ask. Returns whose they are. */
  async renew(cells: readonly CellOfLayout[], api: Pick<ApiClient, "put">, now: Date): Promise<readonly string[]> {
    const due = this.#membership.due(this.#all(cells), now);
    if (due.length === 0) return [];
    const { value } = read(certificatesSchema, await api.put("/host/certificates", due));
    if (value === undefined) throw new Failure("the cell's answer has no certificates: is it of another version?");
    for (const { id, certificate } of value.certificates) this.#membership.keepCertificate(id, certificate);
    return value.certificates.map(({ id }) => id);
  }

  /** It is none any more, and its key counts nowhere. */
  async remove(id: string, api: ApiClient): Promise<void> {
    await api.delete(`/api/members/${id}`).catch((error: unknown) => {
      if (!(error instanceof Failure)) throw error;
    });
    this.#membership.forget(id);
  }

  #all(cells: readonly CellOfLayout[]): readonly Described[] {
    return [
      { id: this.#membership.host, kind: "host", addresses: cells.flatMap(({ members }) => members?.host ?? []).slice(0, 1) },
      ...cells.map(describe),
      ...this.#gateways.map((id) => ({ id, kind: "gateway" as const, addresses: [] })),
    ];
  }
}

function describe({ id, members }: CellOfLayout): Described {
  return { id, kind: "cell", addresses: members === undefined ? [] : [members.host] };
}
