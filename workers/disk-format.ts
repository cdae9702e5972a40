/**
 * The format of an object's database: its tables, and what is kept beside them under keys. A release whose format is a later one writes its number
 * under this key. Raise it with every change after which the release before would misread a database, or lose what is in it. Rows of records have a
 * format of their own (exchange/record-log.ts), so a change of records is none of these.
 *
 * - 1: until now. Such a database says nothing.
 */
const diskFormat = 1;
const formatKey = "format";
const unsaidFormat = 1;

/**
 * Throws when a later release has written the database of an object, before anything of it is read or written. The object does not start then: its
 * peer, or another cell, does without it, as when it is down. `whose` as in "exchange 0".
 */
export function checkDiskFormat({ kv }: DurableObjectStorage, whose: string): void {
  const format = kv.get<number>(formatKey) ?? unsaidFormat;
  if (format <= diskFormat) return;
  throw new RangeError(
    `${whose}: its database is of format ${format}, this release reads ${diskFormat}: left as it is; start the later release`,
  );
}

/** The line of such an error, also when it came from an object; undefined: it is another one. */
export function laterFormatOf({ message }: Error): string | undefined {
  return /[a-z][a-z 0-9]*: its database is of format [^\n]*/.exec(message)?.[0];
}
