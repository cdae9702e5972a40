import { runInDurableObject } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { messageText, valueOf } from "../../kit/phone/message-text.ts";
import type { View } from "../../cluster/group/view.ts";
import { memoryFrom, type Memory } from "../../sip/record/memory.ts";
import type { StateRecord } from "../../sip/record/state-record.ts";
import { makeTombstone } from "../../sip/record/tombstone.ts";
import { serializeRecord } from "../../sip/record/record-text.ts";
import { RecordKind } from "../../cluster/backhaul/frame.ts";
import { exchangeName } from "../../workers/environment.ts";
import { CoreGroupObject } from "../../workers/core-group/core-group-object.ts";
import { Disk } from "../../workers/exchange/disk.ts";
import { diskGroupMs } from "../../actors/limits.ts";
import { authorizationFor } from "../../workers/signature.ts";
import { addSubscriber, callApi, domain, map, ourVersion, peerIsAway, putToSleep, replicas, signature, userOf } from "./cell.ts";
import { GatewayBackhaul, tcpFlow } from "./gateway-backhaul.ts";
import type { PeerReplica } from "./peer-replica.ts";
import { Softphone } from "./softphone.ts";

const replica = replicas[0] as PeerReplica;
const alice = userOf("alice");
const phones: Softphone[] = [];

/** A new stub each time: one that has seen its object end is broken. */
function exchange(): ReturnType<typeof env.EXCHANGE.getByName> {
  return env.EXCHANGE.getByName(exchangeName(0));
}

async function connect(user: string): Promise<Softphone> {
  const phone = await Softphone.connect(user, "secret");
  phones.push(phone);
  return phone;
}

async function rows(): Promise<string[]> {
  return await runInDurableObject(exchange(), (_instance, state) => [...new Disk(state.storage).read()].map(serializeRecord));
}

function memory(): Promise<Memory | undefined> {
  return runInDurableObject(exchange(), (_instance, state) => new Disk(state.storage).readMemory());
}

async function contactsOf(user: string): Promise<string[]> {
  const response = await callApi("GET", `/registrations?aor=${user}@${domain}`);
  return (await response.json<{ contact: string }[]>()).map(({ contact }) => contact);
}

async function pairState(): Promise<string> {
  return (await exchange().counts()).pair;
}

function bindingOf(user: string, contact: string, flow = "g1~u0..c633640713c4"): StateRecord {
  const addressOfRecord = `${user}@${domain}`;
  const now = Date.now();
  return {
    kind: "binding",
    key: `${addressOfRecord} ${contact}`,
    version: replica.clock.tick(now),
    value: {
      addressOfRecord,
      contact,
      parameters: "",
      q: undefined,
      callId: contact,
      cSeq: 1,
      registeredAt: now,
      expiresAt: now + 600_000,
      instanceId: "",
      regId: 0,
      flow,
      transport: "UDP",
      received: "198.51.100.7:5060",
      userAgent: "",
      path: [],
    },
  };
}

/** Freezes the peer's replica; the function thaws it. */
function freeze(): () => void {
  const { promise, resolve } = Promise.withResolvers<void>();
  replica.frozen = promise;
  return () => {
    replica.frozen = undefined;
    resolve();
  };
}

function view(b: "up" | "down", isFenced = false): View {
  const cells = [
    { id: "a", state: "up" as const },
    { id: "b", state: b },
  ];
  return { cell: "a", epoch: 1_000, coordinator: "a", cells, gateways: [], heartbeat: map.heartbeat, isFenced };
}

beforeEach(async () => {
  await exchange().counts();
  await vi.waitFor(async () => {
    if ((await pairState()) !== "together") throw new Error("the replicas are not together yet");
  }, 5_000);
  await addSubscriber(alice, "secret");
});

afterEach(() => {
  vi.restoreAllMocks();
  for (const phone of phones.splice(0)) if (phone.closed === undefined) phone.socket.close();
});

describe("records go to the peer", () => {
  it("and its own come back: both replicas hold the same", async () => {
    const phone = await connect(alice);
    await phone.register();
    replica.apply(bindingOf(alice, "sip:desk@198.51.100.7"));
    await vi.waitFor(async () => expect(await contactsOf(alice)).toHaveLength(2));
    expect(replica.store.bindingsOf(`${alice}@${domain}`).filter(({ value }) => value !== undefined)).toHaveLength(2);
  });

  it("and what it removes is gone here, on the disk too", async () => {
    const bob = userOf("bob");
    const record = bindingOf(bob, "sip:desk@198.51.100.7");
    replica.apply(record);
    await vi.waitFor(async () => expect(await contactsOf(bob)).toHaveLength(1));
    const order = { callId: "sip:desk@198.51.100.7", cSeq: 2 };
    replica.apply(makeTombstone("binding", record.key, replica.clock.tick(Date.now()), Date.now(), order));
    await vi.waitFor(async () => expect(await contactsOf(bob)).toEqual([]));
    await vi.waitFor(async () => expect((await rows()).some((row) => row.includes(record.key))).toBe(false), 3 * map.flushMs);
  });

  it("one batch for many frames, and none when nothing changes", async () => {
    const many = userOf("many");
    const [batches, keys] = [replica.batches, replica.keys.length];
    for (let count = 0; count < 50; count += 1) replica.apply(bindingOf(many, `sip:${count}@198.51.100.7`));
    await vi.waitFor(async () => expect(await contactsOf(many)).not.toEqual([]));
    expect(replica.batches).toBe(batches);
    // What would be told back comes before the next change of this side, or with it.
    const phone = await connect(alice);
    await phone.register();
    expect(replica.keys.slice(keys).length).toBeGreaterThan(0);
    expect(replica.keys.slice(keys).filter((key) => key.startsWith(many))).toEqual([]);
  });
});

describe("commit before forward", () => {
  it("waits for a frozen peer as long as ackTimeoutMs says; then the disk has it before the 200", async () => {
    const phone = await connect(alice);
    await phone.register();
    const thaw = freeze();
    const startedAt = performance.now();
    expect(await phone.register(900)).toMatch(/^SIP\/2\.0 200 /);
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(map.replication.ackTimeoutMs - 20);
    expect(await pairState()).toBe("lagging");
    expect((await rows()).some((row) => row.includes(phone.contact))).toBe(true);
    thaw();
    await vi.waitFor(async () => expect(await pairState()).toBe("together"), 5_000);
    expect(replica.store.bindingsOf(`${alice}@${domain}`).some(({ value }) => value?.contact === phone.contact)).toBe(true);
  });

  it("does not wait for a peer that is away: the disk has it before the 200", async () => {
    peerIsAway();
    const phone = await connect(alice);
    expect(await phone.register()).toMatch(/^SIP\/2\.0 200 /);
    expect((await rows()).some((row) => row.includes(phone.contact))).toBe(true);
    await vi.waitFor(async () => expect(await pairState()).toBe("away"));
  });

  it("says that its cell refuses connections at once, to the core group: no gateway needs to be there to see it", async () => {
    const suspect = vi.spyOn(CoreGroupObject.prototype, "suspect").mockReturnValue();
    peerIsAway();
    const phone = await connect(alice);
    await phone.register();
    await vi.waitFor(() => expect(suspect.mock.calls).toEqual([["b", "connection refused"]]));
    expect(await pairState()).toBe("away");
  });

  it("suspects nobody who answers, be it with an error", async () => {
    const suspect = vi.spyOn(CoreGroupObject.prototype, "suspect");
    const failing = vi.spyOn(replica, "answer").mockImplementation(async () => new Response("overloaded", { status: 500 }));
    const phone = await connect(alice);
    expect(await phone.register()).toMatch(/^SIP\/2\.0 200 /);
    await vi.waitFor(async () => expect(await pairState()).toBe("lagging"));
    failing.mockRestore();
    await vi.waitFor(async () => expect(await pairState()).toBe("together"), 5_000);
    expect(suspect).not.toHaveBeenCalled();
  });

  it("shares a write between commits that come close together, and none is early", async () => {
    peerIsAway();
    const sharing = await Promise.all(Array.from({ length: 12 }, () => connect(alice)));
    await sharing[0]?.register();
    const write = vi.spyOn(Disk.prototype, "write");
    const startedAt = performance.now();
    const answers = await Promise.all(sharing.map(async (phone) => await phone.register(900)));
    const writesMax = 2 + (performance.now() - startedAt) / diskGroupMs;
    for (const answer of answers) expect(answer).toMatch(/^SIP\/2\.0 200 /);
    expect(write.mock.calls.length).toBeGreaterThan(0);
    expect(write.mock.calls.length).toBeLessThanOrEqual(writesMax);
  });

  it("acknowledges a frame only when the peer has what it changed", async () => {
    const backhaul = await GatewayBackhaul.connect(0, "g3");
    await vi.waitFor(() => expect(backhaul.acknowledged).toBe(backhaul.sent));
    const closed = userOf("closed");
    replica.apply(bindingOf(closed, "sip:closed@198.51.100.7", `g3~${tcpFlow}`));
    await vi.waitFor(async () => expect(await contactsOf(closed)).toHaveLength(1));
    const thaw = freeze();
    const { asked } = replica;
    backhaul.send([{ kind: RecordKind.closed, key: tcpFlow, octets: new Uint8Array(0) }]);
    backhaul.send([]);
    await vi.waitFor(() => expect(replica.asked).toBeGreaterThan(asked), { interval: 5 });
    expect(backhaul.acknowledged).toBeLessThan(backhaul.sent);
    thaw();
    await vi.waitFor(() => expect(backhaul.acknowledged).toBe(backhaul.sent));
    backhaul.socket.close();
  });
});

describe("a replica that starts again", () => {
  it("remembers since when it has known of every call, its sleep left out until the peer has told", async () => {
    await addSubscriber(userOf("dave"), "secret");
    expect(await memory()).toEqual(memoryFrom(1));
    await putToSleep(0);
    peerIsAway();
    const wokenAt = Date.now();
    await addSubscriber(userOf("erin"), "secret");
    const alone = await memory();
    expect(alone?.since).toBe(1);
    expect(alone?.gapUntil).toBeGreaterThanOrEqual(wokenAt);
    expect(alone?.gapFrom).toBeLessThan(wokenAt);
  });

  it("reads back and catches up before it answers anything", async () => {
    const carol = userOf("carol");
    await putToSleep(0);
    // Its peer has heard of a phone meanwhile.
    replica.store.apply(bindingOf(carol, "sip:carol@198.51.100.7"));
    expect(await contactsOf(carol)).toEqual(["sip:carol@198.51.100.7"]);
  });

  it("has its inputs wait, in their order, until it has", async () => {
    const backhaul = await GatewayBackhaul.connect(0, "g4");
    await putToSleep(0);
    const thaw = freeze();
    const { asked } = replica;
    for (const name of ["one", "two", "three"]) backhaul.sendMessage(options(name));
    await vi.waitFor(() => expect(replica.asked).toBeGreaterThan(asked));
    expect(backhaul.frames.flatMap(({ records }) => records).filter(({ kind }) => kind === RecordKind.send)).toEqual([]);
    expect(await pairState()).toBe("syncing");
    thaw();
    const answers = [await backhaul.take(), await backhaul.take(), await backhaul.take()];
    expect(answers.map(({ text }) => valueOf(text, "Call-ID"))).toEqual(["one", "two", "three"]);
    // It slept through the gateway's hello, and what it said then still holds.
    expect(backhaul.frames.flatMap(({ records }) => records).some(({ kind, key }) => kind === RecordKind.serving && key === "0")).toBe(
      false,
    );
    backhaul.socket.close();
  });

  it("serves alone when its peer is not there", async () => {
    await putToSleep(0);
    peerIsAway();
    const phone = await connect(alice);
    expect(await phone.register()).toMatch(/^SIP\/2\.0 200 /);
  });

  it("tells gateways that it does not serve, and then that it does", async () => {
    await putToSleep(0);
    const thaw = freeze();
    const backhaul = await GatewayBackhaul.open(0, "g5");
    backhaul.send([{ kind: RecordKind.hello, key: "g5", octets: new TextEncoder().encode('{"boot":"b","listeners":[]}') }]);
    const said = (): string[] =>
      backhaul.frames.flatMap(({ records }) => records.filter(({ kind }) => kind === RecordKind.serving).map(({ key }) => key));
    await vi.waitFor(() => expect(said()).toEqual(["0"]));
    thaw();
    await vi.waitFor(() => expect(said()).toEqual(["0", "1"]));
    backhaul.socket.close();
  });

  it("brings back a peer that has lost everything", async () => {
    const phone = await connect(alice);
    await phone.register();
    replica.restart();
    await vi.waitFor(() => expect(replica.state).toBe("together"), 5_000);
    expect(replica.store.bindingsOf(`${alice}@${domain}`).some(({ value }) => value?.contact === phone.contact)).toBe(true);
    expect(replica.store.subscriber(`${alice}@${domain}`)).toBeDefined();
  });
});

describe("the disk", () => {
  it("has all of a flush or nothing of it: a cell that is killed in the middle reads back clean", async () => {
    const record = bindingOf(userOf("flush"), "sip:flush@198.51.100.7");
    const unwritable = { ...record, key: "unwritable", value: { ...record.value, q: 1n } } as unknown as StateRecord;
    await runInDurableObject(exchange(), (_instance, state) => {
      const disk = new Disk(state.storage);
      expect(() => disk.write({ put: [record, unwritable], remove: [] })).toThrow(TypeError);
      expect([...disk.read()].some(({ key }) => key === record.key)).toBe(false);
    });
  });

  it("that takes no records ends this start; the next one has what the peer has", async () => {
    const phone = await connect(alice);
    const write = vi.spyOn(Disk.prototype, "write").mockImplementationOnce(() => {
      throw new Error("disk full");
    });
    expect(await phone.register()).toMatch(/^SIP\/2\.0 200 /);
    await vi.waitFor(() => expect(write).toHaveBeenCalled(), 3 * map.flushMs);
    await vi.waitFor(async () => expect(await pairState()).toBe("together"), 5_000);
    expect(await contactsOf(alice)).toContain(phone.contact);
    expect(replica.store.bindingsOf(`${alice}@${domain}`).some(({ value }) => value?.contact === phone.contact)).toBe(true);
  });
});

describe("the view", () => {
  it("ends the wait for a peer that is down, and finds it again when it is up", async () => {
    await exchange().setView(view("down"), map);
    expect(await pairState()).toBe("away");
    await exchange().setView(view("up"), map);
    await vi.waitFor(async () => expect(await pairState()).toBe("together"));
  });

  it("[RFC3261 21.5.4] that says that this cell is fenced has REGISTER answered 503", async () => {
    const phone = await connect(alice);
    await exchange().setView(view("up", true), map);
    const refused = await phone.register();
    expect(refused).toMatch(/^SIP\/2\.0 503 /);
    expect(valueOf(refused, "Retry-After")).not.toBe("");
    await exchange().setView(view("up"), map);
    expect(await phone.register()).toMatch(/^SIP\/2\.0 200 /);
  });
});

describe("POST /cell/pair/<k>", () => {
  const body = new TextEncoder().encode('{"cell":"b"}');

  async function post(path: string, authorization: string, octets = body): Promise<number> {
    const request = new Request(`http://a.invalid${path}`, { method: "POST", headers: { ...ourVersion, authorization }, body: octets });
    return (await exports.default.fetch(request)).status;
  }

  it("is for the cell of the other replica alone, and for whom the cluster's secret is known", async () => {
    const toSign = { purpose: "cell", who: "b", to: "a", method: "POST", path: "/cell/pair/0", body };
    expect(await post("/cell/pair/0", signature("cell", "a", "POST /cell/pair/0", body))).toBe(403);
    expect(await post("/cell/pair/0", signature("cell", "c", "POST /cell/pair/0", body))).toBe(403);
    expect(await post("/cell/pair/9", signature("cell", "b", "POST /cell/pair/9", body))).toBe(404);
    expect(await post("/cell/pair/0", authorizationFor("another secret", toSign, Date.now()))).toBe(401);
    expect(await post("/cell/pair/0", authorizationFor(env.TANDEM_SECRET, toSign, Date.now() - 60_000))).toBe(401);
    expect(await post("/cell/pair/0", signature("cell", "b", "POST /cell/pair/0", body), new TextEncoder().encode('{"cell":"c"}'))).toBe(
      401,
    );
  });

  it("refuses what is no batch, and serves on", async () => {
    for (const text of ["", "[]", '{"cell":"b","boot":"x"}', "\u0000"]) {
      const octets = new TextEncoder().encode(text);
      expect(await post("/cell/pair/0", signature("cell", "b", "POST /cell/pair/0", octets), octets)).toBe(400);
    }
    expect(await pairState()).toBe("together");
  });
});

function options(callId: string): string {
  const via = `Via: SIP/2.0/TCP 198.51.100.7;rport;branch=z9hG4bK${crypto.randomUUID()}`;
  const parties = ["From: <sip:x@example.net>;tag=1", `To: <sip:${domain}>`, `Call-ID: ${callId}`, "CSeq: 1 OPTIONS"];
  return messageText(`OPTIONS sip:${domain} SIP/2.0`, [via, "Max-Forwards: 70", ...parties]);
}
