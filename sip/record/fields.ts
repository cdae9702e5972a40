import { recordOctetsMax } from "../limits.ts";

/** Reading values out of parsed JSON: what each field must be. */

/** An object of JSON. */
export type Fields = Readonly<Record<string, unknown>>;
/** A list of JSON. */
export type List = readonly unknown[];
/** While it is made: fields that may be absent are added one by one, which costs less than spreading objects. */
export type Writable<Value> = { -readonly [Key in keyof Value]: Value[Key] };

/** In the fifth place of a record's list: it holds something. */
export const alive = 0;

export function isList(value: unknown): value is List {
  return Array.isArray(value);
}

/** A list without the places at its end that hold nothing. */
export function trimmed(list: unknown[]): List {
  while (list.length > 0 && list.at(-1) === undefined) list.pop();
  return list;
}

/** What a place of a list holds: JSON has null where there is nothing. */
export function heldAt(list: List, place: number): unknown {
  return list[place] ?? undefined;
}

/** A list whose every element can be read. */
export function listOf<Value>(json: unknown, read: (fields: Fields) => Value | undefined): Value[] | undefined {
  if (!Array.isArray(json)) return undefined;
  const values: Value[] = [];
  for (const each of json as readonly unknown[]) {
    const value = isFields(each) ? read(each) : undefined;
    if (value === undefined) return undefined;
    values.push(value);
  }
  return values;
}

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isText(value: unknown): value is string {
  return typeof value === "string" && value.length <= recordOctetsMax;
}

export function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every(isText);
}

export function isOptionalText(value: unknown): value is string | undefined {
  return value === undefined || isText(value);
}

export function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

export function isTime(value: unknown): value is number {
  return isNumber(value) && value >= 0;
}

/** A whole number from 0 on. */
export function isSequence(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}
