import type { Account, CellOfFile, SystemFile } from "./system-file.ts";

/** Where a cell of the file is: its URL, its Worker, its account. */

export function urlOf({ url, customDomain, route }: CellOfFile): string {
  if (url !== undefined) return new URL(url).origin;
  return `https://${customDomain ?? route?.replace(/\/\*$/, "") ?? ""}`;
}

export function workerOf({ id, worker = `tandem-${id}` }: CellOfFile): string {
  return worker;
}

/** Where there is one account, it need not be named. */
export function accountOf({ account }: CellOfFile, { accounts = [] }: SystemFile): Account | undefined {
  return account === undefined ? accounts[0] : accounts.find(({ name }) => name === account);
}

/** Of this machine: a cell that `wrangler dev` runs. */
export function isLoopbackUrl(url: string): boolean {
  return /^(?:127\.\d+\.\d+\.\d+|localhost|\[::1\])$/.test(new URL(url).hostname);
}
