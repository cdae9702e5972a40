import { env, exports } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import { PeerCalls } from "../../workers/exchange/peer-calls.ts";
import { acceptPeerSocket } from "../../workers/exchange/peer-socket.ts";
import { peerSocketBatches, peerSocketIdleMs } from "../../actors/limits.ts";
import { authorizationFor } from "../../workers/signature.ts";
import { ourVersion } from "./cell.ts";

const text = new TextEncoder();

/** A replica that says what it was told, and by which way, and whose end of the WebSocket a test may take. */
class Peer {
  requests = 0;
  opened = 0;
  readonly overSocket: string[] = [];
  take: (batch: Uint8Array) => Uint8Array | undefined = (batch) => batch;
  request: (batch: Uint8Array, signal: AbortSignal) => Promise<Uint8Array> = (batch) => Promise.resolve(batch);
  open: () => Promise<WebSocket> = () => Promise.resolve(socketOf(acceptPeerSocket((batch) => this.#taken(batch))));
  readonly calls = new PeerCalls({
    now: () => Date.now(),
    request: (batch, signal) => {
      this.requests += 1;
      return this.request(batch, signal);
    },
    open: () => {
      this.opened += 1;
      return this.open();
    },
  });

  async ask(batch: string): Promise<string> {
    return new TextDecoder().decode(await this.calls.ask(text.encode(batch)).answer);
  }

  /** Asks until a batch goes over the WebSocket. */
  async becomeBusy(): Promise<void> {
    await vi.waitFor(async () => {
      await this.ask("busy");
      expect(this.overSocket.length).toBeGreaterThan(0);
    });
  }

  #taken(batch: Uint8Array): Uint8Array | undefined {
    this.overSocket.push(new TextDecoder().decode(batch));
    return this.take(batch);
  }
}

function socketOf({ webSocket }: Response): WebSocket {
  if (webSocket === null) throw new Error("no WebSocket");
  return webSocket;
}

/** A peer whose end of the WebSocket the test has in hand. */
function heldPeer(): { readonly peer: Peer; readonly far: Promise<WebSocket> } {
  const peer = new Peer();
  const far = new Promise<WebSocket>((resolve) => {
    peer.open = () => {
      const { 0: near, 1: held } = new WebSocketPair();
      held.accept();
      held.binaryType = "arraybuffer";
      resolve(held);
      return Promise.resolve(near);
    };
  });
  return { peer, far };
}

async function busy(peer: Peer): Promise<void> {
  for (let count = 0; count < peerSocketBatches; count += 1) await peer.ask("busy");
  // What opens is used from the next batch on.
  await vi.waitFor(() => expect(peer.opened).toBe(1));
}

describe("batches to the peer", () => {
  it("go by requests while they are few", async () => {
    const peer = new Peer();
    for (let count = 1; count < peerSocketBatches; count += 1) expect(await peer.ask(`batch ${count}`)).toBe(`batch ${count}`);
    expect(peer).toMatchObject({ requests: peerSocketBatches - 1, opened: 0 });
  });

  it("go over one WebSocket while they are many, each with its own answer", async () => {
    const peer = new Peer();
    await peer.becomeBusy();
    const { requests } = peer;
    const batches = Array.from({ length: 50 }, (_, index) => `batch ${index}`);
    expect(await Promise.all(batches.map(async (batch) => await peer.ask(batch)))).toEqual(batches);
    expect(peer.overSocket).toEqual(expect.arrayContaining(batches));
    expect(peer).toMatchObject({ requests, opened: 1 });
  });

  it(
    "go by requests again when there have been none for a while, so that both replicas may sleep",
    async () => {
      const { peer, far } = heldPeer();
      await busy(peer);
      const socket = await far;
      const closed = new Promise<void>((resolve) => socket.addEventListener("close", () => resolve()));
      await closed;
      expect(await peer.ask("after")).toBe("after");
    },
    4 * peerSocketIdleMs,
  );

  it("are asked by a request when the WebSocket ends before the answer: only that tells whether the peer is there", async () => {
    const { peer, far } = heldPeer();
    await busy(peer);
    const socket = await far;
    socket.addEventListener("message", () => socket.close(1011));
    await vi.waitFor(async () => expect(await peer.ask("again")).toBe("again"));
    expect(peer.opened).toBe(1);
  });

  it("of which nobody waits for the answer end a WebSocket that does not answer: the next one is a request", async () => {
    const { peer, far } = heldPeer();
    await busy(peer);
    const socket = await far;
    const { requests } = peer;
    const frozen = peer.calls.ask(text.encode("frozen"));
    socket.addEventListener("message", () => frozen.abandon());
    await expect(frozen.answer).rejects.toThrow("ended");
    expect(peer.requests).toBe(requests);
    expect(await peer.ask("next")).toBe("next");
    expect(peer.requests).toBe(requests + 1);
  });

  it("of which nobody waits for the answer end the request that took the WebSocket's place", async () => {
    const { peer, far } = heldPeer();
    await busy(peer);
    const socket = await far;
    const asked = new Promise<AbortSignal>((resolve) => {
      peer.request = async (_batch, signal) => {
        resolve(signal);
        return await new Promise((_answered, reject) => {
          signal.addEventListener("abort", () => reject(new Error("aborted")));
        });
      };
    });
    socket.addEventListener("message", () => socket.close(1011));
    const question = peer.calls.ask(text.encode("frozen"));
    const signal = await asked;
    question.abandon();
    await expect(question.answer).rejects.toThrow("aborted");
    expect(signal.aborted).toBe(true);
  });

  it("take the first answer: a second one, and one to nothing, are let go", async () => {
    const { peer, far } = heldPeer();
    await busy(peer);
    const socket = await far;
    socket.addEventListener("message", ({ data }) => {
      const octets = new Uint8Array(data as ArrayBuffer);
      socket.send(new Uint8Array([0, 0, 9, 9, 65]));
      socket.send(octets);
      socket.send(octets);
    });
    expect(await peer.ask("one")).toBe("one");
    expect(await peer.ask("two")).toBe("two");
  });

  it.each([["text"], [new Uint8Array([1, 2, 3])]])("do not stay on a WebSocket that says what is no answer: %j", async (junk) => {
    const { peer, far } = heldPeer();
    await busy(peer);
    const socket = await far;
    socket.addEventListener("message", () => socket.send(junk));
    expect(await peer.ask("one")).toBe("one");
    const { requests } = peer;
    expect(await peer.ask("two")).toBe("two");
    expect(peer.requests).toBe(requests + 1);
  });

  it("go by requests where no WebSocket is to be had, which is asked for now and then", async () => {
    const peer = new Peer();
    peer.open = () => Promise.reject(new Error("refused"));
    for (let count = 0; count < 10 * peerSocketBatches; count += 1) expect(await peer.ask("batch")).toBe("batch");
    expect(peer).toMatchObject({ requests: 10 * peerSocketBatches, opened: 1 });
  });

  it("leave nothing behind where they were taken: workerd keeps the event that brought one", async () => {
    const peer = new Peer();
    await peer.becomeBusy();
    const taken: Uint8Array[] = [];
    peer.take = (batch) => {
      taken.push(batch);
      return text.encode("taken");
    };
    expect(await peer.ask("a batch")).toBe("taken");
    expect(taken.map((batch) => batch.byteLength)).toEqual([0]);
  });

  it("that are none are asked by a request as well, whose answer says so", async () => {
    const peer = new Peer();
    await peer.becomeBusy();
    const { requests } = peer;
    peer.take = () => undefined;
    await peer.ask("no batch");
    expect(peer.requests).toBe(requests + 1);
    peer.take = (batch) => batch;
    expect(await peer.ask("a batch")).toBe("a batch");
    expect(peer.requests).toBe(requests + 1);
  });
});

async function get(path: string, authorization: string, upgrade: Record<string, string> = { upgrade: "websocket" }): Promise<Response> {
  return await exports.default.fetch(new Request(`http://a.invalid${path}`, { headers: { ...ourVersion, authorization, ...upgrade } }));
}

function signature(who: string, purpose: string, secret = env.TANDEM_SECRET, ageMs = 0, path = "/pair/0"): string {
  return authorizationFor(secret, { purpose, who, to: "a", method: "GET", path }, Date.now() - ageMs);
}

describe("GET /pair/<k>", () => {
  it("is for the cell of the other replica alone, signed for this exchange's pair", async () => {
    expect((await get("/pair/0", signature("a", "pair 0"))).status).toBe(403);
    expect((await get("/pair/0", signature("c", "pair 0"))).status).toBe(403);
    expect((await get("/pair/9", signature("b", "pair 9", env.TANDEM_SECRET, 0, "/pair/9"))).status).toBe(404);
    expect((await get("/pair/0", signature("b", "cell"))).status).toBe(401);
    expect((await get("/pair/0", signature("b", "pair 1"))).status).toBe(401);
    expect((await get("/pair/0", signature("b", "pair 0", "another secret"))).status).toBe(401);
    expect((await get("/pair/0", signature("b", "pair 0", env.TANDEM_SECRET, 60_000))).status).toBe(401);
    expect((await get("/pair/0", signature("b", "pair 0"), {})).status).toBe(426);
  });

  it("answers what is no batch without octets, ends on what is no message, and the exchange serves on", async () => {
    const socket = socketOf(await get("/pair/0", signature("b", "pair 0")));
    socket.accept();
    socket.binaryType = "arraybuffer";
    const answer = new Promise<number[]>((resolve) => {
      socket.addEventListener("message", ({ data }) => resolve([...new Uint8Array(data as ArrayBuffer)]));
    });
    socket.send(new Uint8Array([0, 0, 0, 7, 65]));
    expect(await answer).toEqual([0, 0, 0, 7]);
    const closed = new Promise<void>((resolve) => socket.addEventListener("close", () => resolve()));
    socket.send("text");
    await closed;
    expect((await env.EXCHANGE.getByName("exchange-0").counts()).exchange).toBe(0);
  });
});
