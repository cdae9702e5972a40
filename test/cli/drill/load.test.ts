import { afterEach, describe, expect, it } from "vitest";
import { Load, type LoadReport, orderFor } from "../../../cli/drill/load.ts";
import type { Amounts } from "../../../cli/drill/plan.ts";
import type { PhoneTransport } from "../../../kit/phone/link.ts";
import { Registrations, TinyPeer } from "./tiny-peer.ts";

const peers: TinyPeer[] = [];
const loads: Load[] = [];

afterEach(() => {
  for (const load of loads.splice(0)) load.stop();
  for (const peer of peers.splice(0)) peer.close();
});

async function open(registrations?: Registrations): Promise<TinyPeer> {
  const peer = await TinyPeer.open(registrations);
  peers.push(peer);
  return peer;
}

function loadOf(transport: PhoneTransport, targets: readonly TinyPeer[], amounts: Partial<Amounts> = {}): Load {
  const load = new Load({
    transport,
    domain: "example.test",
    host: "127.0.0.1",
    targets: targets.map(({ port }, index) => ({ name: `peer ${index}`, host: "127.0.0.1", port })),
    ca: undefined,
    amounts: { rate: 0, established: 8, ringing: 3, registered: 8, ...amounts },
    everyoneHasTwo: false,
  });
  loads.push(load);
  return load;
}

it("phones know targets in all orders alike, and as many begin with each", () => {
  const orders = Array.from({ length: 48 }, (_, index) => orderFor(["a", "b", "c", "d"], index));
  const counts = Map.groupBy(orders, (order) => order.join(" "));
  expect([counts.size, ...new Set(Array.from(counts.values(), ({ length }) => length))]).toEqual([24, 2]);
  expect(orders.slice(0, 4).map(([first]) => first)).toEqual(["a", "b", "c", "d"]);
  expect(orderFor(["a"], 7)).toEqual(["a"]);
});

async function untilOver(load: Load): Promise<LoadReport> {
  load.fault(200);
  await load.drain();
  return load.report();
}

describe.each(["udp", "tcp"] as const)("a load over %s", (transport) => {
  it("[RFC3261 12, 13, 15] registers, calls, lets ring, and ends every call from either side", async () => {
    const peer = await open();
    // The peer has no memory: nobody moves in these, as a caller may have to say an INVITE anew then.
    const load = loadOf(transport, [peer], { rate: 50, established: 5 });
    await load.register(5_000);
    await load.establish(5_000);
    load.startCalls();
    await load.ring(5_000);
    load.fault(500);
    await expect.poll(() => load.report().newCalls.made, { timeout: 10_000 }).toBeGreaterThan(20);
    load.stopCalls();
    await load.drain();
    const { losses, newCalls, ...report } = load.report();
    expect(losses).toEqual([]);
    expect(newCalls).toMatchObject({ failed: 0, slow: 0, lastFailedMs: undefined });
    expect(report).toEqual({
      established: { ended: 5, lost: 0 },
      ringing: { completed: 3, lost: 0 },
      cancelled: { ended: 2, lost: 0 },
      phones: { registered: 8, lost: 0 },
      failedBefore: 0,
      anomalies: { "REGISTER failed": 0, "flow given up": 0 },
    });
  });

  it("says what a lost call's phones saw", async () => {
    const peer = await open();
    const load = loadOf(transport, [peer], { established: 4, ringing: 0 });
    await load.register(5_000);
    await load.establish(5_000);
    peer.drops = (message) => message.isRequest && message.method === "BYE" && message.fromTag?.startsWith("c") === true;
    load.fault(100);
    await expect.poll(() => load.report().established.ended, { timeout: 5_000 }).toBe(2);
    for (const call of load.standing) call.abandon();
    expect(load.report()).toMatchObject({ established: { ended: 2, lost: 2 } });
    expect(load.report().losses).toEqual([
      expect.stringMatching(/^established call, started -\d+ ms and lost \d+ ms after the fault: phone0 to phone\d: never over: rang at /),
      expect.stringMatching(/phone2 to phone\d/),
    ]);
  });

  it("knows when a call never came to stand", async () => {
    const peer = await open();
    const load = loadOf(transport, [peer]);
    peer.drops = (message) => message.isRequest && message.method === "INVITE";
    await load.register(5_000);
    await expect(load.establish(300)).rejects.toThrow("8 of 8 calls do not stand: not in time");
  });
});

it("[RFC5626 4.3] phones over TCP that change their network in calls leave their old connections open, and end their calls on new ones", async () => {
  const peer = await open();
  const load = loadOf("tcp", [peer], { established: 16, ringing: 0, registered: 32 });
  await load.register(5_000);
  await load.establish(5_000);
  const registers = (): number => peer.seen.filter((what) => what.startsWith("REGISTER")).length;
  const before = registers();
  const open0 = peer.openConnections;
  expect(await untilOver(load)).toMatchObject({ established: { ended: 16, lost: 0 }, losses: [], anomalies: { "flow given up": 0 } });
  // A caller's and a callee's phone, which may have two connections each.
  expect(registers()).toBeGreaterThanOrEqual(before + 2);
  expect(peer.openConnections).toBe(open0 + registers() - before);
});

describe("phones with two targets", () => {
  it("[RFC3263 4.3] over UDP: go to the other one when the first does not answer, with requests and registration", async () => {
    const registrations = new Registrations();
    const [first, second] = [await open(registrations), await open(registrations)];
    const load = loadOf("udp", [first, second], { registered: 4, established: 4, ringing: 1 });
    await load.register(5_000);
    await load.establish(5_000);
    const before = [...first.seen, ...second.seen].filter((what) => what === "180").length;
    await load.ring(5_000);
    // A caller that heard nothing would ask once more elsewhere, where its callee rings already.
    const heard = (): number => [...first.seen, ...second.seen].filter((what) => what === "180").length;
    await expect.poll(heard).toBe(before + 2);
    first.drops = () => true;
    second.seen.length = 0;
    expect(await untilOver(load)).toMatchObject({
      established: { ended: 4, lost: 0 },
      ringing: { completed: 1, lost: 0 },
      cancelled: { ended: 1, lost: 0 },
      losses: [],
    });
    expect(second.seen).toContain("REGISTER");
  });

  it("[RFC5626 4.2] over TCP: registers a flow to each, or comes back on the other one, and keeps its calls", async () => {
    const registrations = new Registrations();
    const [first, second] = [await open(registrations), await open(registrations)];
    const load = loadOf("tcp", [first, second], { established: 6, ringing: 2 });
    await load.register(5_000);
    expect([...first.seen, ...second.seen]).toEqual(Array.from({ length: 12 }, () => "REGISTER"));
    await load.establish(5_000);
    await load.ring(5_000);
    first.close();
    // Who was registered there last cannot be called any more until it comes back.
    registrations.users.clear();
    peers.splice(0, 1);
    await load.settle(5_000);
    await expect.poll(() => registrations.users.size, { timeout: 5_000 }).toBe(2);
    expect(load.report().phones).toEqual({ registered: 8, lost: 0 });
  });
});
