import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { valueOf } from "../../kit/phone/message-text.ts";
import { bindingTombstoneMs } from "../../sip/limits.ts";
import { exchangeName } from "../../workers/environment.ts";
import { Disk } from "../../workers/exchange/disk.ts";
import { addSubscriber, callApi, domain, map, peerIsAway, peerIsUp, putToSleep, replicas, userOf } from "./cell.ts";
import { GatewayBackhaul } from "./gateway-backhaul.ts";
import { Softphone } from "./softphone.ts";

const exchange = env.EXCHANGE.getByName(exchangeName(0));
const alice = userOf("alice");
const bob = userOf("bob");
const phones: Softphone[] = [];

async function connect(user: string, password = "secret"): Promise<Softphone> {
  const phone = await Softphone.connect(user, password);
  phones.push(phone);
  return phone;
}

async function registrations(user: string): Promise<Record<string, unknown>[]> {
  const response = await callApi("GET", `/registrations?aor=${user}@${domain}`);
  expect(response.status).toBe(200);
  return await response.json();
}

/** Kinds of what an exchange that starts now would read. */
async function rows(): Promise<{ readonly kind: string }[]> {
  return await runInDurableObject(exchange, (_instance, state) => [...new Disk(state.storage).read()].map(({ kind }) => ({ kind })));
}

/** When the bindings end that an exchange that starts now would read. */
async function expiriesOnDisk(): Promise<number[]> {
  return await runInDurableObject(exchange, (_instance, state) =>
    [...new Disk(state.storage).read()].flatMap((record) =>
      record.kind === "binding" && record.value !== undefined ? [record.value.expiresAt] : [],
    ),
  );
}

beforeEach(async () => {
  peerIsUp();
  await addSubscriber(alice, "secret");
  await addSubscriber(bob, "secret");
});

afterEach(() => {
  vi.useRealTimers();
  for (const phone of phones.splice(0)) if (phone.closed === undefined) phone.socket.close();
});

describe("a REGISTER from a softphone", () => {
  it("[RFC3261 10.3] is answered 200 when the peer has the binding, and shows where it is reached; the disk follows", async () => {
    const phone = await connect(alice);
    const response = await phone.register();
    expect(response).toMatch(/^SIP\/2\.0 200 /);
    expect(valueOf(response, "Contact")).toContain(phone.contact);
    expect(replicas[0]?.store.bindingsOf(`${alice}@${domain}`)).toHaveLength(1);
    await vi.waitFor(async () => expect((await rows()).filter(({ kind }) => kind === "binding")).toHaveLength(1), 3 * map.flushMs);
    const [registration, ...others] = await registrations(alice);
    expect(others).toEqual([]);
    expect(registration).toMatchObject({ aor: `${alice}@${domain}`, transport: "ws", primary: "a", userAgent: "test phone" });
    expect(registration?.["gateway"]).toMatch(/^a\.[0-3]$/);
    expect(registration?.["expiresSeconds"]).toBeGreaterThan(590);
  });

  it("[RFC3261 22.2] is refused with a wrong password, and binds nothing", async () => {
    const phone = await connect(alice, "wrong");
    const response = await phone.register();
    expect(response).toMatch(/^SIP\/2\.0 (401|403) /);
    expect(await registrations(alice)).toEqual([]);
  });

  it("is remembered by an exchange that has lost its memory", async () => {
    const phone = await connect(alice);
    await phone.register();
    await putToSleep(0);
    expect(await registrations(alice)).toHaveLength(1);
    // And the exchange reaches the softphone on the flow that it remembers.
    const backhaul = await GatewayBackhaul.connect(0);
    backhaul.sendMessage(messageTo(alice));
    const request = await phone.take();
    expect(request).toMatch(new RegExp(`^MESSAGE ${phone.contact} SIP/2.0`));
    phone.respond(request, "200 OK");
    expect((await backhaul.take()).text).toMatch(/^SIP\/2\.0 (401|407|200) /);
    backhaul.socket.close();
  });

  it("[RFC3261 10.2.2] unregisters with Expires 0", async () => {
    const phone = await connect(alice);
    await phone.register();
    expect(await phone.register(0)).toMatch(/^SIP\/2\.0 200 /);
    expect(await registrations(alice)).toEqual([]);
  });

  it("[RFC5626 4.2] loses its binding when its WebSocket closes", async () => {
    const phone = await connect(alice);
    await phone.register();
    expect(await registrations(alice)).toHaveLength(1);
    phone.socket.close(1000, "gone");
    await vi.waitFor(async () => expect(await registrations(alice)).toEqual([]));
  });
});

describe("time", () => {
  it("[RFC3261 10.3] ends a binding exactly, and an alarm clears it away later", async () => {
    const phone = await connect(alice);
    await phone.register(60);
    await vi.waitFor(async () => expect((await rows()).some(({ kind }) => kind === "binding")).toBe(true), 3 * map.flushMs);
    const registeredAt = Date.now();
    vi.useFakeTimers({ toFake: ["Date"], now: registeredAt });
    vi.setSystemTime(registeredAt + 61_000);
    expect(await registrations(alice)).toEqual([]);
    expect((await rows()).some(({ kind }) => kind === "binding")).toBe(true);
    vi.setSystemTime(registeredAt + 61_000 + bindingTombstoneMs);
    expect(await runDurableObjectAlarm(exchange)).toBe(true);
    // The disk follows within flushMs.
    await vi.waitFor(async () => expect((await rows()).some(({ kind }) => kind === "binding")).toBe(false), 3 * map.flushMs);
  });

  it("[RFC3261 10.3] ends a binding exactly also when its exchange has slept, refreshed or not", async () => {
    const phone = await connect(alice);
    const other = await connect(bob);
    await phone.register(600);
    await other.register(60);
    await vi.waitFor(async () => expect(await expiriesOnDisk()).toHaveLength(2), 3 * map.flushMs);
    await phone.register(120);
    const registeredAt = Date.now();
    await vi.waitFor(
      async () => expect(Math.max(...(await expiriesOnDisk())) - registeredAt).toBeLessThanOrEqual(120_000),
      3 * map.flushMs,
    );
    await putToSleep(0);
    // The peer could tell it.
    peerIsAway();
    const [registration] = await registrations(alice);
    expect(registration?.["expiresSeconds"]).toBeLessThanOrEqual(120);
    expect(registration?.["expiresSeconds"]).toBeGreaterThan(110);
    vi.useFakeTimers({ toFake: ["Date"], now: registeredAt + 61_000 });
    expect(await registrations(bob)).toEqual([]);
    expect(await registrations(alice)).toHaveLength(1);
    vi.setSystemTime(registeredAt + 121_000);
    expect(await registrations(alice)).toEqual([]);
  }, 20_000);

  it("is not longer on the disk than the phone was told: what takes a binding off, or has it end earlier, is there before the 200", async () => {
    const phone = await connect(alice);
    await phone.register(600);
    await vi.waitFor(async () => expect(await expiriesOnDisk()).toHaveLength(1), 3 * map.flushMs);
    await phone.register(60);
    expect(Math.max(...(await expiriesOnDisk()))).toBeLessThanOrEqual(Date.now() + 60_000);
    await phone.register(0);
    expect(await expiriesOnDisk()).toEqual([]);
  });

  it("leaves an object without an alarm when it holds nothing that ends", async () => {
    const idle = env.EXCHANGE.getByName(exchangeName(2));
    await idle.counts();
    expect(await runDurableObjectAlarm(idle)).toBe(false);
  });
});

function messageTo(user: string): string {
  return (
    `MESSAGE sip:${user}@${domain} SIP/2.0\r\nVia: SIP/2.0/TCP 198.51.100.7;rport;branch=z9hG4bK${crypto.randomUUID()}\r\nMax-Forwards: 70\r\n` +
    `From: <sip:x@example.net>;tag=1\r\nTo: <sip:${user}@${domain}>\r\nCall-ID: ${crypto.randomUUID()}\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n`
  );
}
