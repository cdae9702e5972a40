import { callsSchema, type CallRow } from "../schemas/api-answers.ts";
import { read } from "../schemas/reading.ts";
import type { ApiClient } from "./api-client.ts";
import { Failure } from "./errors.ts";

export const otherVersion = "the cell's answer is no list of calls: is it of another version?";

/** Calls in one answer: some 2 MB, which come long before a command gives up. */
const pageRows = 5_000;

/** The latest calls that match, the earliest first. `isCut`: there are earlier ones. */
export async function latestCalls(
  api: Pick<ApiClient, "get">,
  query: URLSearchParams,
  limit: number,
): Promise<{ readonly calls: readonly CallRow[]; readonly isCut: boolean }> {
  const pages: (readonly CallRow[])[] = [];
  let missing = limit;
  for (;;) {
    // One more than is wanted says whether there are more.
    const most = Math.min(pageRows, missing + 1);
    const [earliest] = pages.at(-1) ?? [];
    const asked = new URLSearchParams(query);
    asked.set("most", String(most));
    if (earliest !== undefined) asked.set("before", placeOf(earliest));
    const page = await pageOf(api, asked);
    // A cell that does not know of pages answers with the same calls again.
    if (earliest !== undefined && page.some(({ id, start }) => id === earliest.id || start > earliest.start))
      throw new Failure(`the cell lists no calls before those that began at ${earliest.start}: is it of an earlier release?`);
    const kept = page.slice(Math.max(0, page.length - missing));
    pages.push(kept);
    missing -= kept.length;
    if (page.length < most || kept.length < page.length) return { calls: pages.toReversed().flat(), isCut: kept.length < page.length };
  }
}

/** Those that stand now. */
export async function liveCalls(api: Pick<ApiClient, "get">, query: URLSearchParams): Promise<readonly CallRow[]> {
  return await pageOf(api, new URLSearchParams([...query, ["live", "true"]]));
}

function placeOf({ start, id }: CallRow): string {
  return `${start},${id}`;
}

async function pageOf(api: Pick<ApiClient, "get">, query: URLSearchParams): Promise<readonly CallRow[]> {
  const { value, fault } = read(callsSchema, await api.get(`/api/calls?${query.toString()}`));
  if (fault !== undefined) throw new Failure(otherVersion);
  return value;
}
