import { createInterface } from "node:readline";
import { Writable } from "node:stream";

/** Nothing that is typed is shown. */
class Unseen extends Writable {
  override _write(_chunk: unknown, _encoding: string, done: () => void): void {
    done();
  }
}

/**
 * Asks for a password, or a token, on a terminal: one line, not shown. Who only waited for standard input to end would look like a command that hangs. Undefined: the
 * asked one has thought better of it (Ctrl-C, Ctrl-D).
 */
export function askPassword(
  terminal: NodeJS.ReadableStream,
  say: (text: string) => void,
  what: "password" | "token" = "password",
): Promise<string | undefined> {
  return new Promise((answered) => {
    const lines = createInterface({ input: terminal, output: new Unseen(), terminal: true });
    let typed: string | undefined;
    lines.once("line", (line) => {
      typed = line;
      lines.close();
    });
    lines.once("SIGINT", () => lines.close());
    lines.once("close", () => {
      say("\n");
      answered(typed);
    });
    say(what === "password" ? "Password: " : "Token: ");
  });
}
