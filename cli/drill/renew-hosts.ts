import { X509Certificate } from "node:crypto";
import { readFileSync, rmSync } from "node:fs";
import { connect } from "node:tls";
import { memberCertificateDays } from "../../cluster/authority/limits.ts";
import { Authority } from "../authority.ts";
import { Failure } from "../errors.ts";
import { Membership } from "../membership.ts";
import { restMs, rolledMsMax } from "./group-fault.ts";
import { type GroupWatch, isWholeWithout } from "./group-watch.ts";
import type { HostScene } from "./host-fault.ts";

type System = HostScene["system"];

const dayMs = 86_400_000;
/** Of its life a certificate has so many days left, which are less than a third. */
const daysLeft = 5;

/**
 * The certificates of all members become old, and those that gateways show are gone. Then `tandem reload` on one host after the other. Resolves to when each member
 * and each gateway had another one, cells ran with theirs, and every exchange was in two cells.
 */
export async function renewHosts(watch: GroupWatch, { system, say }: HostScene): Promise<number | undefined> {
  const before = await shownBy(system);
  const cells = cellsOf(system);
  growOld(system);
  const typed = async (): Promise<void> => {
    for (const host of system.hosts) {
      await system.command(host, "reload");
      say(`${host} has other certificates`);
    }
  };
  const [ms] = await Promise.all([
    watch.until((status) => isWholeWithout(status, []) && !cellsOf(system).some((pid) => cells.includes(pid)), rolledMsMax, restMs),
    typed(),
  ]);
  const old = system.hosts.flatMap((host) => membersOf(system, host).filter(({ id }) => isOld(system, host, id)));
  if (old.length > 0) throw new Failure(`these members have no other certificates: ${old.map(({ id }) => id).join(", ")}`);
  const after = await shownBy(system);
  if (after.some((fingerprint) => before.includes(fingerprint))) throw new Failure("a gateway shows the certificate of before");
  return ms;
}

function cellsOf(system: System): readonly number[] {
  return system.hosts.flatMap((host) => system.runOf(host).cells.map(({ pid }) => pid));
}

function membersOf(system: System, host: string): readonly { readonly id: string; readonly kind: "cell" | "gateway" | "host" }[] {
  const { cells, gateways } = system.runOf(host);
  return [
    { id: host, kind: "host" },
    ...cells.map(({ id }) => ({ id, kind: "cell" as const })),
    ...gateways.map(({ id }) => ({ id, kind: "gateway" as const })),
  ];
}

/** As it is after two thirds of their life, and some days. The first host has the key of the authority. */
function growOld(system: System): void {
  const now = Date.now();
  const authority = Authority.ensure(system.stateOf(system.hosts[0] ?? ""), new Date(now));
  const then = new Date(now - (memberCertificateDays - daysLeft) * dayMs);
  for (const host of system.hosts) {
    const state = system.stateOf(host);
    const membership = new Membership(state, host);
    for (const { id, kind } of membersOf(system, host)) {
      const addresses = kind === "gateway" ? [] : [system.addressOf(host)];
      const { tlsKey } = membership.request({ id, kind, addresses });
      membership.keepCertificate(id, authority.issue({ id, addresses, publicKey: Buffer.from(tlsKey, "base64") }, then));
    }
    rmSync(state.file("tls", "cert.pem"), { force: true });
  }
}

function isOld(system: System, host: string, id: string): boolean {
  const { cert } = new Membership(system.stateOf(host), host).files(id);
  return Date.now() - new X509Certificate(readFileSync(cert)).validFromDate.getTime() > 2 * dayMs;
}

/** Fingerprints of the certificates that gateways show. */
async function shownBy(system: System): Promise<readonly string[]> {
  return await Promise.all(
    system.targets("tls").map(
      ({ host, port }) =>
        new Promise<string>((shown, failed) => {
          const socket = connect({ host, port, ca: system.ca, servername: system.domain }, () => {
            const { fingerprint256 } = socket.getPeerCertificate();
            socket.destroy();
            shown(fingerprint256);
          });
          socket.once("error", failed);
        }),
    ),
  );
}
