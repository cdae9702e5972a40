import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Exchange } from "../../actors/exchange/exchange.ts";
import type { parseBatch, serializeBatch } from "../../cluster/replication/peer-batch.ts";
import type { serializeRecord } from "../../sip/record/record-text.ts";
import type { decodeFrame, encodeFrame } from "../../cluster/backhaul/frame.ts";
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

/** Where each part lies, and where it lay before. */
const files: readonly (readonly string[])[] = [
  ["actors/exchange/exchange.ts", "sip/exchange/exchange.ts"],
  ["cluster/backhaul/frame.ts", "sip/transport/frame.ts"],
  ["cluster/replication/peer-batch.ts", "cluster/replication/pair-batch.ts", "sip/pair/pair-batch.ts"],
  ["sip/record/record-text.ts"],
  ["workers/signature.ts"],
];

/** Loads the core that lies in this checkout. Throws an Error when it lacks a part. */
export async function loadCore(checkout: string): Promise<CoreModules> {
  const load = async (places: readonly string[]): Promise<object> => {
    const place = places.map((file) => join(resolve(checkout), file)).find((file) => existsSync(file));
    if (place === undefined) throw new Error(`${checkout} has no ${places.join(" and no ")}`);
    return (await import(pathToFileURL(place).href)) as object;
  };
  const modules = await Promise.all(files.map(load));
  return Object.assign({}, ...modules) as CoreModules;
}
