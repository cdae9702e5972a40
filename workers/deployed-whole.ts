import type { MiddlewareHandler } from "hono";
import { protocolVersion, versionHeader } from "../cluster/protocol-version.ts";
import { retryAfterSeconds } from "../sip/limits.ts";
import { type Environment, faultOfEnvironment } from "./environment.ts";

/**
 * Lets nobody in while this cell lacks what it was to be deployed with, a secret for example: everybody is told so, and the log, once in a process. Other cells
 * have it in their status, because that is what they get for an answer to their heartbeats.
 */
export function deployedWhole(): MiddlewareHandler<{ Bindings: Environment }> {
  const said = new Set<string>();
  return async (context, next) => {
    const fault = faultOfEnvironment(context.env);
    if (fault === undefined) return await next();
    const error = `cell ${(context.env.CELL as string | undefined) ?? "without a name"} serves nobody: ${fault}`;
    if (!said.has(error)) console.error(error);
    said.add(error);
    const headers = { [versionHeader]: String(protocolVersion), "retry-after": String(retryAfterSeconds) };
    return context.json({ error }, 503, headers);
  };
}
