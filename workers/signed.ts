import { createMiddleware } from "hono/factory";
import { readBounded, TakenOctets } from "./bounded-body.ts";
import { checkingKeysOf, coreGroupObject, type Environment } from "./environment.ts";
import { memberScheme, type Scheme } from "../cluster/signed-text.ts";
import { bodiesOctetsMax, refusalsGatheredMs } from "./limits.ts";
import { refusalHeader } from "./refused-signature.ts";
import { checkSignature, isBodyOf, schemeOf, signedPathOf, type NoSignature } from "./signature.ts";
import { UsedSignatures } from "./used-signatures.ts";

/** What a route behind {@link signed} finds in its context. */
export type Signed = {
  readonly Bindings: Environment;
  readonly Variables: {
    /** Who signed: a gateway, a cell, or `cli`. */
    who: string;
    /** What it was signed for. */
    purpose: string;
    body: Uint8Array;
  };
};

/**
 * Where it is remembered which signatures were used. `core group`: by the one object of this cell, whichever isolate the request came to.
 * `isolate`: what is asked hundreds of times a second, and does no harm when it is done twice: docs/decisions/0015.
 */
export type Memory = "core group" | "isolate";

type Refusal = NoSignature["refusal"] | "used";

/** What a refused request is told, in a line. */
function refusalText(refusal: Refusal, scheme: Scheme): string {
  if (refusal === "used") return "the signature has been used";
  if (refusal === "not allowed") return "this member may not ask for this";
  if (refusal === "wrong") return "the signature is missing or wrong";
  if (refusal === "old") return "the signature is too old, or the clocks differ";
  return scheme === memberScheme
    ? `this system takes signatures of its members only (${memberScheme})`
    : `the signature is of another version of Tandem: this cell takes ${scheme}; start the same version everywhere`;
}

/**
 * Lets a request pass only when it is signed for the purpose, and only once (see signature.ts); else 401, or 403 where
 * its member may not ask for that. The core group counts it. The body is
 * read behind that: 413 when it is longer than `bodyOctetsMax`, 503 while too many are being read.
 */
export function signed(
  purposeOf: (param: (name: string) => string | undefined) => string,
  bodyOctetsMax: number,
  memoryOf: (path: string) => Memory = () => "core group",
): SignedHandler {
  const used = new UsedSignatures();
  const taken = new TakenOctets(Math.max(bodiesOctetsMax, bodyOctetsMax));
  const refused = new Refused();
  return createMiddleware<Signed>(async (context, next) => {
    const { env } = context;
    // Routes that have nothing for this request have checked it before: a signature is used once.
    const purpose = purposeOf((name) => context.req.param(name));
    if (context.get("purpose") === purpose) return next();
    const keys = checkingKeysOf(env);
    const refuse = (refusal: Refusal): Response => {
      const telling = refused.count((count) => coreGroupObject(env).signaturesWereRefused(count));
      if (telling !== undefined) context.executionCtx.waitUntil(telling);
      const scheme = schemeOf(keys);
      const status = refusal === "not allowed" ? 403 : 401;
      return context.json({ error: refusalText(refusal, scheme) }, status, { "www-authenticate": scheme, [refusalHeader]: refusal });
    };
    const { raw } = context.req;
    const received = {
      purpose,
      to: env.CELL,
      method: raw.method,
      path: signedPathOf(raw.url),
    };
    const now = Date.now();
    const signature = checkSignature(context.req.header("authorization"), keys, received, now);
    if ("refusal" in signature) return refuse(signature.refusal);
    const { who, nonce, madeAt } = signature;
    const isFirst =
      memoryOf(received.path) === "isolate" ? used.use(nonce, madeAt, now) : await coreGroupObject(env).useSignature(nonce, madeAt);
    if (!isFirst) return refuse("used");
    const body = await readBounded(raw, bodyOctetsMax, taken);
    if (body === "too long") return context.json({ error: `a body has at most ${bodyOctetsMax} octets here` }, 413);
    if (body === "too many") return context.json({ error: "too many bodies are being read" }, 503, { "retry-after": "1" });
    if (!isBodyOf(signature, body)) return refuse("wrong");
    context.set("purpose", purpose);
    context.set("who", who);
    context.set("body", body);
    return next();
  });
}

export type SignedHandler = ReturnType<typeof createMiddleware<Signed>>;

/** Refusals that the core group has not been told of: strangers decide how many there are, and must not have it called for each. */
class Refused {
  #count = 0;

  /** Counts one. A promise: the first of some, it resolves when they have been told. */
  count(tell: (count: number) => Promise<void>): Promise<void> | undefined {
    this.#count += 1;
    return this.#count === 1 ? this.#tellLater(tell) : undefined;
  }

  async #tellLater(tell: (count: number) => Promise<void>): Promise<void> {
    await new Promise((later) => {
      setTimeout(later, refusalsGatheredMs);
    });
    const count = this.#count;
    this.#count = 0;
    await tell(count);
  }
}
