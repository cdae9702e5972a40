import { expect, it } from "vitest";
import type { HostIdentity } from "../../cli/api-client.ts";
import { Renewal } from "../../cli/renewal.ts";

const cells = ["a", "b"].map((id) => ({ id, port: 1, url: "http://127.0.0.1:1" }));

/** A machine with two cells. `due`: whose certificates are to be renewed; `dead`: the cell that does not come back. */
function machine(due: readonly string[], dead?: string): { readonly renewal: Renewal; readonly seen: string[] } {
  const seen: string[] = [];
  const renewal = new Renewal({
    cells: () => cells,
    members: {
      renew: async () => {
        seen.push("asked");
        return due;
      },
      identity: { tls: { cert: "new", key: "", ca: "" } } as HostIdentity,
    },
    api: () => ({ put: async () => undefined }),
    summaryOf: async () => ({}),
    supervisor: {
      isStopped: () => false,
      renew: (name) => {
        seen.push(name);
        return name !== `cell ${dead}`;
      },
    },
    reporter: { event: (process, event) => void seen.push(`${process} ${event}`) },
    changed: ({ cert }) => void seen.push(`host has ${cert}`),
  });
  return { renewal, seen };
}

it("certificates that are due are renewed once for all who ask, and cells are started again one after the other", async () => {
  const { renewal, seen } = machine(["h1", "a", "b", "g1"]);
  expect(await Promise.all([renewal.certificates(), renewal.certificates()])).toEqual([
    ["h1", "a", "b", "g1"],
    ["h1", "a", "b", "g1"],
  ]);
  expect(seen).toEqual(["asked", "host has new", "tandem renewed", "cell a", "cell b"]);
});

it("where no cell has another certificate none is started again, and where nobody has one nothing is said", async () => {
  const { renewal, seen } = machine(["g1"]);
  expect(await renewal.certificates()).toEqual(["g1"]);
  expect(seen).toEqual(["asked", "host has new", "tandem renewed"]);
  const other = machine([]);
  expect(await other.renewal.certificates()).toEqual([]);
  expect(other.seen).toEqual(["asked"]);
});

it("a cell that does not come back is named, and the others go on as they are", async () => {
  const { renewal, seen } = machine(["a", "b"], "a");
  await expect(renewal.certificates()).rejects.toThrow("cell a is not back with its own");
  expect(seen).toEqual(["asked", "host has new", "tandem renewed", "cell a", "cell a not renewed"]);
  // It may be asked again.
  await expect(renewal.certificates()).rejects.toThrow("cell a is not back with its own");
});
