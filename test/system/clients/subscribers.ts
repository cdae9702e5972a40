import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Tandem } from "../tandem.ts";
import type { Account } from "./phone.ts";

/** The account that {@link subscribe} makes of a user. */
export function accountOf(user: string): Account {
  return { user, password: `secret-of-${user}` };
}

/** Makes subscribers of these users. */
export async function subscribe(system: Tandem, users: readonly string[]): Promise<void> {
  const file = join(system.state, "subscribers.csv");
  writeFileSync(file, ["aor,password", ...users.map((user) => `${user},${accountOf(user).password}`), ""].join("\n"));
  const { code, err } = await system.cli("subscriber", "import", file);
  if (code !== 0) throw new Error(err);
}
