import { exports } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { frameSocketFrames, frameValidMs } from "../../actors/limits.ts";
import { decodeFrame, encodeFrame, isFrameError, RecordKind, type FrameRecord } from "../../cluster/backhaul/frame.ts";
import { decodeMessage, encodeMessage, QuestionKind, type Message } from "../../cluster/backhaul/question.ts";
import { stringOf } from "../../sip/message/octets.ts";
import { ExchangeObject } from "../../workers/exchange/exchange-object.ts";
import {
  addSubscriber,
  answerAsPeer,
  callApi,
  domain,
  loopback,
  ourVersion,
  peerIsUp,
  replicas,
  signature,
  upgrade,
  userOf,
} from "./cell.ts";
import { Softphone } from "./softphone.ts";

const path = "/line/0?access=b.0";
const farFlow = "w0.k1.c633640713c4";

/** The other end of a WebSocket, and what has come there. */
class FarEnd {
  readonly messages: Message[] = [];
  isClosed = false;
  readonly #socket: WebSocket;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.accept();
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }: { readonly data: unknown }) => {
      const message = data instanceof ArrayBuffer ? decodeMessage(new Uint8Array(data)) : undefined;
      if (message !== undefined) this.messages.push(message);
    });
    socket.addEventListener("close", () => void (this.isClosed = true));
  }

  say(...message: Parameters<typeof encodeMessage>): void {
    this.#socket.send(encodeMessage(...message));
  }

  text(text: string): void {
    this.#socket.send(text);
  }

  async take(kind: number): Promise<Message> {
    return await vi.waitFor(() => {
      const index = this.messages.findIndex((message) => message.kind === kind);
      const [message] = index < 0 ? [] : this.messages.splice(index, 1);
      if (message === undefined) throw new Error(`no message of kind ${kind}`);
      return message;
    }, 4_000);
  }

  close(): void {
    if (!this.isClosed) this.#socket.close(1000);
  }
}

const ends: FarEnd[] = [];

function held(socket: WebSocket): FarEnd {
  const end = new FarEnd(socket);
  ends.push(end);
  return end;
}

/** Line 0 of cell b has opened one to exchange 0. */
async function lineEnd(): Promise<FarEnd> {
  const { webSocket } = await upgrade(path, { authorization: signature("line 0", "b", `GET ${path}`) });
  if (webSocket === null) throw new Error("no WebSocket");
  return held(webSocket);
}

function recordsOf({ octets }: Message): readonly FrameRecord[] {
  const frame = decodeFrame(octets);
  if (isFrameError(frame)) throw new Error(frame.frameError);
  return frame.records;
}

function requestOf(method: "REGISTER" | "OPTIONS", callId: string): FrameRecord {
  const aor = `sip:${userOf("unproven")}@${domain}`;
  const text = [
    `${method} sip:${domain} SIP/2.0`,
    `Via: SIP/2.0/WS far.invalid;branch=z9hG4bK${callId}`,
    "Max-Forwards: 70",
    `From: <${aor}>;tag=1`,
    `To: <${aor}>`,
    `Call-ID: ${callId}`,
    `CSeq: 1 ${method}`,
    "Contact: <sip:x@far.invalid;transport=ws>",
    "Content-Length: 0",
    "",
    "",
  ].join("\r\n");
  return { kind: RecordKind.message, key: farFlow, octets: new TextEncoder().encode(text) };
}

function textOf(record: FrameRecord | undefined): string {
  return record === undefined ? "" : stringOf(record.octets);
}

afterEach(() => {
  vi.restoreAllMocks();
  for (const end of ends.splice(0)) end.close();
});

/** Phones of a cell that counts as down are not spoken to. */
async function farCellIsUp(): Promise<void> {
  peerIsUp();
  await vi.waitFor(async () => {
    const { cells } = await (await callApi("GET", "/status")).json<{ cells: { id: string; state: string }[] }>();
    expect(cells).toContainEqual(expect.objectContaining({ id: "b", state: "up" }));
  }, 8_000);
}

/** The status of an attempt to open one. */
async function open(access: string, who: string, purpose = "line 0", exchange = 0): Promise<number> {
  const target = `/line/${exchange}?access=${access}`;
  const response = await upgrade(target, { authorization: signature(purpose, who, `GET ${target}`) });
  response.webSocket?.accept();
  response.webSocket?.close(1000);
  return response.status;
}

describe("the WebSocket of a line to an exchange of another cell", () => {
  it("is for that line's cell alone", async () => {
    expect(await open("b.0", "b")).toBe(101);
    for (const access of ["a.0", "g1", ""]) expect([access, await open(access, "b")]).toEqual([access, 403]);
    expect(await open("a.0", "a")).toBe(403);
    expect(await open("g1.0", "g1")).toBe(403);
    expect(await open("b.0", "b", "pair 0")).toBe(401);
    expect(await open("b.0", "b", "line 99", 99)).toBe(404);
    expect((await upgrade(path)).status).toBe(401);
  });

  it("brings a frame and its answer, as a request does", async () => {
    await farCellIsUp();
    const line = await lineEnd();
    line.say(QuestionKind.question, 1, Date.now() + frameValidMs, encodeFrame(1, 0, [requestOf("REGISTER", "first")]));
    const answer = await line.take(QuestionKind.answer);
    expect(answer.number).toBe(1);
    expect(Math.abs(answer.time - Date.now())).toBeLessThan(5_000);
    expect(recordsOf(answer)).toMatchObject([{ kind: RecordKind.send, key: farFlow }]);
    expect(textOf(recordsOf(answer)[0])).toMatch(/^SIP\/2\.0 401 /);
  });

  it("says what time it is to who is late or names no time, and takes nothing new of that", async () => {
    await farCellIsUp();
    const line = await lineEnd();
    for (const [number, until] of [
      [1, Date.now() - 1],
      [2, Number.NaN],
    ] as const) {
      line.say(QuestionKind.question, number, until, encodeFrame(1, 0, [requestOf("OPTIONS", `late${number}`)]));
      const late = await line.take(QuestionKind.late);
      expect([late.number, late.octets.length]).toEqual([number, 0]);
      expect(Math.abs(late.time - Date.now())).toBeLessThan(5_000);
    }
    line.say(QuestionKind.question, 3, Date.now() + frameValidMs, encodeFrame(1, 0, [requestOf("REGISTER", "in-time")]));
    const answer = await line.take(QuestionKind.answer);
    expect(recordsOf(answer).map((record) => textOf(record).split("\r\n", 1)[0])).toEqual(["SIP/2.0 401 Unauthorized"]);
    expect(line.messages).toEqual([]);
  });

  it("says what is wrong with a frame that is none, and ends with what is no message", async () => {
    const line = await lineEnd();
    line.say(QuestionKind.question, 1, Date.now() + frameValidMs, new Uint8Array([7]));
    expect(stringOf((await line.take(QuestionKind.failure)).octets)).toContain("shorter than its header");
    line.text("hello");
    await vi.waitFor(() => expect(line.isClosed).toBe(true));
  });

  it("brings what the exchange has for the line's phones, without a request", async () => {
    await farCellIsUp();
    const [caller, callee] = [userOf("near"), userOf("distant")];
    await addSubscriber(caller, "secret");
    await addSubscriber(callee, "secret");
    const line = await lineEnd();
    const fetched = vi.mocked(fetch);
    replicas[0]?.apply(farBinding(callee));
    await vi.waitFor(async () => {
      const response = await callApi("GET", `/registrations?aor=${callee}@${domain}`);
      expect(await response.json()).toHaveLength(1);
    }, 5_000);
    const phone = await Softphone.connect(caller, "secret");
    const uri = `sip:${callee}@${domain}`;
    const dialog = [`From: <sip:${caller}@${domain}>;tag=1`, `To: <${uri}>`, "Call-ID: over-the-socket"];
    void phone.transact("MESSAGE", uri, dialog);
    // The exchange does not know the clock of cell b, and asks for it first.
    const first = await line.take(QuestionKind.question);
    expect(first.time).toBeNaN();
    line.say(QuestionKind.late, first.number, Date.now());
    const question = await line.take(QuestionKind.question);
    expect(Math.abs(question.time - frameValidMs - Date.now())).toBeLessThan(frameValidMs);
    expect(textOf(recordsOf(question)[0])).toMatch(/^MESSAGE sip:x@far\.invalid/);
    line.say(QuestionKind.answer, question.number, Date.now(), encodeFrame(0, 0, []));
    const isRequested = (): boolean => fetched.mock.calls.some(([request]) => urlOf(request).includes("/cell/line/0"));
    expect(isRequested()).toBe(false);

    // A request is what is left when the line has taken leave.
    line.say(QuestionKind.end, 0, 0);
    await vi.waitFor(() => expect(line.isClosed).toBe(true));
    const other = await Softphone.connect(caller, "secret");
    void other.transact("MESSAGE", uri, [...dialog.slice(0, 2), "Call-ID: without-the-socket"]);
    await vi.waitFor(() => expect(isRequested()).toBe(true), 4_000);
    other.socket.close();
    phone.socket.close();
  });
});

describe("a line that speaks to an exchange of another cell often", () => {
  it("opens a WebSocket, signed for it, and its frames go over that", async () => {
    const user = userOf("often", 1);
    await addSubscriber(user, "secret");
    const opened: { readonly url: string; readonly authorization: string }[] = [];
    const frames: string[] = [];
    const posts: string[] = [];
    answerAsPeer(async (request) => {
      if (!request.url.includes("/line/1?")) {
        if (request.url.includes("/cell/exchange/")) posts.push(request.url);
        return await loopback(request);
      }
      const { 0: far, 1: near } = new WebSocketPair();
      opened.push({ url: request.url, authorization: request.headers.get("authorization") ?? "" });
      near.accept();
      near.binaryType = "arraybuffer";
      near.addEventListener("message", ({ data }: { readonly data: unknown }) => void answerQuestion(near, data, request.url, frames));
      return new Response(null, { status: 101, webSocket: far, headers: ourVersion });
    });
    const phone = await Softphone.connect(user, "secret");
    vi.spyOn(ExchangeObject.prototype, "takeLineFrame").mockRejectedValueOnce(new Error("overloaded"));
    for (let frame = 0; frame < frameSocketFrames; frame += 1) expect(await phone.register()).toMatch(/^SIP\/2\.0 200 /);
    await vi.waitFor(() => expect(opened).toHaveLength(1), 4_000);
    expect(opened[0]?.url).toMatch(/\/line\/1\?access=a\.\d$/);
    expect(opened[0]?.authorization).toMatch(/^Tandem2 a b /);
    const before = posts.length;
    expect(await phone.register()).toMatch(/^SIP\/2\.0 200 /);
    expect(frames.at(-1)).toBe("REGISTER 1");
    expect(posts).toHaveLength(before);
    phone.socket.close();
  });
});

/** Gives a question to an exchange of this cell, and its answer back. */
async function answerQuestion(socket: WebSocket, data: unknown, url: string, frames: string[]): Promise<void> {
  const question = data instanceof ArrayBuffer ? decodeMessage(new Uint8Array(data)) : undefined;
  if (question?.kind !== QuestionKind.question) return;
  frames.push(`${textOf(recordsOf(question).at(-1)).split(" ", 1)[0]} ${Math.sign(question.time - Date.now())}`);
  const target = `/cell/exchange/1${new URL(url).search}`;
  const body = question.octets.slice();
  const headers = { ...ourVersion, authorization: signature("cell", "a", `POST ${target}`, body) };
  const answer = await exports.default.fetch(new Request(`http://a.invalid${target}`, { method: "POST", headers, body }));
  socket.send(encodeMessage(QuestionKind.answer, question.number, Date.now(), new Uint8Array(await answer.arrayBuffer())));
}

function urlOf(request: RequestInfo | URL): string {
  return request instanceof Request ? request.url : String(request);
}

function farBinding(user: string): Parameters<NonNullable<(typeof replicas)[0]>["apply"]>[0] {
  const addressOfRecord = `${user}@${domain}`;
  const now = Date.now();
  const contact = "sip:x@far.invalid;transport=ws";
  const version = replicas[0]?.clock.tick(now);
  if (version === undefined) throw new Error("no replica");
  return {
    kind: "binding",
    key: `${addressOfRecord} ${contact}`,
    version,
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
      flow: `b.0~${farFlow}`,
      transport: "WS",
      received: "198.51.100.7:5060",
      userAgent: "",
      path: [],
    },
  };
}
