import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { Relay } from "../../../kit/world/relay.ts";

const closing: (() => void)[] = [];

afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** A server that repeats what it hears, behind a relay. */
async function behindRelay(): Promise<{ relay: Relay; port: number; server: Server }> {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const relay = new Relay({ host: "127.0.0.1", port: typeof address === "object" && address !== null ? address.port : 0 });
  const port = await relay.listen("127.0.0.1", 0);
  closing.push(
    () => server.close(),
    () => void relay.close(),
  );
  return { relay, port, server };
}

async function client(port: number): Promise<{ socket: Socket; heard: () => string }> {
  const socket = connect({ host: "127.0.0.1", port });
  let heard = "";
  socket.setEncoding("utf8").on("data", (text: string) => void (heard += text));
  socket.on("error", () => undefined);
  closing.push(() => socket.destroy());
  await once(socket, "connect");
  return { socket, heard: () => heard };
}

describe("Relay", () => {
  it("passes what is sent, and the end of a connection", async () => {
    const { port } = await behindRelay();
    const { socket, heard } = await client(port);
    socket.write("one");
    await expect.poll(heard).toBe("one");
    socket.end();
    await once(socket, "close");
  });

  it("holds everything while it is cut, new connections too, and passes it when it is healed", async () => {
    const { relay, port } = await behindRelay();
    const before = await client(port);
    before.socket.write("one");
    await expect.poll(before.heard).toBe("one");
    relay.cut();
    const meanwhile = await client(port);
    before.socket.write("two");
    meanwhile.socket.write("three");
    // Another relay's round trip, so that this one has had its time.
    const other = await client((await behindRelay()).port);
    other.socket.write("x");
    await expect.poll(other.heard).toBe("x");
    expect([before.heard(), meanwhile.heard()]).toEqual(["one", ""]);
    relay.heal();
    await expect.poll(before.heard).toBe("onetwo");
    await expect.poll(meanwhile.heard).toBe("three");
  });

  it("tells nobody of an end while it is cut, and everybody afterwards", async () => {
    const { relay, port, server } = await behindRelay();
    const { socket, heard } = await client(port);
    socket.write("one");
    await expect.poll(heard).toBe("one");
    relay.cut();
    socket.destroy();
    const connections = async (): Promise<number> => await new Promise((count) => server.getConnections((_, number) => count(number)));
    expect(await connections()).toBe(1);
    relay.heal();
    await expect.poll(connections).toBe(0);
  });
});
