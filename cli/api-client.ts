import { createHash, createHmac } from "node:crypto";
import { Failure, reasonOf } from "./errors.ts";

const answerMsMax = 5_000;

/** A cell as the commands see it: `/api/...`, signed. Any cell answers for the whole system; the next is asked when one does not answer. */
export class ApiClient {
  readonly #urls: readonly string[];
  readonly #secret: string;

  constructor(urls: readonly string[], secret: string) {
    this.#urls = urls;
    this.#secret = secret;
  }

  get(path: string): Promise<unknown> {
    return this.#request("GET", path, undefined);
  }

  put(path: string, body: unknown): Promise<unknown> {
    return this.#request("PUT", path, body);
  }

  delete(path: string, body?: unknown): Promise<unknown> {
    return this.#request("DELETE", path, body);
  }

  async #request(method: string, path: string, body: unknown): Promise<unknown> {
    const octets = body === undefined ? undefined : new TextEncoder().encode(JSON.stringify(body));
    const problems: string[] = [];
    for (const url of this.#urls) {
      let response: Response;
      let text: string;
      try {
        response = await fetch(`${url}${path}`, {
          method,
          headers: {
            authorization: authorization(this.#secret, octets, Date.now()),
            ...(octets === undefined ? {} : { "content-type": "application/json" }),
          },
          signal: AbortSignal.timeout(answerMsMax),
          ...(octets === undefined ? {} : { body: octets }),
        });
        text = await response.text();
      } catch (error) {
        problems.push(`${url}: ${networkReasonOf(error)}`);
        continue;
      }
      if (response.ok) return parseAnswer(url, text);
      if (response.status === 401) throw new Failure(`${url} does not accept this secret (or the clocks differ by more than 30 s)`);
      if (response.status < 500) throw new Failure(errorOf(text) ?? `${url} answered ${response.status} to ${method} ${path}`);
      problems.push(`${url}: ${errorOf(text) ?? `answered ${response.status}`}`);
    }
    throw new Failure(
      problems.every((problem) => problem.endsWith("refused")) ? `not running: ${problems.join("; ")}` : problems.join("; "),
    );
  }
}

/** The signature that every request carries; purpose `api`, who `cli`. */
export function authorization(secret: string, body: Uint8Array | undefined, nowMs: number): string {
  const seconds = Math.floor(nowMs / 1000);
  const bodyHash = body === undefined || body.length === 0 ? "" : createHash("sha256").update(body).digest("hex");
  const signature = createHmac("sha256", secret).update(`api\ncli\n${seconds}\n${bodyHash}`).digest("hex");
  return `Tandem cli ${seconds} ${signature}`;
}

function networkReasonOf(error: unknown): string {
  if (error instanceof Error && error.name === "TimeoutError") return `no answer within ${answerMsMax / 1000} s`;
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  const reason = reasonOf(cause);
  return reason.includes("ECONNREFUSED") ? "connection refused" : reason;
}

function parseAnswer(url: string, text: string): unknown {
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw new Failure(`${url} is no Tandem cell: its answer is not JSON`);
  }
}

function errorOf(text: string): string | undefined {
  try {
    const answer: unknown = JSON.parse(text);
    if (typeof answer === "object" && answer !== null && "error" in answer && typeof answer.error === "string") return answer.error;
  } catch {
    // Not JSON: a plain text is an error text when it is short.
  }
  const line = text.trim();
  return line !== "" && line.length < 200 && !line.includes("\n") && !line.startsWith("<") ? line : undefined;
}
