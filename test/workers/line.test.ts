import { evictDurableObject, listDurableObjectIds, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { valueOf, valuesOf } from "../../kit/phone/message-text.ts";
import { messageOctetsMax, phoneReturnMs } from "../../sip/limits.ts";
import { encodeFrame, decodeFrame, isFrameError, RecordKind } from "../../cluster/backhaul/frame.ts";
import { exchangeName, lineName } from "../../workers/environment.ts";
import { ExchangeObject } from "../../workers/exchange/exchange-object.ts";
import type { LineObject } from "../../workers/line/line-object.ts";
import { brokenPerSourceMax, drainHoldMs, firstMessageMs, socketMessagesBurstMax, unreadOctetsMax } from "../../workers/limits.ts";
import { addSubscriber, callApi, domain, map, userOf } from "./cell.ts";
import { Softphone } from "./softphone.ts";

const alice = userOf("alice");
const bob = userOf("bob", 2);
const phones: Softphone[] = [];
const sdp = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";

async function connect(user: string): Promise<Softphone> {
  const phone = await Softphone.connect(user, "secret");
  phones.push(phone);
  return phone;
}

/** The line that holds a phone's WebSocket. */
async function lineOf(user: string): Promise<ReturnType<typeof env.LINE.getByName>> {
  const response = await callApi("GET", `/registrations?aor=${user}@${domain}`);
  const [registration] = await response.json<{ gateway: string }[]>();
  return env.LINE.getByName(lineName(Number(registration?.gateway.split(".")[1])));
}

async function closingOf(phone: Softphone): Promise<{ readonly code: number; readonly reason: string }> {
  return await vi.waitFor(() => {
    if (phone.closed === undefined) throw new Error("the WebSocket is open");
    return phone.closed;
  }, 4_000);
}

beforeAll(async () => {
  for (const user of [alice, bob]) await addSubscriber(user, "secret");
});

afterEach(() => {
  vi.useRealTimers();
  for (const phone of phones.splice(0)) if (phone.closed === undefined) phone.socket.close();
});

describe("two softphones", () => {
  it("[RFC3261 4] call each other through lines and exchange: INVITE, 180, 200, ACK, BYE", async () => {
    const [caller, callee] = [await connect(alice), await connect(bob)];
    expect(await caller.register()).toMatch(/^SIP\/2\.0 200 /);
    expect(await callee.register()).toMatch(/^SIP\/2\.0 200 /);
    const uri = `sip:${bob}@${domain}`;
    const dialog = [`From: <sip:${alice}@${domain}>;tag=caller`, `To: <${uri}>`, `Call-ID: ${crypto.randomUUID()}`];
    const answering = caller.transact("INVITE", uri, [...dialog, `Contact: <${caller.contact};ob>`], sdp);

    const invite = await callee.take();
    expect(invite).toMatch(new RegExp(`^INVITE ${callee.contact.replaceAll(".", "\\.")} SIP/2.0`));
    expect(valuesOf(invite, "Via")).toHaveLength(2);
    expect(valueOf(invite, "Via")).toMatch(/^SIP\/2\.0\/WS example\.test/);
    expect(invite.endsWith(sdp)).toBe(true);
    callee.respond(invite, "180 Ringing");
    callee.respond(invite, "200 OK", [`Contact: <${callee.contact};ob>`], "");

    const answer = await answering;
    expect(answer).toMatch(/^SIP\/2\.0 200 /);
    expect(caller.messages.some((message) => message.startsWith("SIP/2.0 180 "))).toBe(true);
    const target = /<([^>]+)>/.exec(valueOf(answer, "Contact"))?.[1] ?? "";
    const routes = valuesOf(answer, "Record-Route")
      .toReversed()
      .map((route) => `Route: ${route}`);
    expect(routes.length).toBeGreaterThan(0);
    const to = `To: ${valueOf(answer, "To")}`;
    const within = [dialog[0] ?? "", to, dialog[2] ?? "", ...routes];
    const number = /^(\d+)/.exec(valueOf(answer, "CSeq"))?.[1] ?? "";
    caller.socket.send(caller.request("ACK", target, [...within, `CSeq: ${number} ACK`]));
    expect(await callee.take()).toMatch(/^ACK /);

    const ending = caller.transact("BYE", target, within);
    const bye = await callee.take();
    expect(bye).toMatch(/^BYE /);
    callee.respond(bye, "200 OK");
    expect(await ending).toMatch(/^SIP\/2\.0 200 /);
  });

  it(
    "[RFC3261 16.7 5] hear that a phone has gone and does not come back: 480 and not silence",
    { timeout: 3 * phoneReturnMs },
    async () => {
      const [caller, callee] = [await connect(alice), await connect(bob)];
      await caller.register();
      await callee.register();
      callee.socket.close();
      await vi.waitFor(async () => {
        const response = await callApi("GET", `/registrations?aor=${bob}@${domain}`);
        expect(await response.json()).toEqual([]);
      });
      const uri = `sip:${bob}@${domain}`;
      const answer = await caller.transact("MESSAGE", uri, [`From: <sip:${alice}@${domain}>;tag=1`, `To: <${uri}>`, "Call-ID: gone"]);
      expect(answer).toMatch(/^SIP\/2\.0 480 /);
    },
  );

  it("[RFC5626 4.5] are called when they come back, by whoever called them meanwhile", async () => {
    const [caller, callee] = [await connect(alice), await connect(bob)];
    await caller.register();
    await callee.register();
    callee.socket.close();
    const uri = `sip:${bob}@${domain}`;
    const answering = caller.transact("MESSAGE", uri, [`From: <sip:${alice}@${domain}>;tag=1`, `To: <${uri}>`, "Call-ID: back"]);
    const again = await connect(bob);
    const registering = again.register(); // whose 200 may come later than the call
    again.respond(await again.received("MESSAGE "), "200 OK");
    await registering;
    expect(await answering).toMatch(/^SIP\/2\.0 200 /);
  });
});

describe("a softphone's close frame", () => {
  it.each([
    [1000, "bye", 1000],
    [4000, "mine", 4000],
    [undefined, undefined, 1000],
  ])("[RFC6455 5.5.1] is answered with its code: %s %s", async (code, reason, answered) => {
    const phone = await connect(alice);
    await phone.register();
    phone.socket.close(code, reason);
    expect(await closingOf(phone)).toMatchObject({ code: answered });
  });
});

/** Sends a phone what an exchange would send it, until the line takes no more; how many octets that were. */
async function flood(phone: Softphone, most: number): Promise<number> {
  const line = await lineOf(phone.user);
  const present = await env.EXCHANGE.getByName(exchangeName(0)).flowsOf(`${phone.user}@${domain}`);
  const key = present === "unavailable" ? "" : (present[0]?.flow.split("~")[1] ?? "");
  const message = `MESSAGE ${phone.contact} SIP/2.0\r\nVia: SIP/2.0/WS example.test;branch=z9hG4bKx\r\n\r\n${"x".repeat(50_000)}`;
  const frame = encodeFrame(0, 0, [{ kind: RecordKind.send, key, octets: new TextEncoder().encode(message) }]);
  for (let sent = 0; sent < most; sent += message.length) {
    const answer = decodeFrame((await line.deliver(frame)) ?? frame);
    if (isFrameError(answer) || answer.records.length > 0) return sent;
  }
  return most;
}

describe("a softphone that does not read", () => {
  it("is closed before it fills the memory, keep-alives or not, and others are not", async () => {
    const [phone, other] = [await connect(alice), await connect(bob)];
    await phone.register();
    await other.register();
    const keepAlive = setInterval(() => phone.closed ?? phone.socket.send("\r\n\r\n"), 5);
    const sent = await flood(phone, 4 * unreadOctetsMax);
    clearInterval(keepAlive);
    expect(sent).toBeGreaterThan(unreadOctetsMax / 2);
    expect(sent).toBeLessThanOrEqual(unreadOctetsMax);
    expect(await closingOf(phone)).toMatchObject({ code: 1008 });
    expect(await other.register()).toMatch(/^SIP\/2\.0 200 /);
  });
});

describe("a WebSocket that says nothing", () => {
  it("is closed after its time, and not before; those that have spoken or registered are not, however long that was ago", async () => {
    const line = env.LINE.getByName(lineName(1));
    const open = async (): Promise<WebSocket> => {
      const headers = { upgrade: "websocket", "sec-websocket-protocol": "sip" };
      const { webSocket } = await line.fetch("http://a.invalid/", { headers });
      if (webSocket === null) throw new Error("no WebSocket");
      webSocket.accept();
      return webSocket;
    };
    const [silent, keepAlive, stranger] = [await open(), await open(), await open()];
    const closed: string[] = [];
    silent.addEventListener("close", ({ code }) => closed.push(`silent ${code}`));
    for (const [name, socket] of [
      ["keep-alive", keepAlive],
      ["stranger", stranger],
    ] as const) {
      socket.addEventListener("close", () => closed.push(name));
    }
    const answered = new Promise((resolve) => keepAlive.addEventListener("message", resolve));
    keepAlive.send("\r\n\r\n");
    await answered;
    const refused = new Promise((resolve) => stranger.addEventListener("message", resolve));
    stranger.send(
      "MESSAGE sip:nobody@example.test SIP/2.0\r\nVia: SIP/2.0/WS x.invalid;branch=z9hG4bKs\r\nFrom: <sip:a@elsewhere.test>;tag=1\r\nTo: <sip:nobody@example.test>\r\nCall-ID: s\r\nCSeq: 1 MESSAGE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
    );
    await refused;
    for (const [ms, outcome] of [
      [firstMessageMs - 5_000, []],
      [firstMessageMs + 5_000, ["silent 1008"]],
    ] as const) {
      await evictDurableObject(line, { webSockets: "hibernate" });
      vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + ms });
      await runInDurableObject(line, (instance) => instance.alarm?.());
      vi.useRealTimers();
      await vi.waitFor(() => expect(closed).toEqual(outcome));
    }
    for (const socket of [keepAlive, stranger]) socket.close();
  });
});

describe("an idle line", () => {
  it("[RFC5626 3.5.1] answers keep-alives asleep, and wakes for a message with its sockets", async () => {
    const phone = await connect(alice);
    await phone.register();
    const line = await lineOf(alice);
    await evictDurableObject(line, { webSockets: "hibernate" });
    phone.socket.send("\r\n\r\n");
    expect(await phone.take()).toBe("\r\n");
    // An object that cannot be evicted is not running: the keep-alive has not woken it.
    await expect(evictDurableObject(line)).rejects.toThrow("it is not currently running");
    expect(await phone.register()).toMatch(/^SIP\/2\.0 200 /);
  });

  it("is woken by a call for a softphone that it holds", async () => {
    const [caller, callee] = [await connect(alice), await connect(bob)];
    await caller.register();
    await callee.register();
    await evictDurableObject(await lineOf(bob), { webSockets: "hibernate" }).catch(() => undefined);
    const uri = `sip:${bob}@${domain}`;
    const answering = caller.transact("MESSAGE", uri, [`From: <sip:${alice}@${domain}>;tag=1`, `To: <${uri}>`, "Call-ID: woken"]);
    callee.respond(await callee.take(), "200 OK");
    expect(await answering).toMatch(/^SIP\/2\.0 200 /);
  });

  it("sees the end of a WebSocket in its sleep: the binding goes", async () => {
    const phone = await connect(alice);
    await phone.register();
    await evictDurableObject(await lineOf(alice), { webSockets: "hibernate" });
    phone.socket.close();
    await vi.waitFor(async () => {
      const response = await callApi("GET", `/registrations?aor=${alice}@${domain}`);
      expect(await response.json()).toEqual([]);
    });
  });
});

describe("a WebSocket", () => {
  it("[RFC7118 4.2] takes messages in binary frames as well as text", async () => {
    const phone = await connect(alice);
    const options = phone.request("OPTIONS", `sip:${domain}`, [
      `From: <sip:${alice}@${domain}>;tag=1`,
      `To: <sip:${domain}>`,
      "Call-ID: binary",
    ]);
    phone.socket.send(new TextEncoder().encode(options));
    expect(await phone.takeFinal()).toMatch(/^SIP\/2\.0 200 /);
  });

  it("[RFC7118 4.2] gets in a binary frame what is no UTF-8", async () => {
    const phone = await connect(alice);
    const flowKey = await flowKeyOf(phone);
    const octets = new Uint8Array([0x53, 0x49, 0x50, 0xff]);
    const frame = encodeFrame(0, 0, [{ kind: RecordKind.send, key: flowKey.key, octets }]);
    expect(decodeFrame((await flowKey.line.deliver(frame)) ?? frame)).toMatchObject({ records: [] });
    await vi.waitFor(() => expect(phone.binary).toEqual([octets]));
  });

  it("[RFC5626 3.5.1] gets its keep-alive answered in a binary frame too", async () => {
    const phone = await connect(alice);
    phone.socket.send(new Uint8Array([13, 10, 13, 10]));
    await vi.waitFor(() => expect(phone.binary).toEqual([new Uint8Array([13, 10])]));
    phone.socket.send("\r\n");
    phone.socket.send(new Uint8Array([13, 10]));
    expect(await phone.register()).toMatch(/^SIP\/2\.0 200 /);
    expect(phone.binary).toHaveLength(1);
  });

  it("[RFC3261 16.3 1] gets 400 for what can be answered at least", async () => {
    const phone = await connect(alice);
    phone.socket.send(phone.request("OPTIONS", `sip:${domain}`, ["From: nonsense <", `To: <sip:${domain}>`, "Call-ID: bad"]));
    expect(await phone.takeFinal()).toMatch(/^SIP\/2\.0 400 /);
  });

  it("survives junk, and its next good message is served", async () => {
    const phone = await connect(alice);
    const junk = new Uint8Array(3_000);
    for (let count = 0; count < 100; count += 1) {
      crypto.getRandomValues(junk);
      phone.socket.send(junk.slice(0, count * 30));
    }
    phone.socket.send("\u0000\u{1f4de} no SIP \r\n\r\n");
    expect(await phone.register()).toMatch(/^SIP\/2\.0 200 /);
  });

  it.each([
    ["text", "x".repeat(messageOctetsMax + 1)],
    ["text of many octets", "\u20ac".repeat(messageOctetsMax / 2)],
    ["binary", new Uint8Array(messageOctetsMax + 1)],
  ])("[RFC6455 7.4.1] is closed for a message that is too long: %s", async (_name, data) => {
    const phone = await connect(alice);
    phone.socket.send(data);
    expect(await closingOf(phone)).toEqual({ code: 1009, reason: "a SIP message has at most 65536 octets" });
  });

  it("is closed when it floods", { timeout: 20_000 }, async () => {
    const phone = await connect(alice);
    // All within a moment, however busy the machine is.
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
    for (let count = 0; count < 2 * socketMessagesBurstMax; count += 1) phone.socket.send("\r\n");
    expect((await closingOf(phone)).code).toBe(1008);
  });

  it("is refused after some of its address have broken the protocol: their descriptors are held until garbage is collected", async () => {
    const error = new Error("WebSocket protocol error; protocolError.statusCode = 1002; protocolError.description = Unknown opcode 5");
    await runInDurableObject(env.LINE.getByName(lineName(0)), (instance: LineObject, state) => {
      const before = new Set(state.getWebSockets());
      const comeFrom = (address: string): Response => {
        const response = instance.fetch(new Request("http://cell/", { headers: { upgrade: "websocket", "cf-connecting-ip": address } }));
        response.webSocket?.accept();
        return response;
      };
      for (let count = 0; count < brokenPerSourceMax; count += 1) {
        const { status, webSocket } = comeFrom("203.0.113.77");
        expect(status).toBe(101);
        const [socket] = state.getWebSockets().filter((each) => !before.has(each));
        if (socket === undefined) throw new Error("it is not there");
        before.add(socket);
        instance.webSocketError(socket, error);
        webSocket?.close();
      }
      expect(comeFrom("203.0.113.77").status).toBe(503);
      const { status, webSocket } = comeFrom("203.0.113.78");
      expect(status).toBe(101);
      webSocket?.close();
    });
  });
});

describe("what an exchange cannot deliver", () => {
  it("comes back from the line", async () => {
    const line = env.LINE.getByName(lineName(0));
    const octets = new TextEncoder().encode("SIP/2.0 200 OK\r\n\r\n");
    const records = ["w0.gone.000000000000", "u0..c633640713c4", "no flow key"].map((key) => ({ kind: RecordKind.send, key, octets }));
    const sent = encodeFrame(0, 0, [...records, { kind: RecordKind.resolve, key: "q", octets }]);
    const answer = decodeFrame((await line.deliver(sent)) ?? sent);
    if (isFrameError(answer)) throw new Error(answer.frameError);
    expect(answer.records.slice(0, 3)).toEqual(records.map((record) => ({ ...record, kind: RecordKind.undeliverable })));
    expect(answer.records[3]).toMatchObject({ kind: RecordKind.resolved, key: "q" });
  });
});

describe("a line whose cell is out of service", () => {
  const line = env.LINE.getByName(lineName(0));
  const upgradeHere = async (): Promise<Response> =>
    await line.fetch("http://a.invalid/", { headers: { upgrade: "websocket", "sec-websocket-protocol": "sip" } });
  const open = async (): Promise<WebSocket | null> => {
    const { webSocket } = await upgradeHere();
    webSocket?.accept();
    return webSocket;
  };
  const connectHere = async (): Promise<Softphone> => {
    const phone = await Softphone.connect(alice, "secret", upgradeHere);
    phones.push(phone);
    return phone;
  };

  const all = { quietMs: 0, most: 100, strangersMost: 100, isPatient: false };
  const quiet = { quietMs: 60_000, most: 25, strangersMost: 0, isPatient: true };

  afterEach(async () => {
    await line.sendElsewhere(all);
    await line.takeSoftphones();
  });

  it("[RFC6455 7.4.2] closes with 1012 those that are quiet, and in the end the others", async () => {
    const phone = await connect(alice);
    await phone.register();
    const own = await lineOf(alice);
    await own.sendElsewhere(quiet);
    expect(await phone.register()).toMatch(/^SIP\/2\.0 200 /);
    expect(await own.sendElsewhere({ ...quiet, isPatient: false })).toMatchObject({ left: 0 });
    expect((await closingOf(phone)).code).toBe(1012);
    await own.takeSoftphones();
  });

  it("closes those first that are quiet, also when it waits for nobody any more", async () => {
    const [talking, still] = [await connectHere(), await connectHere()];
    for (const phone of [talking, still]) expect(await phone.register()).toMatch(/^SIP\/2\.0 200 /);
    const registeredAt = Date.now();
    await vi.waitFor(() => expect(Date.now() - registeredAt).toBeGreaterThan(2_000), 4_000);
    await talking.register();
    expect(await line.sendElsewhere({ ...quiet, quietMs: 2_000, most: 1, isPatient: false })).toMatchObject({ left: 1 });
    expect((await closingOf(still)).code).toBe(1012);
    expect(talking.closed).toBeUndefined();
  });

  it("closes at once those on which nobody has registered, though they have just said something, and no phone for them", async () => {
    const [phone, stranger] = [await connectHere(), await connectHere()];
    expect(await phone.register()).toMatch(/^SIP\/2\.0 200 /);
    expect(await stranger.transact("OPTIONS", `sip:${domain}`, [])).toMatch(/^SIP\/2\.0 /);
    expect(await line.sendElsewhere({ ...quiet, strangersMost: 25 })).toMatchObject({ left: 1 });
    expect((await closingOf(stranger)).code).toBe(1012);
    expect(phone.closed).toBeUndefined();
  });

  it("closes as many as it is told, or none, and says how late exchanges are for those that ask", async () => {
    for (let count = 0; count < 28; count += 1) expect(await open()).not.toBeNull();
    expect(await line.sendElsewhere({ ...quiet, most: 100 })).toMatchObject({ left: 28 });
    expect(await line.sendElsewhere({ ...quiet, strangersMost: 25 })).toMatchObject({ left: 3 });
    expect(await line.sendElsewhere({ ...quiet, strangersMost: 25 })).toMatchObject({ left: 0 });
    await line.takeSoftphones();
    const phone = await connect(alice);
    await phone.register();
    const own = await lineOf(alice);
    expect((await own.sendElsewhere(all)).lateMs).toBeGreaterThanOrEqual(0);
    await own.takeSoftphones();
  });

  it("takes no new ones, until it is told that it may, or is told nothing for a while", async () => {
    await line.sendElsewhere(all);
    expect(await open()).toBeNull();
    await line.takeSoftphones();
    expect(await open()).not.toBeNull();
    await line.sendElsewhere(all);
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + drainHoldMs });
    expect(await open()).not.toBeNull();
  });
});

describe("a frame from an exchange that comes too late", () => {
  it("rings nowhere, and is answered so; what ends a call or answers a request in it is true still", async () => {
    const phone = await connect(alice);
    const { line, key } = await flowKeyOf(phone);
    const texts = ["INVITE", "BYE"].map((method) =>
      phone.request(method, `sip:${alice}@${domain}`, [
        "From: <sip:x@y>;tag=1",
        `To: <sip:z@y>${method === "BYE" ? ";tag=2" : ""}`,
        "Call-ID: late",
      ]),
    );
    const frame = encodeFrame(
      0,
      0,
      texts.map((text) => ({ kind: RecordKind.send, key, octets: new TextEncoder().encode(text) })),
    );
    expect(await line.deliver(frame, Date.now() - 1)).toBeUndefined();
    expect(await phone.take()).toBe(texts[1]);
    expect(phone.messages).toEqual([texts[1]]);
    expect(await line.deliver(frame, Date.now() + 10_000)).toBeDefined();
    await vi.waitFor(() => expect(phone.messages).toEqual([texts[1], ...texts]));
  });
});

describe("a cell that cannot be reached", () => {
  it("[RFC3261 21.5.4] is replaced by the other replica; without one a request gets 503 with Retry-After", async () => {
    const phone = await connect(alice);
    // The primary of this user's exchange is cell b, which nobody answers for.
    const remote = userOf("remote", 1);
    expect(map.cells.map(({ id }) => id)).toEqual(["a", "b"]);
    const uri = `sip:${remote}@${domain}`;
    const headers = [`From: <sip:${alice}@${domain}>;tag=1`, `To: <${uri}>`];
    phone.socket.send(phone.request("MESSAGE", uri, [...headers, "Call-ID: other-replica"]));
    expect(await phone.takeFinal()).toMatch(/^SIP\/2\.0 (401|407) /);

    vi.spyOn(ExchangeObject.prototype, "takeLineFrame").mockRejectedValueOnce(new Error("overloaded"));
    phone.socket.send(phone.request("MESSAGE", uri, [...headers, "Call-ID: nobody"]));
    const refused = await phone.takeFinal();
    expect(refused).toMatch(/^SIP\/2\.0 503 /);
    expect(valueOf(refused, "Retry-After")).toBe("5");
    expect(valueOf(refused, "Call-ID")).toBe("nobody");
  });
});

/** The line and flow key of a phone: those of the only open WebSocket. */
async function flowKeyOf(phone: Softphone): Promise<{ readonly line: ReturnType<typeof env.LINE.getByName>; readonly key: string }> {
  expect(phone.closed).toBeUndefined();
  for (const id of await listDurableObjectIds(env.LINE)) {
    const line = env.LINE.get(id);
    const key = await runInDurableObject(line, (_instance, state) => {
      const socket = state.getWebSockets().find(({ readyState }) => readyState === WebSocket.OPEN);
      return (socket?.deserializeAttachment() as { flowKey: string } | undefined)?.flowKey;
    });
    if (key !== undefined) return { line, key };
  }
  throw new Error("no line has an open WebSocket");
}
