import { createHash, createHmac, randomBytes } from "node:crypto";
import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { otherVersionOf, otherVersionText, protocolVersion, versionHeader } from "../cluster/protocol-version.ts";
import { refusalSchema } from "../schemas/api-answers.ts";
import { read } from "../schemas/reading.ts";
import { Failure, codeOf, reasonOf } from "./errors.ts";

const answerMsMax = 5_000;

/** What a signature is good for: what commands ask, or what cells ask of each other. */
export type Purpose = "api" | "cell";

/** A cell as the commands see it: `/api/...`, signed. Any cell answers for the whole system; the next is asked when one does not answer. */
export class ApiClient {
  readonly #urls: readonly string[];
  readonly #secret: string;
  readonly #purpose: Purpose;
  /** By URL. */
  readonly #cells = new Map<string, string>();

  /** `purpose` "cell": for what cells ask of each other, `/cell/...`. */
  constructor(urls: readonly string[], secret: string, purpose: Purpose = "api") {
    this.#urls = urls;
    this.#secret = secret;
    this.#purpose = purpose;
  }

  get(path: string): Promise<unknown> {
    return this.#request("GET", path, undefined);
  }

  put(path: string, body: unknown): Promise<unknown> {
    return this.#request("PUT", path, body);
  }

  delete(path: string): Promise<unknown> {
    return this.#request("DELETE", path, undefined);
  }

  /** The cell at a URL: what is signed for one cell no other one takes. What is no cell is asked all the same, and says so. */
  async #cellAt(url: string): Promise<string> {
    const known = this.#cells.get(url);
    if (known !== undefined) return known;
    const { cell } = await ask(`${url}/`, "GET");
    if (cell !== "") this.#cells.set(url, cell);
    return cell === "" ? "unknown" : cell;
  }

  async #request(method: string, path: string, body: unknown): Promise<unknown> {
    const octets = body === undefined ? undefined : new TextEncoder().encode(JSON.stringify(body));
    const problems: string[] = [];
    for (const url of this.#urls) {
      let answer: Answer;
      try {
        const to = await this.#cellAt(url);
        const { pathname, search } = new URL(`${url}${path}`);
        const signed = { purpose: this.#purpose, to, method, path: pathname + search, body: octets };
        answer = await ask(`${url}${path}`, method, authorization(this.#secret, signed, Date.now()), octets);
      } catch (error) {
        problems.push(`${url}: ${networkReasonOf(error)}`);
        continue;
      }
      const { status, text, version } = answer;
      if (status >= 200 && status < 300) return parseAnswer(url, text);
      const theirs = otherVersionOf(status, version);
      if (status === 401 && theirs !== undefined) throw new Failure(otherVersionText(url, theirs, "this command"));
      if (status === 401) throw new Failure(`${url} does not accept this secret (or the clocks differ by more than 30 s)`);
      // A full disk: the cell has asked both replicas.
      if (status < 500 || status === 507) throw new Failure(errorOf(text) ?? `${url} answered ${status} to ${method} ${path}`);
      problems.push(`${url}: ${errorOf(text) ?? `answered ${status}`}`);
    }
    throw new Failure(
      problems.every((problem) => problem.endsWith("refused")) ? `not running: ${problems.join("; ")}` : problems.join("; "),
    );
  }
}

/** `version`: what it says of the protocol's. `cell`: which one it says it is; empty: it says nothing. */
type Answer = { readonly status: number; readonly text: string; readonly version: string | undefined; readonly cell: string };

/** One request. Not `fetch`: that refuses ports that browsers keep for other protocols, 5060 among them. */
function ask(url: string, method: string, signature?: string, body?: Uint8Array): Promise<Answer> {
  const headers = {
    ...(signature === undefined ? {} : { authorization: signature }),
    [versionHeader]: String(protocolVersion),
    ...(body === undefined ? {} : { "content-type": "application/json", "content-length": body.length }),
  };
  const request = url.startsWith("https:") ? requestHttps : requestHttp;
  return new Promise((answered, failed) => {
    const outgoing = request(url, { method, headers, agent: false, signal: AbortSignal.timeout(answerMsMax) }, (incoming) => {
      let text = "";
      incoming.setEncoding("utf8");
      incoming.on("data", (chunk: string) => void (text += chunk));
      const { "tandem-version": version, "tandem-cell": cell } = incoming.headers;
      incoming.once("end", () =>
        answered({ status: incoming.statusCode ?? 0, text, version: version?.toString(), cell: cell?.toString() ?? "" }),
      );
      incoming.once("error", failed);
    });
    outgoing.once("error", failed);
    outgoing.end(body);
  });
}

/** What is signed of a request; `path` has its query. */
export type ToSign = {
  readonly purpose: Purpose;
  /** The cell that it is for. */
  readonly to: string;
  readonly method: string;
  readonly path: string;
  readonly body: Uint8Array | undefined;
};

/** What signatures begin with; cells refuse those of other versions (workers/signature.ts). */
const signatureScheme = "Tandem2";

/** The signature that every request carries; who is `cli`. It is good once. */
export function authorization(secret: string, { purpose, to, method, path, body }: ToSign, nowMs: number): string {
  const bodyHash = body === undefined || body.length === 0 ? "-" : createHash("sha256").update(body).digest("hex");
  const nonce = randomBytes(9).toString("base64url");
  const text = [signatureScheme, purpose, "cli", to, nowMs, nonce, method, path, bodyHash].join("\n");
  return `${signatureScheme} cli ${to} ${nowMs} ${nonce} ${bodyHash} ${createHmac("sha256", secret).update(text).digest("hex")}`;
}

function networkReasonOf(error: unknown): string {
  const code = codeOf(error);
  if (code === "ECONNREFUSED") return "connection refused";
  if (code === "ABORT_ERR" || (error instanceof Error && error.name === "TimeoutError")) return `no answer within ${answerMsMax / 1000} s`;
  return reasonOf(error);
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
    const { value } = read(refusalSchema, JSON.parse(text));
    if (value !== undefined) return value.error;
  } catch {
    // Not JSON: a plain text is an error text when it is short.
  }
  const line = text.trim();
  return line !== "" && line.length < 200 && !line.includes("\n") && !line.startsWith("<") ? line : undefined;
}
