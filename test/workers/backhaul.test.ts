import { evictDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { linesOf, messageText, responseText, valueOf } from "../../kit/phone/message-text.ts";
import { phoneReturnMs } from "../../sip/limits.ts";
import { Authority } from "../../actors/exchange/authority.ts";
import { stringOf } from "../../sip/message/octets.ts";
import { protocolVersion } from "../../cluster/protocol-version.ts";
import { jsonOctets, RecordKind } from "../../cluster/backhaul/frame.ts";
import { exchangeName } from "../../workers/environment.ts";
import { domain, putToSleep, userOf } from "./cell.ts";
import { GatewayBackhaul, listeners, tcpFlow, udpFlow } from "./gateway-backhaul.ts";

const stub = env.EXCHANGE.getByName(exchangeName(0));
const backhauls: GatewayBackhaul[] = [];

async function connect(access?: string, boot?: string): Promise<GatewayBackhaul> {
  const backhaul = await GatewayBackhaul.connect(0, access, boot);
  backhauls.push(backhaul);
  return backhaul;
}

async function open(): Promise<GatewayBackhaul> {
  const backhaul = await GatewayBackhaul.open(0);
  backhauls.push(backhaul);
  return backhaul;
}

async function closingOf(backhaul: GatewayBackhaul): Promise<{ readonly code: number; readonly reason: string }> {
  return await vi.waitFor(() => {
    if (backhaul.closed === undefined) throw new Error("the backhaul is open");
    return backhaul.closed;
  });
}

function options(callId: string): string {
  const via = `Via: SIP/2.0/TCP 198.51.100.7;rport;branch=z9hG4bK${crypto.randomUUID()}`;
  const parties = ["From: <sip:x@example.net>;tag=1", `To: <sip:${domain}>`, `Call-ID: ${callId}`, "CSeq: 1 OPTIONS"];
  return messageText(`OPTIONS sip:${domain} SIP/2.0`, [via, "Max-Forwards: 70", ...parties]);
}

afterEach(() => {
  for (const backhaul of backhauls.splice(0)) {
    if (backhaul.socket.readyState !== WebSocket.OPEN) continue;
    backhaul.send([]); // it has all that came: nothing is said again on the next test's backhaul
    backhaul.socket.close();
  }
});

describe("a backhaul", () => {
  it("acknowledges its hello and says first that this replica serves; acknowledges every frame with a frame of its own", async () => {
    const backhaul = await connect();
    expect(backhaul.frames[0]).toMatchObject({ seq: 1, records: [{ kind: RecordKind.serving }] });
    await vi.waitFor(() =>
      expect(backhaul.frames.flatMap(({ records }) => records).at(-1)).toMatchObject({ kind: RecordKind.serving, key: "1" }),
    );
    await vi.waitFor(() => expect(backhaul.acknowledged).toBe(1));
    backhaul.send([]);
    await vi.waitFor(() => expect(backhaul.acknowledged).toBe(2));
  });

  it("carries a request in and its answer out on the same flow, one frame each", async () => {
    const backhaul = await connect();
    const before = backhaul.frames.length;
    backhaul.sendMessage(options("carries"));
    const { flow, text } = await backhaul.take();
    expect(flow).toBe(tcpFlow);
    expect(text).toMatch(/^SIP\/2\.0 200 /);
    expect(valueOf(text, "Call-ID")).toBe("carries");
    expect(backhaul.frames.length).toBe(before + 1);
    expect(backhaul.frames.at(-1)).toMatchObject({ seq: 2, ack: 2 });
  });

  it("answers pings without the object: it sleeps on", async () => {
    const backhaul = await connect();
    await putToSleep(0);
    backhaul.socket.send("ping");
    await vi.waitFor(() => expect(backhaul.texts).toEqual(["pong"]));
    // An object that cannot be evicted is not running: the ping has not woken it.
    await expect(evictDurableObject(stub)).rejects.toThrow("it is not currently running");
  });

  it("is found again by an object that slept: sequence numbers go on, listeners are known", async () => {
    const backhaul = await connect();
    backhaul.sendMessage(options("before"));
    await backhaul.take();
    await putToSleep(0);
    backhaul.sendMessage(options("after"));
    const { text } = await backhaul.take();
    expect(valueOf(text, "Call-ID")).toBe("after");
    // It may have said anew that it serves: one frame more, in the same sequence.
    const sequence = backhaul.frames.map(({ seq }) => seq).filter((seq) => seq > 0);
    expect(sequence.length).toBeGreaterThanOrEqual(3);
    expect(sequence).toEqual(sequence.map((_, index) => index + 1));
    expect(backhaul.frames.at(-1)).toMatchObject({ ack: 3 });
    expect(backhaul.closed).toBeUndefined();
  });

  it("gives way to a newer one of the same gateway", async () => {
    const first = await connect("g1", "boot1");
    const second = await connect("g1", "boot2");
    expect(await closingOf(first)).toMatchObject({ code: 4001, reason: "replaced by a newer backhaul" });
    second.sendMessage(options("second"));
    expect((await second.take()).text).toMatch(/^SIP\/2\.0 200 /);
  });

  it("lets two gateways be told apart", async () => {
    const first = await connect("g1");
    const second = await connect("g2");
    first.sendMessage(options("first"));
    second.sendMessage(options("second"));
    expect(valueOf((await first.take()).text, "Call-ID")).toBe("first");
    expect(valueOf((await second.take()).text, "Call-ID")).toBe("second");
  });
});

describe("what a gateway has not acknowledged when its backhaul is lost", () => {
  let bob = "";
  const alice = userOf("alice");
  const secondFlow = "t1.c2.c633640713c5";

  /** Bob's phone at one gateway, or at two with one instance; alice's at another. What comes to Bob is not acknowledged. */
  async function call(
    flowsOfBob: readonly [access: string, flow: string][],
  ): Promise<{ backhauls: GatewayBackhaul[]; caller: GatewayBackhaul }> {
    bob = userOf(`bob${crypto.randomUUID().slice(0, 8)}-`); // nobody waits for the one of another test
    const atBob: GatewayBackhaul[] = [];
    for (const [index, [access, flow]] of flowsOfBob.entries()) {
      const backhaul = await connect(access);
      atBob.push(backhaul);
      const contact = `Contact: <sip:${bob}@198.51.100.7;transport=tcp>;reg-id=${index + 1};+sip.instance="<urn:uuid:00000000-0000-4000-8000-000000000001>"`;
      backhaul.sendMessage(request("REGISTER", bob, bob, [contact, "Supported: outbound, path", "Expires: 600"]), flow);
      expect((await backhaul.take()).text).toMatch(/^SIP\/2\.0 200 /);
      backhaul.send([]);
    }
    const caller = await connect("g9");
    caller.sendMessage(request("MESSAGE", alice, bob, []), "t1.c9.c633640713c9");
    return { backhauls: atBob, caller };
  }

  beforeAll(() => {
    vi.spyOn(Authority.prototype, "checkRegister").mockReturnValue({ type: "granted" });
    vi.spyOn(Authority.prototype, "checkCaller").mockReturnValue({ type: "granted" });
  });

  afterAll(() => {
    vi.restoreAllMocks();
  });

  it("is tried another way at once, and not given up 32 s later", async () => {
    const { backhauls: atBob, caller } = await call([
      ["g1", tcpFlow],
      ["g2", secondFlow],
    ]);
    const [got, other] = await vi.waitFor(() => {
      const [first, second] = atBob.toSorted((one, another) => messagesTo(another) - messagesTo(one));
      if (first === undefined || messagesTo(first) === 0) throw new Error("Bob has no message yet");
      return [first, second];
    });
    got.socket.close();
    const again = await other?.take();
    expect(again?.text).toMatch(/^MESSAGE /);
    other?.sendMessage(responseText("200 OK", linesOf(again?.text ?? ""), "answer"), again?.flow);
    expect((await caller.take()).text).toMatch(/^SIP\/2\.0 200 /);
  });

  it("is refused when there is no other way, and the phone does not come back", { timeout: 3 * phoneReturnMs }, async () => {
    const { backhauls: atBob, caller } = await call([["g1", tcpFlow]]);
    expect((await atBob[0]?.take())?.text).toMatch(/^MESSAGE /);
    atBob[0]?.socket.close();
    expect((await caller.take(2 * phoneReturnMs)).text).toMatch(/^SIP\/2\.0 100 /); // RFC 4320 4.1: it takes long
    expect((await caller.take(2 * phoneReturnMs)).text).toMatch(/^SIP\/2\.0 480 /);
  });

  it("is sent again, the same request, when the gateway is back on another backhaul; what it has acknowledged is not", async () => {
    const { backhauls: atBob } = await call([["g1", tcpFlow]]);
    const first = await atBob[0]?.take();
    const second = await connect("g1");
    const again = await second.take();
    expect([again.flow, again.text]).toEqual([first?.flow, first?.text]);
    second.send([]);
    await vi.waitFor(() => expect(second.acknowledged).toBe(second.sent));
    const third = await connect("g1");
    third.sendMessage(options("third"));
    expect((await third.take()).text).toMatch(/^SIP\/2\.0 200 /);
  });
});

function request(method: string, from: string, to: string, more: readonly string[]): string {
  const uri = method === "REGISTER" ? `sip:${domain}` : `sip:${to}@${domain}`;
  const parties = [`From: <sip:${from}@${domain}>;tag=1`, `To: <sip:${to}@${domain}>`, `Call-ID: ${crypto.randomUUID()}`];
  const via = `Via: SIP/2.0/TCP 198.51.100.7;rport;branch=z9hG4bK${crypto.randomUUID()}`;
  return messageText(`${method} ${uri} SIP/2.0`, [via, "Max-Forwards: 70", ...parties, `CSeq: 1 ${method}`, ...more]);
}

function messagesTo(backhaul: GatewayBackhaul): number {
  const records = backhaul.frames.flatMap((frame) => frame.records);
  return records.filter(({ kind, octets }) => kind === RecordKind.send && stringOf(octets).startsWith("MESSAGE ")).length;
}

describe("a backhaul whose other side is confused is closed with the reason", () => {
  const hello = { kind: RecordKind.hello, key: "g1", octets: jsonOctets({ boot: "b", listeners }) };

  it.each<[string, string, (backhaul: GatewayBackhaul) => void]>([
    ["text", "text on a backhaul", (backhaul) => backhaul.socket.send("hello")],
    [
      "octets of no frame",
      `it has version 255 of the protocol, this is version ${protocolVersion}`,
      (backhaul) => backhaul.socket.send(new Uint8Array(20).fill(255)),
    ],
    ["an empty frame", "shorter than its header", (backhaul) => backhaul.socket.send(new Uint8Array(0))],
    [
      "a record cut off",
      "record header cut off",
      (backhaul) => backhaul.socket.send(new Uint8Array([protocolVersion, 0, 0, 0, 1, 0, 0, 0, 0, 2, 9])),
    ],
    ["no hello", "the first record is no hello", (backhaul) => backhaul.sendMessage(options("none"))],
    ["a hello of somebody else", "hello from g2 on a backhaul of g1", (backhaul) => backhaul.send([{ ...hello, key: "g2" }])],
    ["a hello of no JSON", "the first record is no hello", (backhaul) => backhaul.send([{ ...hello, octets: new Uint8Array([0x7b]) }])],
    [
      "a gap in the numbers",
      "frame 3 after 1",
      (backhaul) => {
        backhaul.send([hello]);
        backhaul.socket.send(new Uint8Array([protocolVersion, 0, 0, 0, 3, 0, 0, 0, 0]));
      },
    ],
    [
      "an acknowledgement of nothing",
      "acknowledges 9 of 0",
      (backhaul) => backhaul.socket.send(new Uint8Array([protocolVersion, 0, 0, 0, 1, 0, 0, 0, 9])),
    ],
  ])("%s", async (_name, reason, confuse) => {
    const backhaul = await open();
    confuse(backhaul);
    expect(await closingOf(backhaul)).toEqual({ code: 1002, reason });
    // The next one is served.
    const next = await connect();
    next.sendMessage(options("next"));
    expect((await next.take()).text).toMatch(/^SIP\/2\.0 200 /);
  });
});

describe("junk in good frames", () => {
  it("neither closes the backhaul nor keeps the next message from being served", async () => {
    const backhaul = await connect();
    const random = new Uint8Array(2_000);
    for (let count = 0; count < 50; count += 1) {
      crypto.getRandomValues(random);
      backhaul.send([
        { kind: RecordKind.message, key: udpFlow, octets: random.slice(0, count * 20) },
        { kind: RecordKind.message, key: "no flow key", octets: random.slice(0, 10) },
        { kind: RecordKind.undeliverable, key: udpFlow, octets: random.slice(0, 100) },
        { kind: RecordKind.closed, key: udpFlow, octets: new Uint8Array(0) },
        { kind: RecordKind.resolved, key: "1", octets: random.slice(0, 30) },
        { kind: 99, key: udpFlow, octets: random.slice(0, 30) },
      ]);
    }
    backhaul.sendMessage(options("good"));
    await vi.waitFor(() => expect(backhaul.acknowledged).toBe(backhaul.sent));
    const answered = backhaul.frames.flatMap(({ records }) => records).map(({ octets }) => new TextDecoder().decode(octets));
    expect(answered.some((text) => valueOf(text, "Call-ID") === "good")).toBe(true);
  });
});

it("a call for a user that nobody knows is answered where it came from", async () => {
  const backhaul = await connect();
  const nobody = userOf("nobody");
  backhaul.sendMessage(options("unknown").replace(`OPTIONS sip:${domain}`, `OPTIONS sip:${nobody}@${domain}`));
  expect((await backhaul.take()).text).toMatch(/^SIP\/2\.0 404 /);
});
