import { exports } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { valueOf } from "../../kit/phone/message-text.ts";
import { exchangeOf } from "../../cluster/map/cluster-map.ts";
import { decodeFrame, encodeFrame, isFrameError, RecordKind } from "../../cluster/backhaul/frame.ts";
import { ExchangeObject } from "../../workers/exchange/exchange-object.ts";
import { frameValidMs } from "../../actors/limits.ts";
import { clockHeader } from "../../workers/timely-calls.ts";
import { answerAsPeer, callApi, domain, loopback, map, ourVersion, signature, subscriberOf, userOf } from "./cell.ts";
import { Softphone } from "./softphone.ts";

type Seen = { readonly url: string; readonly authorization: string; readonly body: Uint8Array };

/** What a cell asks of its peer is answered by the same code, over the same protocol: {@link loopback}. */
function peerIsLoopback(): Seen[] {
  const seen: Seen[] = [];
  answerAsPeer(async (request) => {
    const body = new Uint8Array(await request.clone().arrayBuffer());
    seen.push({ url: request.url, authorization: request.headers.get("authorization") ?? "", body });
    return await loopback(request);
  });
  return seen;
}

function post(path: string, body: Uint8Array, who = "b"): Promise<Response> {
  const headers = { ...ourVersion, authorization: signature("cell", who, `POST ${path}`, body) };
  return exports.default.fetch(new Request(`http://a.invalid${path}`, { method: "POST", headers, body }));
}

afterEach(() => {
  vi.restoreAllMocks();
});

const noFrame = encodeFrame(0, 0, []);

describe("a line of one cell and an exchange of another", () => {
  it("speak in signed requests when the replica of this cell fails: a takeover first, then what was not acknowledged", async () => {
    const seen = peerIsLoopback();
    const user = userOf("far", 1);
    expect((await callApi("PUT", "/subscribers", [subscriberOf(user, "secret")])).status).toBe(200);
    const phone = await Softphone.connect(user, "secret");
    vi.spyOn(ExchangeObject.prototype, "takeLineFrame").mockRejectedValueOnce(new Error("overloaded"));
    expect(await phone.register()).toMatch(/^SIP\/2\.0 200 /);
    const records = seen
      .filter(({ url }) => url.includes("/cell/exchange/"))
      .flatMap(({ body }) => {
        const frame = decodeFrame(body);
        return isFrameError(frame) ? [] : frame.records;
      });
    // The first frame ever asks what that cell's clock says, and is sent once more.
    expect(records.map(({ kind }) => kind).slice(0, 4)).toEqual([
      RecordKind.hello,
      RecordKind.hello,
      RecordKind.takeover,
      RecordKind.message,
    ]);
    const paths = seen.map(({ url }) => url).filter((url) => url.includes("/cell/exchange/1"));
    expect(paths[0]).toMatch(/\?access=a\.\d&until=$/);
    for (const path of paths.slice(1)) {
      const until = Number(/\?access=a\.\d&until=(\d+)$/.exec(path)?.[1]);
      expect(Math.abs(until - frameValidMs - Date.now())).toBeLessThan(frameValidMs);
    }
    expect(seen.every(({ authorization }) => authorization.startsWith("Tandem2 a b "))).toBe(true);
    phone.socket.close();
  });

  it("[RFC3261 22.3] ask the caller's exchange for its secrets when the callee's does not have them", async () => {
    peerIsLoopback();
    const [caller, callee] = [userOf("caller", 1), userOf("callee", 0)];
    await callApi("PUT", "/subscribers", [subscriberOf(caller, "secret"), subscriberOf(callee, "secret")]);
    const phone = await Softphone.connect(caller, "secret");
    const uri = `sip:${callee}@${domain}`;
    const answer = await phone.transact("MESSAGE", uri, [`From: <sip:${caller}@${domain}>;tag=1`, `To: <${uri}>`, "Call-ID: secrets"]);
    // Past authentication: the callee is known and has no phone.
    expect(answer).toMatch(/^SIP\/2\.0 480 /);
    phone.socket.close();
  });

  it("[RFC3261 21.5.4] answers 503 when the secrets cannot be had", async () => {
    vi.spyOn(ExchangeObject.prototype, "credentialsOf").mockRejectedValue(new Error("overloaded"));
    const [caller, callee] = [userOf("stranger", 1), userOf("callee", 0)];
    expect(exchangeOf(map, `${caller}@${domain}`)).toBe(1);
    const phone = await Softphone.connect(caller, "secret");
    const uri = `sip:${callee}@${domain}`;
    const answer = await phone.transact("MESSAGE", uri, [`From: <sip:${caller}@${domain}>;tag=1`, `To: <${uri}>`, "Call-ID: no-secrets"]);
    expect(answer).toMatch(/^SIP\/2\.0 503 /);
    expect(valueOf(answer, "Retry-After")).not.toBe("");
    phone.socket.close();
  });

  it("take frames from lines of the cell that signed only", async () => {
    expect((await post("/cell/exchange/0?access=b.0", noFrame)).status).toBe(200);
    for (const access of ["a.0", "g1", ""]) {
      const response = await post(`/cell/exchange/0?access=${access}`, noFrame);
      expect(response.status).toBe(403);
      expect(await response.json()).toEqual({ error: `${access} is no line of cell b` });
    }
    expect((await post("/cell/exchange/9?access=b.0", noFrame)).status).toBe(404);
  });

  it("get back what a line cannot deliver", async () => {
    const octets = new TextEncoder().encode("OPTIONS sip:x SIP/2.0\r\n\r\n");
    const frame = encodeFrame(0, 0, [{ kind: RecordKind.send, key: "w0.gone.000000000000", octets }]);
    const response = await post("/cell/line/1", frame);
    expect(decodeFrame(new Uint8Array(await response.arrayBuffer()))).toMatchObject({
      records: [{ kind: RecordKind.undeliverable, key: "w0.gone.000000000000", octets }],
    });
    expect((await post("/cell/line/99", frame)).status).toBe(404);
  });

  it("do not deliver what comes later than it is wanted, and say what time it is: the sender has long gone elsewhere", async () => {
    const octets = new TextEncoder().encode("OPTIONS sip:x SIP/2.0\r\n\r\n");
    const frame = encodeFrame(0, 0, [{ kind: RecordKind.send, key: "w0.gone.000000000000", octets }]);
    const taken = vi.spyOn(ExchangeObject.prototype, "takeLineFrame");
    for (const path of ["/cell/line/1?exchange=0", "/cell/exchange/0?access=b.0"]) {
      for (const [until, status] of [
        [Date.now() - 1, 412],
        [Date.now() + 10_000, 200],
        ["", 428],
        ["soon", 428],
      ] as const) {
        const response = await post(`${path}&until=${until}`, frame);
        expect([path, until, response.status]).toEqual([path, until, status]);
        expect(Math.abs(Number(response.headers.get(clockHeader)) - Date.now())).toBeLessThan(5_000);
        if (status === 200) continue;
        expect(Object.keys(await response.json<Record<string, unknown>>())).toEqual(["error"]);
      }
    }
    // Who names no time has not even woken the object.
    expect(taken).toHaveBeenCalledTimes(2);
  });

  it("say what is wrong with a frame that is none", async () => {
    const response = await post("/cell/line/1", new Uint8Array([7]));
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({ error: "no frame: shorter than its header" });
    expect((await post("/cell/exchange/0?access=b.0", new Uint8Array([7]))).status).toBe(400);
  });
});
