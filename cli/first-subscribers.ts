import { readdirSync } from "node:fs";
import type { ApiClient } from "./api-client.ts";
import { codeOf } from "./errors.ts";
import { isListOf, isText } from "./json.ts";
import type { Reporter } from "./reporter.ts";
import { shownPath } from "./shown-path.ts";
import type { Passwords, StateDirectory } from "./state-directory.ts";
import { firstUsers, randomPassword, subscriberRecordOf } from "./subscribers.ts";

/**
 * Before cells start: decides who is to be made. First subscribers belong to a directory without data; written down before anything holds data,
 * so that a start that is cut off is finished by the next one. Where there is data and no file nobody is made: that somebody lost a file says
 * nothing of who may register.
 */
export function planFirstSubscribers(state: StateDirectory, domain: string, reporter: Pick<Reporter, "event">): void {
  const damaged = state.setPasswordsAside();
  if (damaged !== undefined) {
    const cause = `${damaged.reason}, and is kept as ${shownPath(damaged.keptAs)}; passwords in it are not printed again, and are good as before`;
    reporter.event("tandem", "set aside", cause);
  }
  if (hasData(state)) return;
  const passwords =
    state.readPasswords()?.passwords ?? Object.fromEntries(firstUsers.map((user) => [`${user}@${domain}`, randomPassword()]));
  state.writePasswords({ provisioned: false, passwords });
}

/** Makes those that were planned and are not there. The passwords that are known, by address-of-record; undefined: of nobody, there is no file. */
export async function makeFirstSubscribers(
  state: StateDirectory,
  api: Pick<ApiClient, "get" | "put">,
): Promise<Passwords["passwords"] | undefined> {
  const known = state.readPasswords();
  if (known === undefined || known.provisioned) return known?.passwords;
  const { passwords } = known;
  // Who is there has a password already: this one, or one that somebody chose since.
  const answer = await api.get("/api/subscribers");
  const there = new Set(isListOf(answer, isText) ? answer : []);
  const missing = Object.entries(passwords).filter(([aor]) => !there.has(aor));
  if (missing.length > 0)
    await api.put(
      "/api/subscribers",
      missing.map(([aor, password]) => subscriberRecordOf(aor, password)),
    );
  state.writePasswords({ provisioned: true, passwords });
  return passwords;
}

/** Who may register, for the line of the start: those by name whose passwords are printed, of the others how many they are. */
export function subscribersText(all: readonly string[], printed: readonly string[]): string {
  const names = printed.map((aor) => aor.slice(0, aor.lastIndexOf("@")));
  const others = all.filter((aor) => !printed.includes(aor)).length;
  const unprinted = others === 1 ? "whose password is not printed" : "whose passwords are not printed";
  if (names.length === 0) return others === 0 ? "none yet" : `${others}, ${unprinted}`;
  return others === 0 ? names.join(", ") : `${names.join(", ")}, and ${others} more, ${unprinted}`;
}

/** True when a cell has written a database here, be it one that was set aside since. What cannot be looked at is taken for data. */
function hasData(state: StateDirectory): boolean {
  try {
    return readdirSync(state.file("cells"), { recursive: true }).some((name) => String(name).includes(".sqlite"));
  } catch (error) {
    return codeOf(error) !== "ENOENT";
  }
}
