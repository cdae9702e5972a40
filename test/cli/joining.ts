import { createHash, createPrivateKey, sign } from "node:crypto";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Authority, fingerprintOf } from "../../cli/authority.ts";
import type { DoorTls } from "../../cli/join-door.ts";
import { LocalMembers } from "../../cli/local-members.ts";
import { StateDirectory } from "../../cli/state-directory.ts";
import { makeInvitation } from "../../cluster/authority/invitation.ts";
import { memberCertificate } from "../../cluster/authority/certificate.ts";
import { pemOf } from "../../cli/pem.ts";

const cells = [
  { id: "a", port: 8801, url: "http://127.0.0.1:8801", members: { host: "127.0.0.1", port: 8841, url: "https://127.0.0.1:8841" } },
];

/** A machine with an authority, as its join door shows it, and a token for it. `state`: remove it in the end. */
export type OfferedHost = {
  readonly state: StateDirectory;
  readonly authority: Authority;
  readonly tls: DoorTls;
  /** The certificate of a gateway, which is for no address. */
  readonly gatewayTls: DoorTls;
  readonly fingerprint: string;
  readonly token: string;
};

export function offeredHost(): OfferedHost {
  const state = new StateDirectory(mkdtempSync(join(tmpdir(), "tandem-offered-")));
  const now = new Date();
  const authority = Authority.ensure(state, now);
  const members = new LocalMembers(state, "h1", { gateways: [{ id: "g1", listeners: [] }] });
  members.certify(authority, cells, "a secret", now);
  const fingerprint = fingerprintOf(authority.certificate);
  const invitation = { id: "0123456789abcdef", role: "both", expires: now.getTime() + 3_600_000, fingerprint } as const;
  const { cert, tlsKey } = members.files("g1");
  return {
    state,
    authority,
    tls: members.identity.tls,
    gatewayTls: { cert: textOf(cert), key: textOf(tlsKey), ca: authority.certificate },
    fingerprint,
    // A cell would look at this.
    token: makeInvitation(invitation, () => "0".repeat(64)),
  };
}

/** A certificate that names an authority, which has not signed it; the real one stands behind it. */
export function forgedTls({ authority, state }: OfferedHost): DoorTls {
  const { name, publicKey } = authority.keys;
  const other = new StateDirectory(mkdtempSync(join(state.path, "other-")));
  const forger = createPrivateKey({
    key: Buffer.from(Authority.ensure(other, new Date()).keys.privateKey, "base64"),
    format: "der",
    type: "pkcs8",
  });
  const members = new LocalMembers(other, "h1", { gateways: [] });
  const [request] = members.requests(cells);
  const { der } = memberCertificate(
    { id: "h1", addresses: ["127.0.0.1"], publicKey: Buffer.from(request?.tlsKey ?? "", "base64") },
    { name, publicKey: Buffer.from(publicKey, "base64") },
    { now: Date.now(), serial: Buffer.alloc(16, 7) },
    { sign: (octets) => sign("sha256", octets, forger), sha256: (octets) => createHash("sha256").update(octets).digest() },
  );
  return { cert: pemOf("CERTIFICATE", der), key: textOf(members.files("h1").tlsKey), ca: authority.certificate };
}

function textOf(file: string): string {
  return readFileSync(file, "utf8");
}
