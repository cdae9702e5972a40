import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { beforeEach, vi } from "vitest";
import { exchangeOf } from "../../cluster/map/cluster-map.ts";
import { protocolVersion, versionHeader } from "../../cluster/protocol-version.ts";
import { clusterMapOf, exchangeName } from "../../workers/environment.ts";
import { authorizationFor, checkSignature, hashOf, isBodyOf, signedPathOf } from "../../workers/signature.ts";
import { PeerReplica } from "./peer-replica.ts";

/** The cell under test, as its peers see it. */

export const map = clusterMapOf(env);
export const domain = "example.test";

let peer: (request: Request) => Promise<Response>;
let isPeerAway = false;

/** The replicas in cell b. They live as long as the objects in cell a: for a file. */
export const replicas: readonly PeerReplica[] = Array.from({ length: map.exchangeCount }, (_, exchange) => new PeerReplica(exchange));

/** What cell b is in this test, apart from its replicas: its requests come here. Nobody, unless a test says otherwise. */
export function answerAsPeer(answer: (request: Request) => Promise<Response>): void {
  peer = answer;
}

/** Cell b as another name of cell a: what was signed for it is checked, and asked of this cell. */
export async function loopback(request: Request): Promise<Response> {
  const { url, method, headers } = request;
  const body = new Uint8Array(await request.arrayBuffer());
  const path = signedPathOf(url);
  const received = { purpose: "cell", to: "b", method, path };
  const signed = checkSignature(headers.get("authorization") ?? "", env.TANDEM_SECRET, received, Date.now());
  if ("refusal" in signed || !isBodyOf(signed, body)) return new Response(null, { status: 401 });
  const authorization = signature("cell", signed.who, `${method} ${path}`, body);
  const init = { method, headers: { ...ourVersion, authorization } };
  return await exports.default.fetch(new Request(url, method === "GET" ? init : { ...init, body }));
}

/** Cell b is not there at all: its replicas neither. */
export function peerIsAway(): void {
  isPeerAway = true;
}

let beats = 0;

/** Cell b's core group is there as well: no view says that its replicas cannot be reached. */
export function peerIsUp(): void {
  answerAsPeer((request) => {
    if (!request.url.endsWith("/cell/heartbeat")) return Promise.reject(new Error("connection refused"));
    beats += 1;
    const settings = { version: map.version, heartbeat: map.heartbeat };
    return Promise.resolve(Response.json({ cell: "b", boot: "b", sequence: beats, state: "up", epoch: 1, gateways: [], settings }));
  });
}

beforeEach(() => {
  isPeerAway = false;
  peer = () => Promise.reject(new Error("connection refused"));
  vi.spyOn(globalThis, "fetch").mockImplementation((...args) => {
    const request = new Request(...args);
    const replica = replicas[Number(/\/cell\/pair\/(\d+)$/.exec(request.url)?.[1])];
    if (isPeerAway) return Promise.reject(new Error("connection refused"));
    return (replica === undefined ? peer(request) : replica.answer(request)).then(withOurVersion);
  });
});

/** What every request between parts says. */
export const ourVersion: Readonly<Record<string, string>> = { [versionHeader]: String(protocolVersion) };

/** Cell b's answers say its version; ours, unless a test says another one. What Cloudflare answers in its place has a ray, and no version. */
function withOurVersion(response: Response): Response {
  const isOfCell = !response.headers.has("cf-ray");
  if (isOfCell && !response.headers.has(versionHeader) && response.webSocket === null) {
    response.headers.set(versionHeader, String(protocolVersion));
  }
  return response;
}

/** What Cloudflare answers where it does not let a request reach a Worker. */
export function cloudflareError(status: number, code: number): Response {
  return new Response(`error code: ${code}\n`, { status, headers: { "cf-ray": "0", "content-type": "text/plain; charset=UTF-8" } });
}

export function get(path: string, headers: Record<string, string> = {}): Promise<Response> {
  return exports.default.fetch(new Request(`http://a.invalid${path}`, { headers: { ...ourVersion, ...headers } }));
}

export function upgrade(path: string, headers: Record<string, string> = {}): Promise<Response> {
  return get(path, { upgrade: "websocket", ...headers });
}

/** A signature for this cell. `request`: its method and path, `GET /backhaul/0`. */
export function signature(purpose: string, who: string, request: string, body?: Uint8Array): string {
  const [method = "", path = ""] = request.split(" ");
  return authorizationFor(env.TANDEM_SECRET, { purpose, who, to: env.CELL, method, path, body }, Date.now());
}

/** A request to the API as the `tandem` command makes it. */
export function callApi(method: string, path: string, json?: unknown): Promise<Response> {
  const body = json === undefined ? undefined : new TextEncoder().encode(JSON.stringify(json));
  const headers = { authorization: signature("api", "cli", `${method} /api${path}`, body) };
  return exports.default.fetch(
    new Request(`http://a.invalid/api${path}`, body === undefined ? { method, headers } : { method, headers, body }),
  );
}

/**
 * Puts an exchange to sleep, its WebSockets kept. Completed transactions would keep it awake for up to 32 s, so they are made to end:
 * it is called back as if a minute had passed.
 */
export async function putToSleep(exchange: number): Promise<void> {
  const stub = env.EXCHANGE.getByName(exchangeName(exchange));
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 60_000 });
  await runInDurableObject(stub, (instance) => instance.alarm());
  vi.useRealTimers();
  await evictDurableObject(stub, { webSockets: "hibernate" });
}

/** A user whose exchange has its primary in cell a, the only cell of these tests. The same user for the same name and exchange. */
export function userOf(name: string, exchange = 0): string {
  for (let number = 0; ; number += 1) {
    const user = `${name}${number}`;
    if (exchangeOf(map, `${user}@${domain}`) === exchange) return user;
  }
}

/** What `PUT /api/subscribers` takes for a user. */
export function subscriberOf(user: string, password: string): Record<string, string> {
  const plain = `${user}:${domain}:${password}`;
  const full = `${user}@${domain}:${domain}:${password}`;
  return {
    aor: `${user}@${domain}`,
    ha1Md5: hashOf("MD5", plain),
    ha1Sha256: hashOf("SHA-256", plain),
    ha1bMd5: hashOf("MD5", full),
    ha1bSha256: hashOf("SHA-256", full),
  };
}

export async function addSubscriber(user: string, password: string): Promise<void> {
  const response = await callApi("PUT", "/subscribers", [subscriberOf(user, password)]);
  if (response.status !== 200) throw new Error(`cannot add ${user}: ${await response.text()}`);
}
