import { request } from "node:https";
import { Failure } from "../errors.ts";
import { isTable, type Table } from "../json.ts";
import { networkReasonOf } from "../network-reason.ts";
import { answerMsMax, answerOctetsMax, reasonLengthMax } from "./limits.ts";

export type AcmeAnswer = {
  readonly status: number;
  readonly header: (name: string) => string | undefined;
  readonly text: string;
  /** Empty: it is no JSON object. */
  readonly json: Table;
};

export type AcmeAsking = {
  /** PEM of the authorities that are believed, instead of the well-known ones. */
  readonly ca: string | undefined;
  readonly userAgent: string;
  readonly signal: AbortSignal;
};

/** One request to an authority, with all that it answers. Throws a {@link Failure} when there is no answer, or too much of it. */
export async function askAuthority(method: "GET" | "HEAD" | "POST", url: string, asking: AcmeAsking, body?: string): Promise<AcmeAnswer> {
  const { ca, userAgent, signal } = asking;
  if (!URL.canParse(url) || new URL(url).protocol !== "https:")
    throw new Failure(`the authority names ${JSON.stringify(url)}, which is no https URL`);
  const headers = {
    "user-agent": userAgent,
    ...(body === undefined ? {} : { "content-type": "application/jose+json", "content-length": Buffer.byteLength(body) }),
  };
  try {
    return await new Promise<AcmeAnswer>((answered, failed) => {
      const outgoing = request(
        url,
        { method, headers, ...(ca === undefined ? {} : { ca }), signal, agent: false, timeout: answerMsMax },
        (incoming) => {
          const chunks: Buffer[] = [];
          let octets = 0;
          incoming.on("data", (chunk: Buffer) => {
            octets += chunk.length;
            if (octets > answerOctetsMax) outgoing.destroy(new Error(`it answers more than ${answerOctetsMax} octets`));
            chunks.push(chunk);
          });
          incoming.once("error", failed);
          incoming.once("end", () => {
            const text = Buffer.concat(chunks).toString();
            const header = (name: string): string | undefined => [incoming.headers[name]].flat()[0];
            answered({ status: incoming.statusCode ?? 0, header, text, json: tableIn(text) });
          });
        },
      );
      outgoing.once("timeout", () => outgoing.destroy(new Error(`no answer within ${answerMsMax / 1000} s`)));
      outgoing.once("error", failed);
      outgoing.end(body);
    });
  } catch (error) {
    if (signal.aborted)
      throw new Failure(
        signal.reason instanceof Error && signal.reason.name === "TimeoutError" ? "the authority takes too long" : "it is being stopped",
      );
    throw new Failure(`${new URL(url).host} cannot be asked: ${networkReasonOf(error, answerMsMax)}`);
  }
}

function tableIn(text: string): Table {
  try {
    const read: unknown = JSON.parse(text);
    return isTable(read) ? read : {};
  } catch {
    return {};
  }
}

/** What somebody else says of an error (RFC 7807), in one line of ours. */
export function problemText(problem: Table): string {
  const parts = [problem["detail"], problem["type"]].filter((part) => typeof part === "string");
  // oxlint-disable-next-line no-control-regex -- those are what must not be shown
  const text = (parts[0] ?? "no reason").replaceAll(/[\u0000-\u001f\u007f-\u009f]+/g, " ");
  return text.slice(0, reasonLengthMax);
}
