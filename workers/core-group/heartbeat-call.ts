import type { BeatOutcome } from "../../actors/core-group/core-group-actor.ts";
import { type Heartbeat, parseHeartbeat } from "../../cluster/group/heartbeat.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { carriedMapOf } from "../carried-map.ts";
import { NotACellError, OtherVersionError, refusedStatuses, sendToCell } from "../cells.ts";
import type { Environment } from "../environment.ts";
import { refusalTextOctetsMax } from "../limits.ts";
import { causeOfRefusal, type RefusalCause, refusalHeader } from "../refused-signature.ts";
import { clockHeader } from "../timely-calls.ts";
import type { WallMs } from "../../sip/time.ts";

/** What Cloudflare answers for an origin that does not answer in time. */
const timeoutStatuses: ReadonlySet<number> = new Set([522, 524]);

const path = "/cell/heartbeat";

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
 * does not accept our signature, with why.
 */
export async function callHeartbeat(
  env: Environment,
  map: ClusterMap,
  cell: string,
  heartbeat: Heartbeat,
  { timeoutMs, lateMs, late }: Patience,
  refused: (cause: RefusalCause) => void,
): Promise<BeatOutcome> {
  const body = new TextEncoder().encode(JSON.stringify(heartbeat));
  let response: Response;
  let text: string;
  let signedAt = Date.now();
  const leaves = (at: WallMs): void => void (signedAt = at);
  // A signal that has its own timeout would wake this process for it long after the answer.
  const stop = new AbortController();
  let timer = setTimeout(() => {
    timer = setTimeout(() => stop.abort(new DOMException("no answer in time", "TimeoutError")), lateMs - timeoutMs);
    late();
  }, timeoutMs);
  try {
    // A frozen cell takes the connection and says nothing.
    response = await sendToCell(env, map, cell, path, "cell", { method: "POST", headers: {}, signal: stop.signal, body, leaves });
    text = await response.text();
  } catch (error) {
    if (error instanceof OtherVersionError) return { failure: "another version", text: error.message };
    if (error instanceof NotACellError) return { failure: "not a cell", text: error.message };
    // Whatever else goes wrong here is a connection that is refused or was closed: the runtime names both alike.
    return { failure: error instanceof Error && (error.name === "TimeoutError" || error.name === "AbortError") ? "timeout" : "refused" };
  } finally {
    clearTimeout(timer);
  }
  const answeredAt = Date.now();
  const { status, headers } = response;
  if (status === 401) {
    const far = Number(headers.get(clockHeader) ?? Number.NaN);
    const theirClock = Number.isFinite(far) ? far : undefined;
    const cause = causeOfRefusal({ signedAt, answeredAt, theirClock, refusal: headers.get(refusalHeader) ?? undefined });
    refused(cause);
    return { failure: cause.type === "slow" ? "slow" : "bad signature" };
  }
  if (refusedStatuses.has(status)) return { failure: "refused" };
  if (timeoutStatuses.has(status)) return { failure: "timeout" };
  const answer = parseJson(text);
  if (status !== 200) return { failure: "error", text: `it answers ${status}${refusalIn(answer)}` };
  return parseHeartbeat(answer, carriedMapOf) ?? { failure: "error" };
}

/** What a cell says of why it refuses, to stand behind something. */
function refusalIn(answer: unknown): string {
  const error = typeof answer === "object" && answer !== null && "error" in answer ? answer.error : undefined;
  return typeof error === "string" ? `: ${error.slice(0, refusalTextOctetsMax)}` : "";
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
