import { breadthMax } from "../limits.ts";
import type { MessageEdit } from "../message/edit.ts";
import { Header } from "../message/header-names.ts";
import type { SipMessage } from "../message/sip-message.ts";
import type { ResponseContext } from "./response-context.ts";

/** RFC 5393 5.3: Max-Breadth, how many branches one request may have at once, over all proxies that it passes. */

/** The Incoming Max-Breadth (5.3.3): {@link breadthMax} where there is none, or none that can be read; of several the least. */
export function breadthOf(message: SipMessage): number {
  if (!message.has(Header.MaxBreadth)) return breadthMax;
  let breadth = breadthMax;
  for (const value of message.values(Header.MaxBreadth)) {
    const digits = /^\d+/.exec(value)?.[0];
    if (digits !== undefined) breadth = Math.min(breadth, Number(digits));
  }
  return breadth;
}

/** What is left for more branches: the Incoming Max-Breadth without that of the branches that are under way (5.3.3.1). */
export function freeBreadth({ branches, breadth }: ResponseContext): number {
  let free = breadth;
  for (const branch of branches) if (branch.state !== "Finished") free -= branch.breadth;
  return Math.max(free, 0);
}

/** What one of `count` new branches gets of this much breadth: all of it is given away, in parts as equal as they can be. */
export function shareOf(breadth: number, count: number, index: number): number {
  return Math.floor(breadth / count) + (index < breadth % count ? 1 : 0);
}

/** 5.3.3: "All proxied requests MUST contain a single Max-Breadth header field value." */
export function setBreadth(edit: MessageEdit, message: SipMessage, breadth: number): void {
  if (message.has(Header.MaxBreadth)) edit.set(Header.MaxBreadth, String(breadth));
  else edit.append(Header.MaxBreadth, String(breadth));
}
