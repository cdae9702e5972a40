/*
 * Times calls, REGISTERs and MESSAGEs over any transport, in a process of its own: npx node bench/probe-process.ts ORDER.
 * Its sockets have the buffers that the system gives. It says {"ready":true}, and after each line of stdin, a ProbeOrder, the ProbeOutcome.
 * It ends when stdin does.
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { setPriority } from "node:os";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { NodeConnector } from "../kit/connections/node-connector.ts";
import type { Link, LinkHandlers, PhoneTransport, Target } from "../kit/phone/link.ts";
import { type ProbeOrder, Probes } from "./phones/probes.ts";

/** What the process is started with, as JSON. */
export type ProbesOrder = {
  readonly transport: PhoneTransport;
  readonly domain: string;
  /** Where probes connect, in turn. */
  readonly targets: readonly { readonly host: string; readonly port: number }[];
  /** PEM, for TLS. */
  readonly ca?: string;
};

export type ProbesReady = {
  readonly ready: true;
  /** Local ports of its UDP sockets. */
  readonly ports: readonly number[];
};

const connections = 8;
const users = 32;
const floorPerSecond = 50;
const floorOctets = 600;

function say(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/** Where it is allowed, these few messages do not wait until others have been served. */
function raise(): void {
  try {
    setPriority(-20);
  } catch {
    // The floor tells what that costs.
  }
}

/** Datagrams there and back between two sockets of this process. */
async function floorOf(seconds: number): Promise<number[]> {
  const [near, far] = [createSocket("udp4").bind(0, "127.0.0.1"), createSocket("udp4").bind(0, "127.0.0.1")];
  await Promise.all([once(near, "listening"), once(far, "listening")]);
  const samples: number[] = [];
  const sentAt: number[] = [];
  far.on("message", (octets, { port }) => far.send(octets, port, "127.0.0.1"));
  near.on("message", (octets) => {
    const at = sentAt[octets.readUInt32BE(0)];
    if (at !== undefined) samples.push(performance.now() - at);
  });
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    const octets = Buffer.alloc(floorOctets);
    octets.writeUInt32BE(sentAt.length, 0);
    sentAt.push(performance.now());
    near.send(octets, far.address().port, "127.0.0.1");
    await delay((2000 * Math.random()) / floorPerSecond);
  }
  near.close();
  far.close();
  return samples;
}

async function linksOf(order: ProbesOrder, received: LinkHandlers["received"]): Promise<Link[]> {
  const { transport, domain } = order;
  const connector = new NodeConnector({ transport, domain, host: "127.0.0.1", ca: order.ca });
  const open = async (index: number): Promise<Link> =>
    await new Promise((opened, failed) => {
      const target: Target = { name: "system", ...(order.targets[index % order.targets.length] ?? { host: "", port: 0 }) };
      const handlers = { opened, received, pong: () => undefined, closed: (_: Link, cause: string) => failed(new Error(cause)) };
      if (transport === "udp") connector.bind([target], handlers).open();
      else connector.connect(target, handlers);
    });
  const links: Link[] = [];
  for (let index = 0; index < (transport === "udp" ? 1 : connections); index += 1) links.push(await open(index));
  return links;
}

async function main(order: ProbesOrder): Promise<void> {
  raise();
  const callees = Array.from({ length: users }, (_, index) => `probe-callee${index}`);
  const probes = new Probes(order.domain, callees);
  const received = (octets: Uint8Array, link: Link): void => probes.receive(octets, link);
  const [callers, answering] = [await linksOf(order, received), await linksOf(order, received)];
  for (const [index, user] of callees.entries()) {
    const link = answering[index % answering.length];
    if (link !== undefined) await probes.register(user, link);
  }
  const ports = order.transport === "udp" ? [...callers, ...answering].map(({ contactHost }) => Number(contactHost.split(":")[1])) : [];
  say({ ready: true, ports } satisfies ProbesReady);
  for await (const line of createInterface({ input: process.stdin })) {
    const each = JSON.parse(line) as ProbeOrder;
    const [outcome, floor] = await Promise.all([probes.run(callers, each), floorOf(each.seconds)]);
    say({ ...outcome, floor });
  }
  process.exit(0);
}

await main(JSON.parse(process.argv[2] ?? "") as ProbesOrder);
