import { PassThrough } from "node:stream";
import { expect, it } from "vitest";
import { askPassword } from "../../cli/password-prompt.ts";

/** What is typed, and what is seen meanwhile. */
async function typing(...keys: string[]): Promise<{ readonly typed: string | undefined; readonly seen: string }> {
  const terminal = new PassThrough();
  let seen = "";
  const asked = askPassword(terminal, (text) => void (seen += text));
  for (const key of keys) terminal.write(key);
  return { typed: await asked, seen };
}

it.each([
  [["secret\r"], "secret"],
  [["s\u00e9c", "ret\n", "more\n"], "s\u00e9cret"],
  [["sx", "\u007f", "ecret\r"], "secret"],
  [["\r"], ""],
])("what is typed, %j, is %j, after one line, and nobody sees it", async (keys, password) => {
  expect(await typing(...keys)).toEqual({ typed: password, seen: "Password: \n" });
});

it.each([
  ["Ctrl-C", "\u0003"],
  ["Ctrl-D", "\u0004"],
])("%s types none", async (_, key) => {
  expect((await typing(key)).typed).toBeUndefined();
});
