import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";

/** The first of `count` consecutive ports of 127.0.0.1 that are free for UDP and TCP at this moment. */
export async function freePorts(count: number): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    // Below the range from which connections get their ports.
    const first = 12_000 + Math.floor(Math.random() * 18_000);
    const ports = Array.from({ length: count }, (_, index) => first + index);
    const free = await Promise.all(ports.map(async (port) => (await isFreeTcp(port)) && (await isFreeUdp(port))));
    if (free.every(Boolean)) return first;
  }
  throw new Error(`no ${count} consecutive free ports on 127.0.0.1`);
}

async function isFreeTcp(port: number): Promise<boolean> {
  const server = createServer();
  const failed = once(server, "error").then(() => false);
  server.listen(port, "127.0.0.1");
  const free = await Promise.race([
    once(server, "listening").then(
      () => true,
      () => false,
    ),
    failed,
  ]);
  if (free) await new Promise((closed) => server.close(closed));
  return free;
}

async function isFreeUdp(port: number): Promise<boolean> {
  const socket = createSocket("udp4");
  const failed = once(socket, "error").then(() => false);
  socket.bind(port, "127.0.0.1");
  const free = await Promise.race([
    once(socket, "listening").then(
      () => true,
      () => false,
    ),
    failed,
  ]);
  await new Promise<void>((closed) => socket.close(() => closed()));
  return free;
}
