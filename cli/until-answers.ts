import { get } from "node:http";

const pollMs = 20;

/** Asks until the answer is 200 or the signal says stop. Refused connections and other answers mean: not yet. */
export async function untilAnswers(url: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const status = await new Promise<number | undefined>((answered) => {
      const request = get(url, { agent: false, timeout: 1_000 }, (response) => {
        response.resume();
        answered(response.statusCode);
      });
      request.once("timeout", () => request.destroy());
      request.once("error", () => answered(undefined));
      request.once("close", () => answered(undefined));
    });
    if (status === 200) return;
    await new Promise((next) => setTimeout(next, pollMs));
  }
}
