import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { objectIdOf } from "../../cli/databases.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";

let system: Tandem | undefined;
let state: string | undefined;

afterEach(async () => {
  await system?.stop();
  if (state !== undefined) rmSync(state, { recursive: true, force: true });
});

function filesOf(directory: string, cell: string, exchange: number): { readonly database: string; readonly files: readonly string[] } {
  const key = `tandem-${cell}-ExchangeObject`;
  const folder = join(directory, "cells", cell, key);
  const id = objectIdOf(key, `exchange-${exchange}`);
  const files = readdirSync(folder).filter((name) => name.startsWith(`${id}.sqlite`) && !name.includes("broken"));
  return { database: join(folder, `${id}.sqlite`), files: files.map((name) => join(folder, name)) };
}

/** Both replicas write what they have within flushMs. */
async function untilOnDisks(directory: string): Promise<void> {
  const isOnDisk = (cell: string, user: string): boolean =>
    [0, 1].some((exchange) => filesOf(directory, cell, exchange).files.some((file) => readFileSync(file, "latin1").includes(user)));
  await until(() => ["a", "b"].every((cell) => ["alice@", "bob@", "carol@"].every((user) => isOnDisk(cell, user))));
}

/** Makes the database of an exchange in one cell unreadable. */
function spoil(directory: string, cell: string, exchange: number): void {
  const { database, files } = filesOf(directory, cell, exchange);
  expect(files).toContain(database);
  for (const file of files) rmSync(file);
  writeFileSync(database, Buffer.alloc(8_192, 7));
}

function setAside({ events }: Tandem): string[] {
  return events.filter(({ event }) => event === "set aside").map(({ process, cause }) => `${String(process)}: ${String(cause)}`);
}

const users = ["alice", "bob", "carol"].map((user) => `${user}@example.test\n`).join("");

it("a start goes on when a database cannot be read, sets it aside, says so, and has everything from the peer; and says what is lost with both", async () => {
  state = mkdtempSync(join(tmpdir(), "tandem-broken-"));
  system = await startTandem({ state });
  await untilOnDisks(state);
  await system.stop();

  spoil(state, "a", 0);
  system = await startTandem({ state });
  expect(setAside(system)).toEqual([
    expect.stringMatching(
      /^cell a: the database of exchange 0 cannot be read \(file is not a database\) and is kept as .*broken-\w+; what was in it comes from cell b$/,
    ),
  ]);
  expect((await system.cli("subscriber", "list")).out).toBe(users);
  await untilOnDisks(state);
  await system.stop();

  // It came back, to the disk too: now the other one may go.
  spoil(state, "b", 0);
  system = await startTandem({ state });
  expect((await system.cli("subscriber", "list")).out).toBe(users);
  await system.stop();

  for (const cell of ["a", "b"]) spoil(state, cell, 1);
  system = await startTandem({ state });
  expect(setAside(system)).toEqual([
    expect.stringMatching(/^cell a: .*; that of cell b cannot be read either$/),
    expect.stringMatching(/^cell b: .*; no other has what was in it: /),
  ]);
  // Those whose passwords were printed are known.
  expect((await system.cli("subscriber", "list")).out).toBe(users);
}, 90_000);
