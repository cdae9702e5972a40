import { randomInt } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { createServer, type Server } from "node:net";

/** Below the ports that the system gives to outgoing connections: those could be taken again before they are used. */
const portMin = 10_000;
const portMax = 32_000;

/**
 * The first of `count` consecutive ports on 127.0.0.1 that are free for UDP and TCP, as `tandem up` wants them. They are held together
 * and then given back: another process could still take one, which `tandem up` then names.
 */
export async function freePorts(count: number): Promise<number> {
  for (;;) {
    const first = randomInt(portMin, portMax - count);
    const held: Held[] = [];
    try {
      for (let port = first; port < first + count; port += 1) held.push(await hold(port));
      return first;
    } catch {
      // One of them is taken: elsewhere, then.
    } finally {
      for (const { server, socket } of held) {
        server.close();
        socket.close();
      }
    }
  }
}

type Held = { readonly server: Server; readonly socket: Socket };

async function hold(port: number): Promise<Held> {
  const server = createServer();
  const socket = createSocket("udp4");
  try {
    server.listen({ port, host: "127.0.0.1", exclusive: true });
    await once(server, "listening");
    socket.bind({ port, address: "127.0.0.1", exclusive: true });
    await once(socket, "listening");
    return { server, socket };
  } catch (error) {
    server.close();
    socket.close();
    throw error;
  }
}
