import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";

/** `count` neighbouring ports of 127.0.0.1 that are free for UDP and TCP at this moment; returns the first. */
export async function freePorts(count = 1): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const first = await freeTcpPort();
    if (first + count > 65_536) continue;
    const offsets = Array.from({ length: count }, (_, offset) => offset);
    const free = await Promise.all(offsets.map(async (offset) => await isFree(first + offset)));
    if (free.every(Boolean)) return first;
  }
  throw new Error(`no ${count} neighbouring free ports on 127.0.0.1`);
}

async function freeTcpPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

async function isFree(port: number): Promise<boolean> {
  return (await tcpIsFree(port)) && (await udpIsFree(port));
}

async function tcpIsFree(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

async function udpIsFree(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = createSocket("udp4");
    socket.once("error", () => {
      socket.close();
      resolve(false);
    });
    socket.bind(port, "127.0.0.1", () => socket.close(() => resolve(true)));
  });
}
