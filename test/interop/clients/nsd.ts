import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Program } from "../program.ts";

/** Debian's nsd, a name server that has one zone, and nothing else. */
export interface NameServer {
  /** As `dns check --server` takes it. */
  readonly server: string;
  stop(): Promise<void>;
}

/** Loads a zone as it is. Rejects with what nsd says of one that it does not take. */
export async function startNameServer(
  domain: string,
  zone: string,
  { address, port }: { readonly address: string; readonly port: number },
): Promise<NameServer> {
  const folder = mkdtempSync(join(tmpdir(), "tandem-nsd-"));
  writeFileSync(join(folder, "zone"), zone);
  const file = join(folder, "nsd.conf");
  writeFileSync(
    file,
    `server:
  ip-address: ${address}@${port}
  username: ""
  chroot: ""
  database: ""
  zonesdir: "${folder}"
  pidfile: "${join(folder, "nsd.pid")}"
  xfrdfile: ""
  xfrdir: "${folder}"
  zonelistfile: "${join(folder, "zone.list")}"
  server-count: 1
  verbosity: 1
remote-control:
  control-enable: no
zone:
  name: ${domain}
  zonefile: zone
`,
  );
  // Without a daemon's fork: it ends by its signal, and its children with it.
  const program = new Program("nsd", ["-d", "-c", file]);
  const stop = async (): Promise<void> => {
    await program.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await program.line(/zone \S+ read with success/);
    await program.line(/nsd started/);
  } catch (error) {
    await stop();
    throw error;
  }
  return { server: `${address}:${port}`, stop };
}
