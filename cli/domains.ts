import { type DomainRow, domainsSchema } from "../schemas/api-answers.ts";
import { read } from "../schemas/reading.ts";
import type { ApiClient } from "./api-client.ts";
import { parseAddressOfRecord } from "./subscribers.ts";
import type { Target } from "./target.ts";

/** The domains of the running system, the first one first. Empty: it does not say, as one of an earlier release. */
export async function domainRows(api: ApiClient): Promise<readonly DomainRow[]> {
  const answer = await api.get("/api/domains").catch(() => undefined);
  return read(domainsSchema, answer).value ?? [];
}

export async function domainNames(api: ApiClient): Promise<readonly string[]> {
  return (await domainRows(api)).map(({ name }) => name);
}

/** {@link parseAddressOfRecord} for a system that runs: it may have more domains than it was started with, and is asked for them where one is meant. */
export async function addressOfRecordAt({ api, domain }: Pick<Target, "api" | "domain">, text: string): Promise<string> {
  const isOther = domain !== undefined && text.includes("@") && !text.trim().toLowerCase().endsWith(`@${domain}`);
  return parseAddressOfRecord(text, domain, isOther ? await domainNames(api) : []);
}
