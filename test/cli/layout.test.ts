import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { checkPorts, type Layout } from "../../cli/layout.ts";
import { freePorts } from "../../kit/world/free-ports.ts";

const open: (() => void)[] = [];

afterEach(() => {
  for (const close of open.splice(0)) close();
});

async function layoutOfFreePorts(host = "127.0.0.1"): Promise<Layout> {
  const port = await freePorts(4);
  const listeners = (["UDP", "TCP", "TLS", "WS"] as const).map((transport, index) => ({
    transport,
    host,
    port: port + Math.max(0, index - 1),
  }));
  return { cells: [{ id: "a", port: port + 3, url: "" }], gateways: [{ id: "g1", listeners }] };
}

async function listen(port: number): Promise<void> {
  const server = createServer();
  open.push(() => server.close());
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
}

describe("checkPorts", () => {
  it("passes when all are free", async () => {
    await expect(checkPorts(await layoutOfFreePorts(), "127.0.0.1")).resolves.toBeUndefined();
  });

  it("names a UDP port in use and who needs it", async () => {
    const layout = await layoutOfFreePorts();
    const port = layout.gateways[0]?.listeners[0]?.port ?? 0;
    const socket = createSocket("udp4");
    open.push(() => socket.close());
    socket.bind(port, "127.0.0.1");
    await once(socket, "listening");
    await expect(checkPorts(layout, "127.0.0.1")).rejects.toThrow(
      `127.0.0.1:${port} is in use by another process; gateway g1 for UDP needs it (--sip)`,
    );
  });

  it("names a port of a gateway's WebSocket listener", async () => {
    const layout = await layoutOfFreePorts();
    const port = layout.gateways[0]?.listeners[3]?.port ?? 0;
    await listen(port);
    await expect(checkPorts(layout, "127.0.0.1")).rejects.toThrow(
      `127.0.0.1:${port} is in use by another process; gateway g1 for WS needs it (--ws-port)`,
    );
  });

  it("names a TCP port in use and who needs it", async () => {
    const layout = await layoutOfFreePorts();
    const port = layout.cells[0]?.port ?? 0;
    await listen(port);
    await expect(checkPorts(layout, "127.0.0.1")).rejects.toThrow(
      `127.0.0.1:${port} is in use by another process; cell a for HTTP needs it (--http-port)`,
    );
  });

  it("names the option that chooses all ports of a command, where there is but one", async () => {
    const layout = await layoutOfFreePorts();
    const port = layout.cells[0]?.port ?? 0;
    await listen(port);
    await expect(checkPorts(layout, "127.0.0.1", 0, "--port")).rejects.toThrow(
      `127.0.0.1:${port} is in use by another process; cell a for HTTP needs it (--port)`,
    );
  });

  it("waits for a port that is given back in time", async () => {
    const layout = await layoutOfFreePorts();
    await listen(layout.cells[0]?.port ?? 0);
    const checked = checkPorts(layout, "127.0.0.1", 10_000);
    for (const close of open.splice(0)) close();
    await expect(checked).resolves.toBeUndefined();
  });

  it("says when the address is not this machine's", async () => {
    await expect(checkPorts(await layoutOfFreePorts("192.0.2.1"), "127.0.0.1")).rejects.toThrow(
      "192.0.2.1 is not an address of this machine (--sip)",
    );
  });
});
