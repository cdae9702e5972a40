import { createMiddleware } from "hono/factory";
import { otherVersionStatus, otherVersionText, protocolVersion, versionHeader, versionOf } from "../cluster/protocol-version.ts";
import { coreGroupObject, type Environment } from "./environment.ts";

/**
 * Lets a request pass only when its sender speaks our version of the protocol; else 521, and the core group says so. Before the signature is
 * looked at: that may have another form there. Who signs nothing is no part of any version, and is refused for that. Answers say our version, but
 * for upgrades: {@link upgraded}.
 */
export const ofThisVersion = createMiddleware<{ readonly Bindings: Environment }>(async (context, next) => {
  const theirs = versionOf(context.req.header(versionHeader));
  const who = callerOf(context.req.header("authorization"));
  if (theirs === protocolVersion || who === undefined) {
    await next();
    if (context.res.webSocket === null) context.header(versionHeader, String(protocolVersion));
    return;
  }
  const { CELL } = context.env;
  context.executionCtx.waitUntil(coreGroupObject(context.env).otherVersionRefused(who, theirs));
  const error = otherVersionText(who, theirs, `cell ${CELL}`);
  return Response.json({ error }, { status: otherVersionStatus, headers: { [versionHeader]: String(protocolVersion) } });
});

/** The same for who may be no part of the system, and says no version: a script of the operator's. Its answer says ours. */
export const ofThisVersionIfSaid = createMiddleware<{ readonly Bindings: Environment }>(async (context, next) => {
  if (context.req.header(versionHeader) !== undefined) return await ofThisVersion(context, next);
  await next();
  context.header(versionHeader, String(protocolVersion));
});

/** What an object answers to an upgrade, with our version in it. */
export function upgraded({ status, webSocket, body }: Response): Response {
  const headers = { [versionHeader]: String(protocolVersion) };
  return webSocket === null ? new Response(body, { status, headers }) : new Response(null, { status, webSocket, headers });
}

/** Who the sender says it is, in a signature of whatever version; undefined: it has none. */
function callerOf(authorization: string | undefined): string | undefined {
  return /^Tandem\S* ([0-9A-Za-z._-]{1,64}) /.exec(authorization ?? "")?.[1];
}
