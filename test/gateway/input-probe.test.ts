import { createSocket } from "node:dgram";
import { afterEach, expect, test } from "vitest";
import { probeMs } from "../../gateway/limits.ts";
import { InputProbe } from "../../gateway/listen/input-probe.ts";
import { udpListener } from "../../gateway/listen/udp-listener.ts";
import { until } from "../../kit/world/until.ts";
import { Started, listenerOf, nativeDatagrams } from "./harness.ts";

const started = new Started();
afterEach(() => started.end());

/** A listener with its probe, and what came that was no letter of that. */
async function rigOf(host: string): Promise<{ probe: InputProbe; others: string[]; letters: () => number; port: number }> {
  const others: string[] = [];
  let letters = 0;
  const probes: InputProbe[] = [];
  const handlers = {
    receive: (_flowKey: string, octets: Uint8Array) => {
      if (probes.some((probe) => probe.read(octets))) letters += 1;
      else others.push(Buffer.from(octets).toString("latin1"));
    },
    failed: () => undefined,
    dropped: () => undefined,
  };
  const listener = udpListener(listenerOf("UDP", host), 0, handlers, nativeDatagrams());
  const port = await listener.start();
  started.add(() => listener.stop());
  const probe = new InputProbe(host, port);
  probes.push(probe);
  started.add(() => probe.stop());
  return { probe, others, letters: () => letters, port };
}

test.each(["127.0.0.1", "0.0.0.0", "::1"])("a letter to ourselves at %s tells how long this process did not read", async (host) => {
  const { probe, letters } = await rigOf(host);
  expect(probe.delayMs).toBe(0);
  probe.busy();
  await until(() => letters() === 1);
  // The process does something else while the next letter is under way.
  probe.busy();
  const standsStill = setInterval(() => {
    const end = performance.now() + 300;
    while (performance.now() < end);
  }, 1);
  started.add(() => clearInterval(standsStill));
  await until(() => {
    probe.busy();
    return probe.delayMs >= 200;
  });
  clearInterval(standsStill);
  await until(() => {
    probe.busy();
    return probe.delayMs < 100;
  });
});

test("a queue of more than a second is known to be as long, though letters are given up before they come", async () => {
  const queue: Uint8Array[] = [];
  const listener = udpListener(
    listenerOf("UDP", "127.0.0.1"),
    0,
    { receive: (_flowKey, octets) => void queue.push(octets.slice()), failed: () => undefined, dropped: () => undefined },
    nativeDatagrams(),
  );
  const probe = new InputProbe("127.0.0.1", await listener.start());
  started.add(() => listener.stop());
  started.add(() => probe.stop());
  probe.busy();
  await until(() => {
    probe.busy();
    return queue.length === 2;
  });
  // The first was given up when the second left, a second later.
  const givenUpMs = probe.delayMs;
  const end = performance.now() + probeMs;
  await until(() => performance.now() > end);
  expect([probe.read(queue[0] ?? Buffer.alloc(0)), probe.delayMs >= givenUpMs + probeMs]).toEqual([true, true]);
  expect([probe.read(queue[1] ?? Buffer.alloc(0)), probe.delayMs < givenUpMs]).toEqual([true, true]);
});

test("nobody else can write one, and none is written while nothing comes", async () => {
  const { probe, others, letters, port } = await rigOf("127.0.0.1");
  const socket = createSocket("udp4");
  started.add(() => socket.close());
  socket.send(Buffer.alloc(25, 0xff), port, "127.0.0.1");
  await until(() => others.length === 1);
  expect([letters(), probe.delayMs]).toEqual([0, 0]);
});
