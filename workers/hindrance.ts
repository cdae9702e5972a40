import { versionHeader } from "../cluster/protocol-version.ts";
import { strangersAnswerOctetsMax } from "./limits.ts";

/**
 * What is no cell and answers in the place of one. Cloudflare does where it lets no request reach a Worker, and so does a proxy with a page of its own. Neither says
 * a version of ours.
 */

/** How Cloudflare tells a Worker that it has not fetched something; the status is 404 with 1042, and others with others. */
const errorCode = /^error code: (\d{4})\b/;

/** By the codes of https://developers.cloudflare.com/workers/observability/errors/, what it means here. */
const meanings: Readonly<Record<string, (cell: string) => string>> = {
  1015: () => "its account has more requests than it may: the rate is limited",
  1016: () => "its name leads nowhere",
  1019: () => "the request went in a circle between Workers",
  1027: () => "its account has used up the requests that the free plan has for a day, until midnight UTC",
  1042: (cell) =>
    `no Worker may fetch another one of its zone: deploy with compatibility flag global_fetch_strictly_public, or with binding CELL_${cell.toUpperCase()}`,
  1101: () => "its Worker threw an exception: see its log",
  1102: () => "its Worker has exceeded the limits of CPU time or memory",
};

/** What came from somebody who is no cell, in words; undefined: nothing says that this is not the cell. The body is read only where it is. */
export async function hindranceIn(response: Response, cell: string): Promise<string | undefined> {
  const { status, headers } = response;
  if (headers.get(versionHeader) !== null || response.webSocket !== null) return undefined;
  if (/^text\/html\b/i.test(headers.get("content-type") ?? "")) {
    await response.body?.cancel();
    return `a web page came in its place, with status ${status}: is something else at its URL, or in front of it?`;
  }
  if (status < 400) return undefined;
  const [, code] = errorCode.exec(await beginningOf(response.clone())) ?? [];
  // Codes of three digits are statuses as well, which say enough.
  if (code === undefined) return undefined;
  await response.body?.cancel();
  return `Cloudflare answers in its place, error ${code}: ${meanings[code]?.(cell) ?? "see its list of Workers errors"}`;
}

/** As much of a body as tells what it is: whoever it comes from, it is no friend. */
async function beginningOf({ body }: Response): Promise<string> {
  if (body === null) return "";
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of body as ReadableStream<Uint8Array>) {
    text += decoder.decode(chunk.subarray(0, strangersAnswerOctetsMax), { stream: true });
    if (text.length >= strangersAnswerOctetsMax) break;
  }
  return text;
}
