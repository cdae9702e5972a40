import type { ClusterMap } from "../cluster/map/cluster-map.ts";
import { otherVersionOf, otherVersionText, protocolVersion, versionHeader } from "../cluster/protocol-version.ts";
import { hindranceIn } from "./hindrance.ts";
import { diskFullStatus, diskFullText } from "./disk-room.ts";
import { type Environment, signingKeyOf } from "./environment.ts";
import { cellAnswerMsMax } from "./limits.ts";
import { learnWhereTo, movedStatus } from "./moved.ts";
import { authorizationFor, signedPathOf } from "./signature.ts";
import type { WallMs } from "../sip/time.ts";

/**
 * One protocol and one way between cells, wherever they run: signed requests over a service binding when there is one, else over HTTPS to the cell's URL
 * (docs/decisions/0059-one-way-between-cells.md). Heartbeats go that way as well. The outgoing WebSockets are those of a busy pair
 * (exchange/peer-socket.ts) and of a busy line (frame-sockets.ts): an open one keeps its object awake.
 */

/** Whether a number names one of this map's exchanges. */
export function isExchange(map: ClusterMap, exchange: number): boolean {
  return Number.isInteger(exchange) && exchange >= 0 && exchange < map.exchangeCount;
}

/** A cell answered, and not with what was asked for. It is there. */
export class CellAnswerError extends Error {
  override readonly name = "CellAnswerError";
}

/** A cell speaks another version of the protocol: it is as good as not there. The core group says so, in one line. */
export class OtherVersionError extends Error {
  override readonly name = "OtherVersionError";
}

/** Something that is no cell has answered in its place: Cloudflare itself, or a proxy. */
export class NotACellError extends Error {
  override readonly name = "NotACellError";
}

/** Sends a signed request to another cell. Rejects when it is not in the map, cannot be reached before the signal, or speaks another version. */
export async function fetchCell(
  env: Environment,
  map: ClusterMap,
  cell: string,
  path: string,
  body: Uint8Array | undefined,
  signal: AbortSignal,
): Promise<Response> {
  return await sendToCell(env, map, cell, path, "cell", {
    method: body === undefined ? "GET" : "POST",
    headers: {},
    signal,
    ...(body === undefined ? {} : { body }),
  });
}

/** Opens a WebSocket to another cell, signed for a purpose. Rejects when the cell does not, or not before the signal; accept what is returned. */
export async function openCellSocket(
  env: Environment,
  map: ClusterMap,
  cell: string,
  path: string,
  purpose: string,
  signal: AbortSignal,
): Promise<WebSocket> {
  const request = { method: "GET", headers: { upgrade: "websocket" }, signal };
  const { status, webSocket } = await sendToCell(env, map, cell, path, purpose, request);
  if (webSocket === null) throw new Error(`cell ${cell} opened no WebSocket on ${path}, it answered ${status}`);
  return webSocket;
}

export type CellRequest = {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  readonly body?: Uint8Array;
  /** It leaves now, signed at this time of the wall clock, ms. */
  readonly leaves?: (signedAt: WallMs) => void;
};

/**
 * The host in what is asked over a service binding, which names no host. Cloudflare is reported to answer 1042 over a binding as well where the URL is that of a
 * Worker of the same account.
 */
const boundUrl = "https://cell.invalid";

/** What is asked of another cell, of whatever kind. Rejects with an {@link OtherVersionError}, a {@link NotACellError}, or when there is no answer. */
export async function sendToCell(
  env: Environment,
  map: ClusterMap,
  cell: string,
  path: string,
  purpose: string,
  { method, headers, signal, body, leaves }: CellRequest,
): Promise<Response> {
  const url = map.cells.find((each) => each.id === cell)?.url;
  if (url === undefined) throw new Error(`cell ${cell} is not in the cluster map`);
  const binding = env[`CELL_${cell.toUpperCase()}`];
  const { href } = new URL(path, binding === undefined ? url : boundUrl);
  const toSign = { purpose, who: env.CELL, to: cell, method, path: signedPathOf(href), body };
  // Signed when its turn has come: what waits here must not get old.
  const ask = (): Promise<Response> => {
    const now = Date.now();
    const authorization = authorizationFor(signingKeyOf(env), toSign, now);
    leaves?.(now);
    const signed = { ...headers, authorization, [versionHeader]: String(protocolVersion) };
    const request = { method, headers: signed, signal, ...(body === undefined ? {} : { body }) };
    return binding === undefined ? fetch(href, request) : binding.fetch(href, request);
  };
  const response = await (env.OUTGOING === undefined ? ask() : env.OUTGOING.send(cell, map.cells.length - 1, signal, ask));
  if (response.status === movedStatus) await learnWhereTo(env);
  const hindrance = await hindranceIn(response, cell);
  if (hindrance !== undefined) throw new NotACellError(hindrance);
  const theirs = otherVersionOf(response.status, response.headers.get(versionHeader));
  if (theirs === undefined) return response;
  response.webSocket?.accept();
  response.webSocket?.close(1000);
  await response.body?.cancel();
  throw new OtherVersionError(otherVersionText(`cell ${cell}`, theirs, `cell ${env.CELL}`));
}

/** What Cloudflare answers for an origin that refuses connections, or that has no way to it. */
export const refusedStatuses: ReadonlySet<number> = new Set([521, 523]);

/** The body of a cell's answer. Throws unless that is 200: a {@link CellAnswerError} when it was the cell that answered. */
export async function octetsOfAnswer(response: Response, cell: string, path: string): Promise<Uint8Array> {
  const octets = new Uint8Array(await response.arrayBuffer());
  const { status } = response;
  if (status === 200) return octets;
  if (status === diskFullStatus) throw new Error(diskFullText);
  const text = `cell ${cell} answered ${status} to ${path}`;
  throw refusedStatuses.has(status) ? new Error(text) : new CellAnswerError(text);
}

/** {@link fetchCell} for the body of a 200. Rejects likewise, and when the cell does not answer within `timeoutMs`. */
export async function callCell(
  env: Environment,
  map: ClusterMap,
  cell: string,
  path: string,
  body?: Uint8Array,
  timeoutMs: number = cellAnswerMsMax,
): Promise<Uint8Array> {
  return await octetsOfAnswer(await fetchCell(env, map, cell, path, body, AbortSignal.timeout(timeoutMs)), cell, path);
}

/** {@link callCell} with JSON on both sides. */
export async function askCell<Answer>(env: Environment, map: ClusterMap, cell: string, path: string, question?: unknown): Promise<Answer> {
  const body = question === undefined ? undefined : new TextEncoder().encode(JSON.stringify(question));
  return JSON.parse(new TextDecoder().decode(await callCell(env, map, cell, path, body))) as Answer;
}

/** The value of a promise, or a rejection after `timeoutMs`: calls to objects of one's own cell have no timeout of their own. */
export async function within<Value>(promise: Promise<Value>, timeoutMs: number): Promise<Value> {
  let timer: ReturnType<typeof setTimeout> | null = null;
  const timeout = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
