/** Where Cloudflare lets objects be: https://developers.cloudflare.com/durable-objects/reference/data-location/. */

export const locationHints = ["wnam", "enam", "sam", "weur", "eeur", "apac", "apac-ne", "apac-se", "oc", "afr", "me"] as const;
export const jurisdictions = ["eu", "us", "fedramp", "fedramp-high"] as const;
