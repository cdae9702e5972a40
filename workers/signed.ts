import { createMiddleware } from "hono/factory";
import { coreGroupName, type Environment } from "./environment.ts";
import { signerOf } from "./signature.ts";

/** What a route behind {@link signed} finds in its context. */
export type Signed = {
  readonly Bindings: Environment;
  readonly Variables: {
    /** Who signed: a gateway, a cell, or `cli`. */
    who: string;
    body: Uint8Array;
  };
};

/**
 * Lets a request pass only when it is signed for the purpose (see signature.ts); else 401, and the core group counts it. Reads the body,
 * 413 when it is longer than `bodyOctetsMax`: the signature covers it, so it is read before anybody is known.
 */
export function signed(purposeOf: (param: (name: string) => string | undefined) => string, bodyOctetsMax: number): SignedHandler {
  return createMiddleware<Signed>(async (context, next) => {
    const body = await readBody(context.req.raw, bodyOctetsMax);
    if (body === undefined) return context.json({ error: `a body has at most ${bodyOctetsMax} octets here` }, 413);
    const purpose = purposeOf((name) => context.req.param(name));
    const who = signerOf(context.req.header("authorization"), context.env.TANDEM_SECRET, purpose, body, Date.now());
    if (who === undefined) {
      context.executionCtx.waitUntil(context.env.CORE_GROUP.getByName(coreGroupName).signatureRefused());
      return context.json({ error: "the signature is missing, wrong or too old" }, 401, { "www-authenticate": "Tandem" });
    }
    context.set("who", who);
    context.set("body", body);
    return next();
  });
}

export type SignedHandler = ReturnType<typeof createMiddleware<Signed>>;

async function readBody(request: Request, octetsMax: number): Promise<Uint8Array | undefined> {
  if (request.body === null) return new Uint8Array(0);
  if (Number(request.headers.get("content-length") ?? 0) > octetsMax) return undefined;
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request.body as ReadableStream<Uint8Array>) {
    length += chunk.length;
    if (length > octetsMax) return undefined;
    chunks.push(chunk);
  }
  const [only] = chunks;
  if (chunks.length === 1 && only !== undefined) return only;
  const body = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    body.set(chunk, at);
    at += chunk.length;
  }
  return body;
}
