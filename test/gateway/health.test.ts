import { once } from "node:events";
import { get } from "node:http";
import { connect, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { freePorts } from "../../kit/world/free-ports.ts";
import { until } from "../../kit/world/until.ts";
import { type Health, HealthPage } from "../../gateway/listen/health-page.ts";
import { Networks } from "../../gateway/listen/networks.ts";
import { healthConnectionsMax, healthConnectionsPerSourceMax, healthRequestMs, healthSilentMs } from "../../gateway/limits.ts";
import { mapOf } from "./fake-cell.ts";
import { Started, listenerOf, startRig, type Rig } from "./harness.ts";
import { StreamPhone } from "./phones.ts";

const started = new Started();
afterEach(() => started.end());

const ready: Health = { gateway: "g1", reason: undefined, connections: 0 };

async function rig(): Promise<Rig & { readonly health: number }> {
  const health = await freePorts(1);
  const system = await startRig(started, [listenerOf("UDP"), listenerOf("TCP")], {
    config: { health: { host: "127.0.0.1", port: health } },
  });
  return { ...system, health };
}

/** Status and text of the page. */
async function ask(port: number, path = "/", init: RequestInit = {}): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, { ...init, signal: AbortSignal.timeout(2_000) });
  return `${answer.status} ${(await answer.text()).trimEnd()}`;
}

/** The same, by a balancer that has this address. What goes wrong is told as text. */
function askFrom(localAddress: string, port: number, path = "/"): Promise<string> {
  return new Promise((resolve) => {
    const request = get({ host: "127.0.0.1", port, path, localAddress, agent: false, timeout: 2_000 }, (response) => {
      response.setEncoding("utf8").on("data", (text: string) => resolve(`${response.statusCode} ${text.trimEnd()}`));
    });
    request.on("timeout", () => request.destroy(new Error("no answer in time")));
    request.on("error", ({ message }) => resolve(message));
  });
}

/** Connections that say nothing; one that is closed is opened again. Each call of `hold` opens one; `opened` counts all. */
class Holders {
  readonly #port: number;
  readonly #sockets = new Set<Socket>();
  #isOver = false;
  opened = 0;

  constructor(port: number) {
    this.#port = port;
    started.add(() => {
      this.#isOver = true;
      for (const socket of this.#sockets) socket.destroy();
    });
  }

  get held(): number {
    return this.#sockets.size;
  }

  hold(localAddress: string): void {
    if (this.#isOver) return;
    const socket = connect({ port: this.#port, host: "127.0.0.1", localAddress }, () => (this.opened += 1));
    this.#sockets.add(socket.resume());
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#sockets.delete(socket);
      setTimeout(() => this.hold(localAddress), 100);
    });
  }
}

describe("the page for load balancers", () => {
  test("says ready, why not, and ready again, as OPTIONS does", async () => {
    const { cell, health } = await rig();
    expect(await ask(health)).toBe("200 ready");
    const map = mapOf([cell]);
    cell.sendMap({ ...map, version: map.version + 1, drainingGateways: [{ id: "g1" }] });
    await until(async () => (await ask(health)) === "503 draining");
    expect(await ask(health, "/live")).toBe("200 live");
    cell.sendMap({ ...map, version: map.version + 2, drainingGateways: [{ id: "g2" }] });
    await until(async () => (await ask(health)) === "200 ready");
    await cell.stop();
    await until(async () => (await ask(health)) === "503 no cell can be reached");
    await cell.start();
    await until(async () => (await ask(health)) === "200 ready");
  });

  test("speaks JSON to who accepts that", async () => {
    const { cell, health, ports } = await rig();
    const phone = await StreamPhone.tcp(ports[1] ?? 0);
    started.add(() => phone.close());
    const headers = { accept: "application/json" };
    await until(async () => (await ask(health, "/", { headers })) === '200 {"gateway":"g1","state":"ready","connections":1}');
    expect(await ask(health, "/live", { headers })).toBe('200 {"gateway":"g1","state":"live","connections":1}');
    await cell.stop();
    const why = '503 {"gateway":"g1","state":"not ready","connections":1,"reason":"no cell can be reached"}';
    await until(async () => (await ask(health, "/", { headers })) === why);
  });

  test.each([
    ["another path", "/other", {}],
    ["a change", "/", { method: "POST", body: "x" }],
  ])("has nothing else: %s", async (_name, path, init) => {
    const { health } = await rig();
    expect(await ask(health, path, init)).toBe("404 there is nothing here");
  });

  test("is there for balancers while strangers sit on it, and they do not sit for long", async () => {
    const { health } = await rig();
    const silent = await Promise.all(
      Array.from(
        { length: healthConnectionsMax + 20 },
        (_, index) =>
          new Promise<Socket>((resolve, reject) => {
            const socket = connect({ port: health, host: "127.0.0.1" }, () => resolve(socket));
            started.add(() => socket.destroy());
            socket.on("error", reject);
            if (index % 2 === 0) socket.write("GET / HTTP/1.1\r\nHost: x\r\n");
          }),
      ),
    );
    const closed = (): number => silent.filter(({ destroyed }) => destroyed).length;
    for (const socket of silent) socket.resume();
    const begun = performance.now();
    await until(() => closed() === silent.length);
    expect(performance.now() - begun).toBeLessThan(5 * healthRequestMs);
    expect(await ask(health)).toBe("200 ready");
    const long = connect({ port: health, host: "127.0.0.1" });
    started.add(() => long.destroy());
    const phone = new StreamPhone(long);
    phone.send(`GET / HTTP/1.1\r\nX: ${"x".repeat(100_000)}\r\n\r\n`);
    await phone.untilClosed();
    expect(await ask(health)).toBe("200 ready");
  });

  test("closes who expects what it does not know, and answers one request a connection", async () => {
    const { health: port } = await rig();
    for (const text of [
      "GET / HTTP/1.1\r\nHost: x\r\nExpect: banana\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nExpect: banana\r\n\r\n",
    ]) {
      const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true }, () => void socket.write(text));
      started.add(() => socket.destroy());
      let answer = "";
      socket.setEncoding("utf8").on("data", (chunk: string) => void (answer += chunk));
      await once(socket, "end");
      expect(answer).toMatch(/^HTTP\/1\.1 (?:417 Expectation Failed|200 OK)\r\n(?:.+\r\n)*connection: close\r\n/i);
    }
  });

  test.each([
    ["one stranger who comes back, and for who asks at his address", () => "127.0.0.2", "127.0.0.2"],
    ["one stranger who comes back, and for who asks elsewhere", () => "127.0.0.2", "127.0.0.3"],
    ["strangers at as many addresses", (n: number) => `127.0.1.${n + 1}`, "127.0.0.3"],
  ])("answers each question in spite of %s", async (_name, addressOf, balancer) => {
    const { health } = await rig();
    const holders = new Holders(health);
    for (let n = 0; n < healthConnectionsMax + 20; n += 1) holders.hold(addressOf(n));
    const answers: string[] = [];
    await until(async () => {
      answers.push(await askFrom(balancer, health));
      return holders.opened > 4 * healthConnectionsMax;
    });
    expect([...new Set(answers)]).toEqual(["200 ready"]);
  });

  test("closes the one there longest of an address that has its share, then who says nothing, then who is slow", async () => {
    const { health } = await rig();
    const closed: string[] = [];
    const connected = async (name: string): Promise<Socket> => {
      const socket = connect({ port: health, host: "127.0.0.1" });
      started.add(() => socket.destroy());
      socket.resume().on("error", () => {});
      socket.on("close", () => closed.push(name));
      await new Promise((resolve) => socket.once("connect", resolve));
      return socket;
    };
    const slow = [await connected("first"), await connected("slow")];
    for (const socket of slow) socket.write("GET / HTTP/1.1\r\n");
    const timer = setInterval(() => {
      for (const socket of slow) socket.write("A: b\r\n");
    }, healthSilentMs / 10);
    started.add(() => clearInterval(timer));
    const silent = Array.from({ length: healthConnectionsPerSourceMax - 1 }, () => "silent");
    for (const name of silent) await connected(name);
    await until(() => closed.length === healthConnectionsPerSourceMax + 1);
    expect(closed).toEqual(["first", ...silent, "slow"]);
  });
});

describe("/metrics", () => {
  test("is for this machine, and counts what happens", async () => {
    const { health, ports } = await rig();
    const own = await ask(health, "/metrics");
    expect(own).toMatch(/^200 # HELP tandem_gateway_info /);
    expect(own).toMatch(/^tandem_gateway_ready 1$/m);
    expect(own).toMatch(/^process_resident_memory_bytes [1-9]\d+$/m);
    const phone = await StreamPhone.tcp(ports[1] ?? 0);
    started.add(() => phone.close());
    await until(async () => /^tandem_gateway_connections 1$/m.test(await ask(health, "/metrics")));
    expect(await ask(health, "/metrics")).toMatch(/^tandem_gateway_connections_accepted_total 1$/m);
  });

  test("is refused to whom nobody has named, and he hears how that is done", async () => {
    const port = await freePorts(1);
    const readers = new Networks(["203.0.113.0/24"]);
    const page = new HealthPage({ host: "127.0.0.1", port }, () => ready, {
      mayRead: (address) => readers.has(address),
      text: () => "secret 1\n",
    });
    await page.start();
    started.add(() => page.stop());
    expect(await askFrom("127.0.0.2", port, "/metrics")).toBe(
      "403 metrics are not for this address: metricsFrom in the gateway's file, --metrics-from",
    );
    expect(await ask(port, "/metrics")).toBe("200 secret 1");
    readers.become(["127.0.0.2"]);
    expect(await askFrom("127.0.0.2", port, "/metrics")).toBe("200 secret 1");
    expect(await ask(port, "/ready")).toBe("200 ready");
    expect(await ask(port, "/health")).toBe("200 live");
  });

  test.each([
    [[], "203.0.113.9", false],
    [["203.0.113.0/24"], "203.0.113.9", true],
    [["203.0.113.0/24"], "203.0.114.9", false],
    [["203.0.113.9"], "::ffff:203.0.113.9", true],
    [["2001:db8::/64"], "2001:db8::7", true],
    [["2001:db8::/64"], "", false],
  ])("of %j: may %s read them? %s", (networks, address, may) => {
    expect(new Networks(networks).has(address)).toBe(may);
  });
});
