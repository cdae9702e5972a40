import { array, integer, maxValue, minValue, number, object, pipe, readonly, safeParse, strictObject } from "valibot";
import type {
  ArraySchema,
  BaseIssue,
  ErrorMessage,
  GenericSchema,
  InferOutput,
  NumberSchema,
  ObjectEntries,
  ObjectSchema,
  ReadonlyAction,
  SchemaWithPipe,
  StrictObjectIssue,
  StrictObjectSchema,
} from "valibot";

/** What is wrong with a value from outside. `path`: where, as `cells[0].id`; empty: the value itself. */
export type Fault = { readonly path: string; readonly reason: string };

/** The value of a schema, or the first thing that is wrong with it. */
export type Reading<T> = { readonly value: T; readonly fault?: undefined } | { readonly value?: undefined; readonly fault: Fault };

/** Reads a value from outside: an API body, a file, a message of another part. Messages that are many have readers of their own. */
export function read<Schema extends GenericSchema>(schema: Schema, value: unknown): Reading<InferOutput<Schema>> {
  const result = safeParse(schema, value, { abortEarly: true });
  return result.success ? { value: result.output } : { fault: faultOf(result.issues[0]) };
}

/** As {@link read}, and says all that is wrong: for a file that a person writes. */
export function readAll<Schema extends GenericSchema>(
  schema: Schema,
  value: unknown,
):
  | { readonly value: InferOutput<Schema>; readonly faults?: undefined }
  | { readonly value?: undefined; readonly faults: readonly Fault[] } {
  const result = safeParse(schema, value);
  return result.success ? { value: result.output } : { faults: result.issues.map(faultOf) };
}

/** In a line, for whoever sent the value. */
export function faultText({ path, reason }: Fault): string {
  return path === "" ? reason : `${path} ${reason}`;
}

function faultOf(issue: BaseIssue<unknown>): Fault {
  const path = (issue.path ?? []).reduce((text, { key }) => {
    if (typeof key === "number") return `${text}[${key}]`;
    return text === "" ? String(key) : `${text}.${String(key)}`;
  }, "");
  return { path, reason: path !== "" && issue.input === undefined ? "is missing" : issue.message };
}

/** A table with these entries; others are left out. */
export function record<Entries extends ObjectEntries>(
  entries: Entries,
  message = "must be an object",
): SchemaWithPipe<readonly [ObjectSchema<Entries, string>, ReadonlyAction<InferOutput<ObjectSchema<Entries, string>>>]> {
  return pipe(object(entries, message), readonly());
}

type Message = ErrorMessage<StrictObjectIssue>;

/** A table that people write, in a file or for the API: what it does not know is a slip of theirs. */
export function strictRecord<Entries extends ObjectEntries>(
  entries: Entries,
  message = "must be an object",
): SchemaWithPipe<readonly [StrictObjectSchema<Entries, Message>, ReadonlyAction<InferOutput<StrictObjectSchema<Entries, Message>>>]> {
  const known = `is not known; known here: ${Object.keys(entries).join(", ")}`;
  return pipe(
    strictObject(entries, ({ expected }) => (expected === "never" ? known : message)),
    readonly(),
  );
}

export function list<Item extends GenericSchema>(
  item: Item,
  message = "must be a list",
): SchemaWithPipe<readonly [ArraySchema<Item, string>, ReadonlyAction<InferOutput<ArraySchema<Item, string>>>]> {
  return pipe(array(item, message), readonly());
}

type Whole = SchemaWithPipe<
  readonly [
    NumberSchema<string>,
    ReturnType<typeof integer<number, string>>,
    ReturnType<typeof minValue<number, number, string>>,
    ReturnType<typeof maxValue<number, number, string>>,
  ]
>;

/** A whole number within bounds. */
export function whole(min: number, max: number = Number.MAX_SAFE_INTEGER): Whole {
  const reason = max === Number.MAX_SAFE_INTEGER ? `must be a whole number from ${min} on` : `must be a whole number from ${min} to ${max}`;
  return pipe(number(reason), integer(reason), minValue(min, reason), maxValue(max, reason));
}
