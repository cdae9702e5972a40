import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Exchange } from "../../sip/exchange/exchange.ts";
import type { parseBatch, serializeBatch } from "../../sip/pair/pair-batch.ts";
import type { serializeRecord } from "../../sip/record/record-text.ts";
import type { decodeFrame, encodeFrame } from "../../sip/transport/frame.ts";
import type { hashOf, tokenSigner } from "../../workers/signature.ts";

/** The core of one checkout, so that two of them can be compared. */
export type CoreModules = {
  readonly Exchange: typeof Exchange;
  readonly decodeFrame: typeof decodeFrame;
  readonly encodeFrame: typeof encodeFrame;
  readonly serializeBatch: typeof serializeBatch;
  readonly parseBatch: typeof parseBatch;
  readonly serializeRecord: typeof serializeRecord;
  readonly tokenSigner: typeof tokenSigner;
  readonly hashOf: typeof hashOf;
};

const files = [
  "sip/exchange/exchange.ts",
  "sip/transport/frame.ts",
  "sip/pair/pair-batch.ts",
  "sip/record/record-text.ts",
  "workers/signature.ts",
];

/** Loads the core that lies in this checkout. */
export async function loadCore(checkout: string): Promise<CoreModules> {
  const load = async (file: string): Promise<object> => (await import(pathToFileURL(join(resolve(checkout), file)).href)) as object;
  const modules = await Promise.all(files.map(load));
  return Object.assign({}, ...modules) as CoreModules;
}
