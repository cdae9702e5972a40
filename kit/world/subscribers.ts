import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Tandem } from "./tandem.ts";

/** What a phone says who it is with. */
export type Account = { readonly user: string; readonly password: string };

/** The account of a user whose password nobody needs to know. */
export function accountOf(user: string): Account {
  return { user, password: `secret-of-${user}` };
}

/** Makes subscribers of a system, in its domain. */
export async function addSubscribers(system: Tandem, accounts: readonly Account[]): Promise<void> {
  const file = join(system.state, "subscribers.csv");
  writeFileSync(file, ["aor,password", ...accounts.map(({ user, password }) => `${user},${password}`), ""].join("\n"));
  const { code, err } = await system.cli("subscriber", "import", file);
  if (code !== 0) throw new Error(err);
}
