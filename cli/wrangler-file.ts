import { parse } from "smol-toml";
import { boolean, exactOptional, type InferOutput, record as recordOf, string, unknown } from "valibot";
import { list, read, record } from "../schemas/reading.ts";
import { Failure, reasonOf } from "./errors.ts";

/** wrangler.toml, as far as a workerd process needs it: wrangler itself checks the rest. */

const text = string("must be a text");

const migration = record({
  new_sqlite_classes: exactOptional(list(text)),
  renamed_classes: exactOptional(list(record({ from: text, to: text }))),
  deleted_classes: exactOptional(list(text)),
});
export type Migration = InferOutput<typeof migration>;

/** What the file says at its top, and again for an environment. */
const settings = {
  main: exactOptional(text),
  compatibility_date: exactOptional(text),
  compatibility_flags: exactOptional(list(text)),
  keep_names: exactOptional(boolean("must be true or false")),
  vars: exactOptional(recordOf(string(), unknown())),
  durable_objects: exactOptional(record({ bindings: list(record({ name: text, class_name: text })) })),
  migrations: exactOptional(list(migration)),
};
const schema = record({ ...settings, env: exactOptional(recordOf(string(), record(settings))) });
export type WranglerFile = InferOutput<typeof schema>;

/** Throws a {@link Failure} for what is no TOML, and for the first value of another kind. */
export function wranglerFileOf(toml: string): WranglerFile {
  let content: unknown;
  try {
    content = parse(toml);
  } catch (error) {
    throw new Failure(`wrangler.toml: ${reasonOf(error)}`);
  }
  const { value, fault } = read(schema, content);
  if (fault !== undefined) throw new Failure(`wrangler.toml: ${fault.path} ${fault.reason}`);
  return value;
}
