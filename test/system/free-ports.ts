import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { createServer, type AddressInfo, type Server } from "node:net";

/**
 * Ports on 127.0.0.1 that are free for UDP and TCP. They are held together and then given back, so that no two of one call are the same.
 */
export async function freePorts(count: number): Promise<number[]> {
  const held: Held[] = [];
  try {
    while (held.length < count) {
      const one = await hold(0);
      if (one !== undefined) held.push(one);
    }
    return held.map(({ port }) => port);
  } finally {
    for (const { close } of held) close();
  }
}

/** The first of `count` consecutive free ports. */
export async function freeRange(count: number): Promise<number> {
  for (;;) {
    const held: Held[] = [];
    try {
      const first = await hold(0);
      if (first === undefined) continue;
      held.push(first);
      for (let at = 1; at < count; at += 1) {
        const next = await hold(first.port + at);
        if (next === undefined) break;
        held.push(next);
      }
      if (held.length === count) return first.port;
    } finally {
      for (const { close } of held) close();
    }
  }
}

type Held = { readonly port: number; readonly close: () => void };

/** Binds a port (0: any) for TCP and UDP; undefined when one of them is taken. */
async function hold(wanted: number): Promise<Held | undefined> {
  if (wanted > 65_535) return undefined;
  const server = createServer();
  const socket = createSocket("udp4");
  try {
    const port = await listening(server, wanted);
    await bound(socket, port);
    return { port, close: () => void (server.close(), socket.close()) };
  } catch {
    server.close();
    socket.close();
    return undefined;
  }
}

async function listening(server: Server, port: number): Promise<number> {
  server.listen({ port, host: "127.0.0.1", exclusive: true });
  await once(server, "listening");
  const address = server.address();
  return isAddress(address) ? address.port : 0;
}

async function bound(socket: Socket, port: number): Promise<void> {
  socket.bind({ port, address: "127.0.0.1", exclusive: true });
  await once(socket, "listening");
}

function isAddress(address: AddressInfo | string | null): address is AddressInfo {
  return typeof address === "object" && address !== null;
}
