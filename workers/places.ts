/** Where Cloudflare lets objects be: https://developers.cloudflare.com/durable-objects/reference/data-location/. */

export const locationHints: readonly DurableObjectLocationHint[] = [
  "wnam",
  "enam",
  "sam",
  "weur",
  "eeur",
  "apac",
  "apac-ne",
  "apac-se",
  "oc",
  "afr",
  "me",
];
export const jurisdictions: readonly DurableObjectJurisdiction[] = ["eu", "us", "fedramp", "fedramp-high"];

export function isLocationHint(text: string): text is DurableObjectLocationHint {
  return (locationHints as readonly string[]).includes(text);
}

export function isJurisdiction(text: string): text is DurableObjectJurisdiction {
  return (jurisdictions as readonly string[]).includes(text);
}

/** What is said of one that is none of these. */
export function choicesText(given: string, choices: readonly string[]): string {
  return `is ${given}, and must be one of ${choices.join(", ")}`;
}
