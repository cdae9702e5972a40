import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { transformSync } from "esbuild";
import { freePorts } from "../../kit/world/free-ports.ts";
import { comesTrue } from "../../kit/world/until.ts";
import type { Programs } from "../programs.ts";
import type { System } from "../system.ts";

const sources = import.meta.dirname;
const startMsMax = 10_000;

/**
 * A gateway and one object that only adds Via and Record-Route: what Tandem's way through Node, a WebSocket, a Durable Object and back costs with no
 * work in it. Its ratio to the real thing is the price of transactions, registrations, dialogs, replicas and signatures.
 */
export async function startNullProxy(programs: Programs): Promise<System> {
  const port = await freePorts(2);
  const directory = programs.directory();
  writeFileSync(join(directory, "worker.js"), transformSync(readFileSync(join(sources, "worker.ts"), "utf8"), { loader: "ts" }).code);
  writeFileSync(join(directory, "config.capnp"), configText(port + 1));
  const workerd = createRequire(import.meta.url)("workerd") as { readonly default: string };
  const cell = await programs.start(workerd.default, ["serve", join(directory, "config.capnp"), "config"]);
  await untilServing(`http://127.0.0.1:${port + 1}/`);
  const gateway = await programs.start(process.execPath, [join(sources, "gateway.ts"), String(port), `ws://127.0.0.1:${port + 1}/`], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const { stdout } = gateway;
  if (stdout === null) throw new Error("unreachable: it is a pipe");
  await new Promise<void>((ready, failed) => {
    createInterface({ input: stdout }).once("line", () => ready());
    gateway.once("close", (code) => failed(new Error(`the null proxy's gateway ended with ${code}`)));
  });
  return {
    name: "null",
    domain: "bench.test",
    sip: { host: "127.0.0.1", port },
    webSockets: [],
    processes: () => [cell, gateway].flatMap(({ pid }) => pid ?? []),
    watchers: [],
    kill: () => {
      throw new Error("the null proxy has no WebSockets");
    },
    stop: async () => {
      await Promise.all([cell, gateway].map(async (child) => await programs.stop(child, 500)));
      programs.removeDirectory(directory);
    },
  };
}

async function untilServing(url: string): Promise<void> {
  const isServing = async (): Promise<boolean> =>
    await fetch(url).then(
      ({ ok }) => ok,
      () => false,
    );
  if (!(await comesTrue(isServing, startMsMax))) throw new Error(`the null proxy does not answer at ${url}`);
}

function configText(port: number): string {
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "cell", worker = .cell)],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "cell")],
);
const cell :Workerd.Worker = (
  compatibilityDate = "2026-11-01",
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  bindings = [(name = "PROXY", durableObjectNamespace = "Proxy")],
  durableObjectNamespaces = [(className = "Proxy", uniqueKey = "null-proxy")],
  durableObjectStorage = (inMemory = void),
);
`;
}
