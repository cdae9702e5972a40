import { readFileSync } from "node:fs";

/** Datagrams that the kernel threw away since a socket was opened, by local port (the last column of /proc/net/udp, proc_net(5)). */
export function parseDrops(text: string): Map<number, number> {
  const drops = new Map<number, number>();
  for (const line of text.split("\n").slice(1)) {
    const fields = line.trim().split(/\s+/);
    const port = Number.parseInt(fields[1]?.split(":").at(-1) ?? "", 16);
    const count = Number(fields.at(-1));
    // Several sockets can share a port: workers of one server.
    if (!Number.isNaN(port) && Number.isInteger(count)) drops.set(port, (drops.get(port) ?? 0) + count);
  }
  return drops;
}

const sampleMs = 200;

/**
 * Counts what is dropped at the sockets of some ports. It looks often, because a socket takes its count with it: what is dropped in the last moment
 * before one is closed is missed.
 */
export class DropWatch {
  readonly #before: ReadonlyMap<number, number>;
  readonly #latest = new Map<number, number>();
  readonly #ports: ReadonlySet<number>;
  readonly #timer: NodeJS.Timeout;

  constructor(ports: readonly number[]) {
    this.#ports = new Set(ports);
    this.#before = readDrops();
    this.#timer = setInterval(() => this.#sample(), sampleMs).unref();
  }

  /** How many since it was made; it looks no more. */
  end(): number {
    clearInterval(this.#timer);
    this.#sample();
    return [...this.#latest].reduce((sum, [port, count]) => sum + count - (this.#before.get(port) ?? 0), 0);
  }

  #sample(): void {
    for (const [port, count] of readDrops()) {
      if (this.#ports.has(port)) this.#latest.set(port, Math.max(count, this.#latest.get(port) ?? 0));
    }
  }
}

function readDrops(): Map<number, number> {
  return parseDrops(readFileSync("/proc/net/udp", "utf8"));
}
