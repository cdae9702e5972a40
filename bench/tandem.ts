import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { addSubscribers } from "../kit/world/subscribers.ts";
import { startTandem as start } from "../kit/world/tandem.ts";
import type { Programs } from "./programs.ts";
import type { System, SystemOptions } from "./system.ts";

const ownCheckout = resolve(import.meta.dirname, "..");

/** Starts two cells and a gateway, as `npm start` does. Counted are both cells and the gateway; their supervisor is a watcher. */
export async function startTandem(programs: Programs, options: SystemOptions = {}): Promise<System> {
  const { auth = "open", cells = 2, checkout = ownCheckout, exchanges, gatewayWebSocket = false, isReplicated = true, users } = options;
  const state = options.state ?? programs.directory();
  const system = await start({
    domain: "bench.test",
    auth,
    cells,
    replication: isReplicated ? "on" : "off",
    webSocket: gatewayWebSocket,
    restart: false,
    state,
    checkout,
    spawn: (command, args) => programs.start(command, args, { stdio: ["ignore", "pipe", "pipe"] }),
    ...(exchanges === undefined ? {} : { exchanges }),
  });
  if (users !== undefined)
    await addSubscribers(
      system,
      users.map((user) => ({ user, password: "bench" })),
    );
  const { domain, pid, run } = system;
  const parts = { cells: run.cells.map((cell) => cell.pid), gateways: run.gateways.map((gateway) => gateway.pid) };
  const portOf = (transport: string): number => {
    const listener = run.gateways[0]?.listeners.find((one) => one.transport === transport);
    if (listener === undefined) throw new Error(`the gateway has no ${transport}`);
    return listener.port;
  };
  return {
    name: checkout !== ownCheckout ? "other" : isReplicated ? "tandem" : "tandem alone",
    domain,
    sip: { host: "127.0.0.1", port: portOf("UDP") },
    tls: { host: "127.0.0.1", port: portOf("TLS"), ca: readFileSync(join(state, "tls", "ca.pem"), "utf8") },
    webSockets: gatewayWebSocket ? [`ws://127.0.0.1:${portOf("WS")}`] : run.cells.map(({ url }) => webSocketOf(url)),
    processes: () => [...parts.cells, ...parts.gateways],
    parts,
    watchers: [pid],
    kill: (webSocket) => {
      const cell = run.cells.find(({ url }) => webSocketOf(url) === webSocket);
      if (cell === undefined) throw new Error(`no cell has ${webSocket}`);
      process.kill(cell.pid, "SIGKILL");
    },
    stop: async () => {
      await system.stop();
      if (options.state === undefined) programs.removeDirectory(state);
    },
  };
}

function webSocketOf(url: string): string {
  return url.replace(/^http/, "ws");
}
