import { jurisdictions, locationHints } from "../cluster/places.ts";

/** The lists of cluster/places.ts, as Cloudflare's types have them. */

const hints: readonly DurableObjectLocationHint[] = locationHints;
const borders: readonly DurableObjectJurisdiction[] = jurisdictions;

export function isLocationHint(text: string): text is DurableObjectLocationHint {
  return (hints as readonly string[]).includes(text);
}

export function isJurisdiction(text: string): text is DurableObjectJurisdiction {
  return (borders as readonly string[]).includes(text);
}

/** What is said of one that is none of these. */
export function choicesText(given: string, choices: readonly string[]): string {
  return `is ${given}, and must be one of ${choices.join(", ")}`;
}
