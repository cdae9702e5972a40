import { createHash, createHmac, type KeyObject, randomBytes, sign } from "node:crypto";
import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { otherVersionOf, otherVersionStatus, otherVersionText, protocolVersion, versionHeader } from "../cluster/protocol-version.ts";
import { memberScheme, secretScheme, signedHeader, signedText } from "../cluster/signed-text.ts";
import { refusalSchema } from "../schemas/api-answers.ts";
import { read } from "../schemas/reading.ts";
import { Failure, Refusal } from "./errors.ts";
import { networkReasonOf } from "./network-reason.ts";

/** What one cell has for its answer. */
const answerMsMax = 5_000;
/** A cell that has not answered after this has the next one asked beside it. Most answer within some 20 ms, and those of a status may wait for another cell for a second. */
const besideMs = 700;

/** What a signature is good for: what commands ask, what a host needs for its processes, or what cells ask of each other. */
export type Purpose = "api" | "host" | "cell";

/** Who asks in a system with an authority: a host, with its key and its certificate. PEM but for the key. */
export type HostIdentity = {
  readonly id: string;
  readonly key: KeyObject;
  readonly tls: { readonly cert: string; readonly key: string; readonly ca: string };
};

/** What requests are signed with: the secret of the system, or the key of a host. */
export type Credentials = string | HostIdentity;

/** A cell does not accept what a request was signed with. */
export class KeyRefusal extends Failure {}

/** A cell as the commands see it: `/api/...`, signed. Any cell answers for the whole system; the next is asked when one does not answer. */
export class ApiClient {
  readonly #urls: readonly string[];
  readonly #credentials: Credentials;
  readonly #purpose: Purpose;
  readonly #end: AbortSignal | undefined;
  /** By URL. */
  readonly #cells = new Map<string, string>();
  readonly #names: ReadonlyMap<string, string>;

  /** `purpose` "cell": for what cells ask of each other, `/cell/...`. `end`: then nobody waits for answers any more. `names`: of cells, by URL, for people. */
  constructor(
    urls: readonly string[],
    credentials: Credentials,
    purpose: Purpose = "api",
    end?: AbortSignal,
    names: ReadonlyMap<string, string> = new Map(),
  ) {
    this.#urls = urls;
    this.#credentials = credentials;
    this.#purpose = purpose;
    this.#end = end;
    this.#names = names;
  }

  /** The same cells, asked by somebody who ends then. */
  until(end: AbortSignal): ApiClient {
    return new ApiClient(this.#urls, this.#credentials, this.#purpose, end, this.#names);
  }

  /**
   * The answer of the first cell that has one. The next is asked beside a cell that takes long: to read twice does no harm, and a frozen cell, or a busy
   * machine, is not waited for.
   */
  get(path: string): Promise<unknown> {
    const problems: Problem[] = [];
    let open = this.#urls.length;
    const stop = new AbortController();
    let [next, timer] = [0, setTimeout(() => undefined)];
    return new Promise<unknown>((answered, failed) => {
      const askNext = (): void => {
        clearTimeout(timer);
        const [index, url] = [next, this.#urls[next]];
        if (url === undefined) return;
        next += 1;
        timer = setTimeout(askNext, besideMs);
        this.#askOne(url, "GET", path, undefined, stop.signal).then((outcome) => take(outcome, index), failed);
      };
      const take = (outcome: Outcome, index: number): void => {
        if ("value" in outcome) return answered(outcome.value);
        problems[index] = outcome.problem;
        open -= 1;
        if (open === 0) failed(this.#nobodyAnswers(problems));
        else askNext();
      };
      askNext();
      if (open === 0) failed(this.#nobodyAnswers(problems));
    }).finally(() => {
      clearTimeout(timer);
      stop.abort();
    });
  }

  put(path: string, body: unknown): Promise<unknown> {
    return this.#change("PUT", path, body);
  }

  delete(path: string): Promise<unknown> {
    return this.#change("DELETE", path, undefined);
  }

  /** What the first cell says that answers a question which nobody has to sign; undefined: none does. */
  async getUnsigned(path: string): Promise<unknown> {
    for (const url of this.#urls) {
      try {
        const { status, text } = await this.#ask(`${url}${path}`, "GET", AbortSignal.timeout(answerMsMax));
        if (status === 200) return parseAnswer(url, text);
      } catch {
        // The next one may know.
      }
    }
    return undefined;
  }

  /** Which cell it says it is at the first URL; empty: it does not say. Throws a {@link Failure} when nobody answers. */
  async cell(): Promise<string> {
    const [url = ""] = this.#urls;
    try {
      return (await this.#ask(`${url}/`, "GET", AbortSignal.timeout(answerMsMax))).cell;
    } catch (error) {
      throw new Failure(`${url}: ${networkReasonOf(error, answerMsMax)}`);
    }
  }

  /** The cell at a URL: what is signed for one cell no other one takes. What is no cell is asked all the same, and says so. */
  async #cellAt(url: string, signal: AbortSignal): Promise<string> {
    const known = this.#cells.get(url);
    if (known !== undefined) return known;
    const { cell } = await this.#ask(`${url}/`, "GET", signal);
    if (cell !== "") this.#cells.set(url, cell);
    return cell === "" ? "unknown" : cell;
  }

  /** One cell after the other: what changes something is not said twice. */
  async #change(method: string, path: string, body: unknown): Promise<unknown> {
    const octets = body === undefined ? undefined : new TextEncoder().encode(JSON.stringify(body));
    const problems: Problem[] = [];
    for (const url of this.#urls) {
      const outcome = await this.#askOne(url, method, path, octets);
      if ("value" in outcome) return outcome.value;
      problems.push(outcome.problem);
    }
    throw this.#nobodyAnswers(problems);
  }

  /** `problem`: why another cell is to be asked. Throws a {@link Failure} when another one would say the same. */
  async #askOne(url: string, method: string, path: string, octets: Uint8Array | undefined, stop?: AbortSignal): Promise<Outcome> {
    const timeout = AbortSignal.timeout(answerMsMax);
    const signal = AbortSignal.any([timeout, stop ?? timeout, this.#end ?? timeout]);
    let answer: Answer;
    try {
      const to = await this.#cellAt(url, signal);
      const { pathname, search } = new URL(`${url}${path}`);
      const signed = { purpose: this.#purpose, to, method, path: pathname + search, body: octets };
      answer = await this.#ask(`${url}${path}`, method, signal, authorization(this.#credentials, signed, Date.now()), octets);
    } catch (error) {
      return { problem: { url, reason: networkReasonOf(error, answerMsMax), isSaid: false } };
    }
    const { status, text, version } = answer;
    if (status >= 200 && status < 300) return { value: parseAnswer(url, text) };
    const theirs = otherVersionOf(status, version);
    if ((status === 401 || status === otherVersionStatus) && theirs !== undefined)
      throw new Failure(otherVersionText(url, theirs, "this command"));
    if (status === 401) throw new KeyRefusal(this.#refusedAt(url));
    // A full disk: the cell has asked both replicas.
    if (status < 500 || status === 507) throw new Refusal(errorOf(text) ?? `${url} answered ${status} to ${method} ${path}`);
    const said = errorOf(text);
    return { problem: { url, reason: said ?? `answered ${status}`, isSaid: said !== undefined } };
  }

  #nobodyAnswers(problems: readonly Problem[]): Failure {
    return nobodyAnswers(problems, this.#names);
  }

  #refusedAt(url: string): string {
    const what = typeof this.#credentials === "string" ? "this secret" : `the key of host ${this.#credentials.id}`;
    return `${url} does not accept ${what} (or the clocks differ by more than 30 s)`;
  }

  #ask(url: string, method: string, signal: AbortSignal, signature?: string, body?: Uint8Array): Promise<Answer> {
    const tls = typeof this.#credentials === "string" ? {} : this.#credentials.tls;
    return ask({ url, method, signal, tls }, signature, body);
  }
}

/** Why a cell has not done what it was asked. `isSaid`: in its own words. */
type Problem = { readonly url: string; readonly reason: string; readonly isSaid: boolean };

type Outcome = { readonly value: unknown } | { readonly problem: Problem };

function nobodyAnswers(problems: readonly Problem[], names: ReadonlyMap<string, string>): Failure {
  const all = Array.from(
    Map.groupBy(problems, ({ reason }) => reason),
    ([reason, those]) => `${namesOf(those, names)}: ${reason}`,
  );
  if (problems.every(({ reason }) => reason.endsWith("refused"))) return new Failure(`not running: ${all.join("; ")}`);
  const said = new Set(problems.flatMap(({ reason, isSaid }) => (isSaid ? [reason] : [])));
  // Cells that answer say the same of the one that does not: it is said once.
  const [reason = ""] = said;
  if (said.size === 1 && problems.filter(({ isSaid }) => isSaid).length > 1) return new Failure(reason);
  return new Failure(all.join("; "));
}

/** Those that have the same problem: cells, in order, where all of them have names. */
function namesOf(problems: readonly Problem[], names: ReadonlyMap<string, string>): string {
  const cells = problems.flatMap(({ url }) => names.get(url) ?? []);
  if (cells.length < problems.length) return problems.map(({ url }) => url).join(", ");
  return `${cells.length === 1 ? "cell" : "cells"} ${cells.toSorted().join(", ")}`;
}

/** `version`: what it says of the protocol's. `cell`: which one it says it is; empty: it says nothing. */
type Answer = { readonly status: number; readonly text: string; readonly version: string | undefined; readonly cell: string };

type Asked = { readonly url: string; readonly method: string; readonly signal: AbortSignal; readonly tls: Partial<HostIdentity["tls"]> };

/** One request. Not `fetch`: that refuses ports that browsers keep for other protocols, 5060 among them. */
function ask({ url, method, signal, tls }: Asked, signature?: string, body?: Uint8Array): Promise<Answer> {
  const headers = {
    ...(signature === undefined ? {} : { authorization: signature }),
    [versionHeader]: String(protocolVersion),
    ...(body === undefined ? {} : { "content-type": "application/json", "content-length": body.length }),
  };
  const request = url.startsWith("https:") ? requestHttps : requestHttp;
  return new Promise((answered, failed) => {
    const outgoing = request(url, { ...tls, method, headers, agent: false, signal }, (incoming) => {
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

/** The signature that every request carries (cluster/signed-text.ts), of a host or of `cli`. It is good once. */
export function authorization(credentials: Credentials, { purpose, to, method, path, body }: ToSign, nowMs: number): string {
  const [scheme, who] = typeof credentials === "string" ? ([secretScheme, "cli"] as const) : ([memberScheme, credentials.id] as const);
  const bodyHash = body === undefined || body.length === 0 ? "-" : createHash("sha256").update(body).digest("hex");
  const parts = { purpose, who, to, madeAt: nowMs, nonce: randomBytes(9).toString("base64url"), method, path, bodyHash };
  const text = signedText(scheme, parts);
  const signature =
    typeof credentials === "string"
      ? createHmac("sha256", credentials).update(text).digest("hex")
      : sign(null, Buffer.from(text), credentials.key).toString("base64url");
  return signedHeader(scheme, parts, signature);
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
