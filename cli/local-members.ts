import type { KeyObject } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import type { Keyring } from "../cluster/authority/keyring.ts";
import type { ClusterMap } from "../cluster/map/cluster-map.ts";
import type { MemberKind } from "../cluster/map/members.ts";
import { certificatesSchema, membersAddedSchema } from "../schemas/api-answers.ts";
import type { JoinAnswer } from "../schemas/join.ts";
import { keyringSchema } from "../schemas/keyring.ts";
import { read } from "../schemas/reading.ts";
import type { ApiClient, HostIdentity } from "./api-client.ts";
import { type Authority, authorityFile } from "./authority.ts";
import { Failure, reasonOf } from "./errors.ts";
import type { CellOfLayout, Layout } from "./layout.ts";
import { type MemberFiles, type MemberRequest, Membership } from "./membership.ts";
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
  readonly #state: StateDirectory;
  readonly #membership: Membership;
  readonly #gateways: readonly string[];
  #certificate = "";
  #keyring: Keyring | undefined;

  constructor(state: StateDirectory, host: string, { gateways }: Pick<Layout, "gateways">) {
    this.#state = state;
    this.#membership = new Membership(state, host);
    this.#gateways = gateways.map(({ id }) => id);
  }

  /** The public signing key of the host, as the map has it. */
  get hostKey(): string {
    return this.#membership.request(this.#host([])).key;
  }

  /** What tokens and nonces are signed with, on a machine with a cell. */
  get secret(): string {
    return this.#keyring?.secret ?? "";
  }

  /** Where a host is a member that has joined: what it was given then is read again. Throws a {@link Failure} when it cannot be. */
  resume(): void {
    const { certificate, keyring } = readJoined(this.#state);
    this.#certificate = certificate;
    this.#keyring = keyring;
  }

  /** The public key of a member that has been made here; undefined: none of that name has. */
  knownKey(id: string): string | undefined {
    return this.#membership.knownKey(id);
  }

  /** How this host proves that it is the one that asks to join. */
  get hostPrivateKey(): KeyObject {
    return this.#membership.privateKey;
  }

  /** What a host asks for that joins: itself, and what is to run on it. */
  requests(cells: readonly CellOfLayout[]): readonly MemberRequest[] {
    return this.#all(cells).map((each) => this.#membership.request(each));
  }

  /** The host alone, which is to have a cell at an address. */
  requestsAt(address: string): readonly MemberRequest[] {
    return [this.#membership.request({ id: this.#membership.host, kind: "host", addresses: [address] })];
  }

  /** Keeps what it was given. */
  keep(authority: string, { certificates, keyring }: Pick<JoinAnswer, "certificates" | "keyring">): void {
    this.#state.makeDirectory("authority");
    this.#state.write("authority/cert.pem", authority);
    for (const { id, certificate } of certificates) this.#membership.keepCertificate(id, certificate);
    if (keyring !== undefined) this.#state.write(keyringFile, `${keyring}\n`, 0o600);
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
    const { value } = read(membersAddedSchema, await api.put("/api/members", { members: [this.#membership.request(describe(cell))] }));
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

  /** It is reached where its cells are: at its join door. */
  #host(cells: readonly CellOfLayout[]): Described {
    return { id: this.#membership.host, kind: "host", addresses: cells.flatMap(({ members }) => members?.host ?? []).slice(0, 1) };
  }

  #all(cells: readonly CellOfLayout[]): readonly Described[] {
    return [this.#host(cells), ...cells.map(describe), ...this.#gateways.map((id) => ({ id, kind: "gateway" as const, addresses: [] }))];
  }
}

function describe({ id, members }: CellOfLayout): Described {
  return { id, kind: "cell", addresses: members === undefined ? [] : [members.host] };
}

/** What only cells have, as a machine with one was given it: its core group knows a newer one perhaps. */
const keyringFile = "keyring.json";

function readJoined(state: StateDirectory): { readonly certificate: string; readonly keyring: Keyring | undefined } {
  try {
    const certificate = readFileSync(authorityFile(state), "utf8");
    const file = state.file(keyringFile);
    const keyring = existsSync(file) ? read(keyringSchema, JSON.parse(readFileSync(file, "utf8"))).value : undefined;
    return { certificate, keyring };
  } catch (error) {
    throw new Failure(`what ${state.path} was given when it joined cannot be read: ${reasonOf(error)}`);
  }
}
