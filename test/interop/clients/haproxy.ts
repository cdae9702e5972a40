import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../../../kit/world/free-ports.ts";
import { Program } from "../program.ts";

/** One port of the balancer, and where it goes. `header`: as HAProxy's `server` lines have it. */
export interface Route {
  readonly to: { readonly host: string; readonly port: number };
  readonly header: "send-proxy" | "send-proxy-v2" | "send-proxy-v2-ssl-cn";
}

/** HAProxy with a listener for each route. */
export interface Balancer {
  /** Ports, in the order of the routes. */
  readonly ports: readonly number[];
  /** What it has said of servers whose health check failed. */
  readonly lost: readonly string[];
  stop(): Promise<void>;
}

/** Starts it. It connects from `source`, and looks at each server five times a second, as it does for phones: with a header. */
export async function startBalancer(source: string, routes: readonly Route[]): Promise<Balancer> {
  const folder = mkdtempSync(join(tmpdir(), "tandem-haproxy-"));
  const first = await freePorts(routes.length);
  const listens = routes.map(
    ({ to, header }, index) => `
listen route${index}
  bind 127.0.0.1:${first + index}
  source ${source}
  server gateway ${to.host}:${to.port} ${header} check check-send-proxy inter 200`,
  );
  const file = join(folder, "haproxy.cfg");
  const text = `
defaults
  mode tcp
  log stdout format raw local0
  timeout connect 5s
  timeout client 1h
  timeout server 1h
${listens.join("\n")}
`;
  writeFileSync(file, text);
  // In the foreground and without a master: one process, which ends by its signal.
  const program = new Program("haproxy", ["-db", "-f", file]);
  return {
    get lost(): readonly string[] {
      return program.lines.events.filter((line) => line.includes(" is DOWN"));
    },
    ports: routes.map((_, index) => first + index),
    stop: async () => {
      await program.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
