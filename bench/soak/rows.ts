import { copyFileSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/**
 * Rows of all databases below a directory, those of SQLite and of workerd itself left out. They are counted in copies, so that nobody who writes
 * has to wait. Undefined when a database was written at the very moment of the copy.
 */
export function rowsBelow(directory: string): number | undefined {
  const copy = mkdtempSync(join(tmpdir(), "tandem-rows-"));
  try {
    const files = readdirSync(directory, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".sqlite"));
    return files.reduce((sum, name, index) => sum + rowsOf(join(directory, name), join(copy, `${index}.sqlite`)), 0);
  } catch {
    return undefined;
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

function rowsOf(file: string, copy: string): number {
  for (const suffix of ["", "-wal"]) if (existsSync(file + suffix)) copyFileSync(file + suffix, copy + suffix);
  const database = new DatabaseSync(copy);
  try {
    const names = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all();
    const tables = names.map(({ name }) => String(name)).filter((name) => !name.startsWith("sqlite_") && !name.startsWith("_cf_"));
    return tables.reduce((sum, name) => sum + Number(database.prepare(`SELECT count(*) AS rows FROM "${name}"`).get()?.["rows"] ?? 0), 0);
  } finally {
    database.close();
  }
}
