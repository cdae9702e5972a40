import type { Failure } from "../../cluster/group/cell-member.ts";
import { parseHeartbeat, type Heartbeat } from "../../cluster/group/heartbeat.ts";
import { otherVersionOf, protocolVersion, versionHeader } from "../../cluster/protocol-version.ts";
import { carriedMapOf } from "../carried-map.ts";
import { refusedStatuses } from "../cells.ts";
import { type Environment, signingKeyOf } from "../environment.ts";
import { authorizationFor } from "../signature.ts";
import { clockHeader } from "../timely-calls.ts";

/** What Cloudflare answers for an origin that does not answer in time. */
const timeoutStatuses: ReadonlySet<number> = new Set([522, 524]);

const beatRequest = { purpose: "cell", method: "POST", path: "/cell/heartbeat" } as const;

/** Another cell speaks this version of the protocol, and not ours. */
export type OtherVersion = { readonly otherVersion: number };

/** How long the answer to a heartbeat may take. */
export type Patience = {
  /** Then `late` is called. */
  readonly timeoutMs: number;
  /** Then nobody waits any more. */
  readonly lateMs: number;
  readonly late: () => void;
};

/**
 * Sends a heartbeat to another cell. Resolves with its answer, or with the way in which there was none; never rejects. `refused` is called when it
 * does not accept our signature, with how far its clock is ahead of ours, ms, if it says that.
 */
export async function callHeartbeat(
  env: Environment,
  cell: string,
  url: string,
  heartbeat: Heartbeat,
  { timeoutMs, lateMs, late }: Patience,
  refused: (aheadMs: number | undefined) => void,
): Promise<Heartbeat | Failure | OtherVersion> {
  const body = new TextEncoder().encode(JSON.stringify(heartbeat));
  let response: Response;
  let text: string;
  // A signal that has its own timeout would wake this process for it long after the answer.
  const stop = new AbortController();
  let timer = setTimeout(() => {
    timer = setTimeout(() => stop.abort(new DOMException("no answer in time", "TimeoutError")), lateMs - timeoutMs);
    late();
  }, timeoutMs);
  try {
    response = await fetch(new URL(beatRequest.path, url), {
      method: beatRequest.method,
      headers: {
        authorization: authorizationFor(signingKeyOf(env), { ...beatRequest, who: env.CELL, to: cell, body }, Date.now()),
        [versionHeader]: String(protocolVersion),
      },
      body,
      // A frozen cell takes the connection and says nothing.
      signal: stop.signal,
    });
    text = await response.text();
  } catch (error) {
    // Whatever else goes wrong here is a connection that is refused or was closed: the runtime names both alike.
    return error instanceof Error && (error.name === "TimeoutError" || error.name === "AbortError") ? "timeout" : "refused";
  } finally {
    clearTimeout(timer);
  }
  const otherVersion = otherVersionOf(response.status, response.headers.get(versionHeader));
  if (otherVersion !== undefined) return { otherVersion };
  if (response.status === 401) {
    const far = Number(response.headers.get(clockHeader) ?? Number.NaN);
    refused(Number.isFinite(far) ? far - Date.now() : undefined);
    return "bad signature";
  }
  if (refusedStatuses.has(response.status)) return "refused";
  if (timeoutStatuses.has(response.status)) return "timeout";
  return (response.status === 200 ? parseHeartbeat(parseJson(text), carriedMapOf) : undefined) ?? "error";
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
