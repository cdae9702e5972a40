import { randomInt } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { createServer, type Server } from "node:net";

const host = "127.0.0.1";
/** Below the ports that the system gives to outgoing connections: those could be taken again before they are used. */
const portMin = 10_000;
const portMax = 32_000;
/** With half of all ports in use a run of eight would be found within it. */
const attemptsMax = 1_000;

/** The first of `count` consecutive ports of 127.0.0.1 that are free for UDP and TCP. They are held together and then given back. */
export async function freePorts(count: number): Promise<number> {
  for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
    const first = randomInt(portMin, portMax - count);
    const held: Held[] = [];
    try {
      for (let port = first; port < first + count; port += 1) held.push(await hold(port));
      return first;
    } catch {
      // One of them is taken: elsewhere, then.
    } finally {
      await Promise.all(held.map(giveBack));
    }
  }
  throw new Error(`no ${count} consecutive free ports on ${host}`);
}

type Held = { readonly server: Server; readonly socket: Socket };

async function hold(port: number): Promise<Held> {
  const server = createServer();
  const socket = createSocket("udp4");
  try {
    server.listen({ port, host, exclusive: true });
    await once(server, "listening");
    socket.bind({ port, address: host, exclusive: true });
    await once(socket, "listening");
    return { server, socket };
  } catch (error) {
    server.close();
    socket.close();
    throw error;
  }
}

async function giveBack({ server, socket }: Held): Promise<void> {
  server.close();
  socket.close();
  await Promise.all([once(server, "close"), once(socket, "close")]);
}
