import { main } from "../../cli/tandem.ts";

/** Runs one command line in this process. */
export async function runCommand(
  words: readonly string[],
  options: { readonly environment?: NodeJS.ProcessEnv; readonly stdin?: string | Uint8Array } = {},
): Promise<{ code: number; out: string; err: string }> {
  let out = "";
  let err = "";
  const code = await main(words, {
    out: (text) => void (out += text),
    err: (text) => void (err += text),
    environment: options.environment ?? {},
    readStdin: async () => Buffer.from(options.stdin ?? ""),
  });
  return { code, out, err };
}
