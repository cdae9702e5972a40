import { createHash, createHmac } from "node:crypto";
import { closeSync, openSync, readdirSync, readSync, renameSync, statSync, type Dirent } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { codeOf, reasonOf } from "./errors.ts";

/** A database of a cell that could not be read, and was given another name. */
export type Broken = {
  /** The object's name, `exchange-0`; undefined: it is none's, but what the runtime knows of alarms. */
  readonly object: string | undefined;
  readonly keptAs: string;
  readonly reason: string;
};

/** An object whose database may lie in a cell's directory. */
export type NamedObject = { readonly name: string; readonly uniqueKey: string };

/** SQLite's result codes for a file whose content is wrong (sqlite.org/rescode.html); all others may be the disk's fault, or somebody else's. */
const corrupt = 11;
const notADatabase = 26;

/**
 * Looks at every database of a cell before workerd does: one that it cannot read has it end, or fail with all that is for one object. Those are
 * renamed, never deleted; their objects start empty, and are filled by their peers. Databases that others use are left alone.
 */
export function setBrokenAside(storage: string, objects: readonly NamedObject[], now: Date): Broken[] {
  const names = new Map(objects.map(({ name, uniqueKey }) => [objectIdOf(uniqueKey, name), name]));
  const keys = new Set(objects.map(({ uniqueKey }) => uniqueKey));
  const suffix = `broken-${now.toISOString().replaceAll(/[-:]|\.\d+/g, "")}`;
  const broken: Broken[] = [];
  const setAside = (file: string, object: string | undefined, reason: string): void => {
    const keptAs = `${file}.${suffix}`;
    for (const part of ["", "-wal", "-shm"]) renameIfThere(`${file}${part}`, `${keptAs}${part}`);
    broken.push({ object, keptAs, reason });
  };
  for (const key of keys) {
    const directory = join(storage, key);
    const files = entriesOf(directory);
    if (typeof files === "string") setAside(directory, undefined, files);
    else
      for (const { name } of files) {
        if (!name.endsWith(".sqlite")) continue;
        const reason = whatIsWrongWith(join(directory, name));
        if (reason !== undefined) setAside(join(directory, name), names.get(name.slice(0, -".sqlite".length)), reason);
      }
  }
  return broken;
}

/** The id that workerd gives an object of a name: its file is called so. */
export function objectIdOf(uniqueKey: string, name: string): string {
  const key = createHash("sha256").update(uniqueKey).digest();
  const half = (data: string | Buffer): Buffer => createHmac("sha256", key).update(data).digest().subarray(0, 16);
  const base = half(name);
  return Buffer.concat([base, half(base)]).toString("hex");
}

/** Undefined: nothing, or nothing that another file in its place would mend. */
function whatIsWrongWith(file: string): string | undefined {
  const unreadable = whyUnreadable(file);
  if (unreadable !== undefined) return unreadable;
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(file);
    const [first] = database.prepare("pragma quick_check(1)").all();
    const verdict = first === undefined ? "" : String(Object.values(first)[0]);
    return verdict === "ok" ? undefined : verdict.replaceAll(/\s+/g, " ").slice(0, 120);
  } catch (error) {
    const code = error instanceof Error && "errcode" in error && typeof error.errcode === "number" ? error.errcode & 0xff : 0;
    return code === corrupt || code === notADatabase ? reasonOf(error) : undefined;
  } finally {
    try {
      database?.close();
    } catch {
      // It is being set aside.
    }
  }
}

function whyUnreadable(file: string): string | undefined {
  try {
    if (!statSync(file).isFile()) return "is no file";
    const descriptor = openSync(file, "r+");
    try {
      readSync(descriptor, Buffer.alloc(1));
    } finally {
      closeSync(descriptor);
    }
    return undefined;
  } catch (error) {
    const code = codeOf(error);
    return code === "EACCES" || code === "EPERM" ? "may not be read and written by this user" : reasonOf(error);
  }
}

/** What is in a directory; a text: why that cannot be known. One that is not there has nothing in it. */
function entriesOf(directory: string): Dirent[] | string {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch (error) {
    if (codeOf(error) === "ENOENT") return [];
    return codeOf(error) === "ENOTDIR" ? "is no directory" : reasonOf(error);
  }
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch {
    // It is not there; or it cannot be renamed, and the cell will say what is wrong.
  }
}
