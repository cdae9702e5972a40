import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ensureCertificate } from "../cli/certificate.ts";
import { StateDirectory } from "../cli/state-directory.ts";
import { freePorts } from "../kit/world/free-ports.ts";
import { processTree } from "./process-usage.ts";
import { type Programs, hasEnded } from "./programs.ts";
import { SipClient } from "./sip-client.ts";
import type { Endpoint, System, SystemOptions } from "./system.ts";

export const kamailioProgram = "/usr/sbin/kamailio";
const configuration = join(import.meta.dirname, "kamailio", "kamailio.cfg");
const receiveBufferOctets = 4_194_304;
const domain = "bench.test";

/** One Kamailio with two UDP and two TCP workers. Counted are all its processes. */
export async function startKamailio(programs: Programs, options: SystemOptions = {}): Promise<System> {
  const port = await freePorts(2);
  const tls = options.tls === true ? await tlsOf(programs, port + 1) : undefined;
  const sip = { host: "127.0.0.1", port };
  const instance = await startInstance(programs, sip, [...variantsOf(options), ...(tls?.variant ?? [])]);
  return { ...systemOf("kamailio", programs, sip, [{ port, child: instance }]), tls: tls?.endpoint };
}

/** Two Kamailios, each a replica of the other's registrations and dialogs by DMQ; phones speak to the first. Both are counted. */
export async function startKamailioPair(programs: Programs, options: SystemOptions = {}): Promise<System> {
  const port = await freePorts(4);
  const variants = (own: number, peer: number): string[] => {
    const [address, socket, other] = [
      `DMQ_ADDRESS="sip:127.0.0.1:${own}"`,
      `DMQ_SOCKET="udp:127.0.0.1:${own}"`,
      `DMQ_PEER="sip:127.0.0.1:${peer}"`,
    ];
    return [...variantsOf(options), "-A", "WITH_DMQ", "-A", address, "-A", socket, "-A", other, "-l", `udp:127.0.0.1:${own}`];
  };
  const first = await startInstance(programs, { host: "127.0.0.1", port }, variants(port + 2, port + 3));
  const second = await startInstance(programs, { host: "127.0.0.1", port: port + 1 }, variants(port + 3, port + 2));
  const instances = [
    { port, child: first },
    { port: port + 1, child: second },
  ];
  return systemOf("kamailio+dmq", programs, { host: "127.0.0.1", port }, instances);
}

function variantsOf(options: SystemOptions): string[] {
  return [...(options.auth === "digest" ? ["-A", "WITH_DIGEST"] : []), ...(options.webSocket === true ? ["-A", "WITH_WEBSOCKET"] : [])];
}

type Tls = { readonly endpoint: Endpoint & { readonly ca: string }; readonly variant: readonly string[] };

/** A certificate made as Tandem makes its own: the same kind of key for both. */
async function tlsOf(programs: Programs, port: number): Promise<Tls> {
  const state = new StateDirectory(programs.directory());
  const { ca, certificate, key } = await ensureCertificate(state, domain, ["127.0.0.1"], new Date());
  const files = ["-A", `TLS_CERTIFICATE="${certificate}"`, "-A", `TLS_KEY="${key}"`];
  return {
    endpoint: { host: "127.0.0.1", port, ca: readFileSync(ca, "utf8") },
    variant: ["-A", "WITH_TLS", ...files, "-l", `tls:127.0.0.1:${port}`],
  };
}

async function startInstance(programs: Programs, sip: Endpoint, variants: readonly string[]): Promise<ChildProcess> {
  const listen = ["-l", `udp:${sip.host}:${sip.port}`, "-l", `tcp:${sip.host}:${sip.port}`];
  // Shared memory in MiB for 100 000 registrations or 10 000 dialogs with room: pages that are not used cost nothing. The receive buffer is
  // as large as Tandem's gateway asks for, not Kamailio's 256 KiB.
  const size = ["-n", "2", "-N", "2", "-m", "2048", "-M", "32", "-b", String(receiveBufferOctets)];
  const directory = programs.directory();
  const args = ["-DD", "-E", "-f", configuration, "-Y", directory, "-P", join(directory, "pid"), ...size, ...listen, ...variants];
  const child = await programs.start(kamailioProgram, args, { stdio: ["ignore", "ignore", "pipe"] });
  const said: string[] = [];
  if (child.stderr !== null) {
    createInterface({ input: child.stderr }).on("line", (line) => {
      said.push(line);
      if (said.length > 20) said.shift();
    });
  }
  const client = await SipClient.open(sip);
  try {
    await Promise.race([
      client.options(domain),
      new Promise<never>((_, failed) => {
        child.once("close", (code) => failed(new Error(`kamailio ended with ${code}: ${said.join("\n")}`)));
      }),
    ]);
  } finally {
    await client.close();
  }
  return child;
}

type Instance = { readonly port: number; readonly child: ChildProcess };

function systemOf(name: System["name"], programs: Programs, sip: Endpoint, instances: readonly Instance[]): System {
  const living = (): number[] => instances.filter(({ child }) => !hasEnded(child)).flatMap(({ child }) => child.pid ?? []);
  return {
    name,
    domain,
    sip,
    webSockets: instances.map(({ port }) => webSocketOf(sip.host, port)),
    processes: () => living().flatMap((pid) => processTree(pid)),
    watchers: [],
    kill: (webSocket) => {
      const pid = instances.find(({ port }) => webSocketOf(sip.host, port) === webSocket)?.child.pid;
      if (pid === undefined) throw new Error(`no Kamailio has ${webSocket}`);
      for (const each of processTree(pid)) process.kill(each, "SIGKILL");
    },
    stop: async () => {
      await Promise.all(instances.map(async ({ child }) => await programs.stop(child)));
    },
  };
}

function webSocketOf(host: string, port: number): string {
  return `ws://${host}:${port}`;
}
