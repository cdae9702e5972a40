/** Anything with named fields: a JSON object, a TOML table. */
export type Table = { readonly [key: string]: unknown };

export function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** True for a list of which every element passes. */
export function isListOf<T>(value: unknown, isElement: (element: unknown) => element is T): value is T[] {
  return Array.isArray(value) && value.every(isElement);
}

export function isText(value: unknown): value is string {
  return typeof value === "string";
}
