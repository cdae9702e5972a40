import type { ErrorHandler } from "hono";
import { laterFormatOf } from "./disk-format.ts";
import { diskFullStatus, diskFullText } from "./disk-room.ts";
import type { Environment } from "./environment.ts";
import { isMoved, movedStatus } from "./moved.ts";
import { isWayLost } from "./way-lost.ts";

/** What is answered and logged when a request has failed: in this Worker, or in the object that it went to. */
export function failures(): ErrorHandler<{ Bindings: Environment }> {
  /** One line for each object: a cell has as many as its map says. */
  const laterSaid = new Set<string>();
  return (error, context) => {
    // The core group says it, once.
    if (error.message === diskFullText) return context.json({ error: diskFullText }, diskFullStatus);
    if (isMoved(error)) return context.json({ error: error.message.split("\n", 1)[0] }, movedStatus);
    if (isWayLost(error)) return context.json({ error: "the way there was lost" }, 500);
    const later = laterFormatOf(error);
    if (later !== undefined) {
      if (!laterSaid.has(later)) console.error(`cell ${context.env.CELL}: ${later}`);
      laterSaid.add(later);
      return context.json({ error: later }, 503);
    }
    // The runtime's own failures have no stack that says anything.
    const isInternal = error.message.startsWith("internal error");
    console.error(`${context.req.method} ${context.req.path}: ${isInternal ? "internal error" : (error.stack ?? error.message)}`);
    return context.json({ error: error.message.split("\n", 1)[0] }, 500);
  };
}
