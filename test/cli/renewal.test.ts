import { expect, it, vi } from "vitest";
import type { HostIdentity } from "../../cli/api-client.ts";
import { Failure } from "../../cli/errors.ts";
import { Renewal } from "../../cli/renewal.ts";
import { Needed } from "../../cli/taken-out.ts";

const cells = ["a", "b"].map((id) => ({ id, port: 1, url: "http://127.0.0.1:1" }));

type Rigged = {
  /** Whose certificates are to be renewed, one list for each time that somebody looks. */
  readonly due: readonly (readonly string[])[];
  /** The cell that does not come back. */
  readonly dead?: string;
  /** What becomes of a wish to take a cell out of service; false: it is the only one. */
  readonly take?: (cell: string) => boolean;
  readonly isReplicated?: boolean;
  /** Cells that were out of service when the process before ended. */
  readonly left?: readonly string[];
  /** So often a cell that is taken back does not answer. */
  readonly silent?: number;
};

/** A machine with two cells. */
function machine({ due, dead, take = () => true, isReplicated = true, left = [], silent = 0 }: Rigged): {
  readonly renewal: Renewal;
  readonly seen: string[];
} {
  const seen: string[] = [];
  const lists = [...due];
  const out = new Set(left);
  let unanswered = silent;
  const renewal = new Renewal({
    cells: () => cells,
    members: {
      renew: async () => {
        seen.push("asked");
        return lists.shift() ?? [];
      },
      identity: { tls: { cert: "new", key: "", ca: "" } } as HostIdentity,
    },
    api: () => ({ put: async () => undefined }),
    takenOut: {
      get left() {
        return [...out];
      },
      forget: (cell) => void (out.delete(cell) && seen.push(`${cell} forgotten`)),
      isOver: false,
      stop: () => undefined,
      take: async (cell) => {
        const isTaken = take(cell);
        if (isTaken) seen.push(`out ${cell}`);
        if (isTaken) out.add(cell);
        return isTaken;
      },
      giveBack: async (cell) => {
        unanswered -= 1;
        if (unanswered >= 0) throw new Failure(`cell ${cell} cannot be reached`);
        out.delete(cell);
        seen.push(`back ${cell}`);
      },
    },
    isReplicated: () => isReplicated,
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

function staysBusy(): boolean {
  throw new Failure("cell a is draining, and has 1 softphones left");
}

const begin = ["asked", "host has new", "tandem renewed"];

it("certificates that are due are renewed once for all who ask, and cells are started again one after the other, out of service", async () => {
  const { renewal, seen } = machine({ due: [["h1", "a", "b", "g1"]] });
  expect(await Promise.all([renewal.certificates(), renewal.certificates()])).toEqual([
    ["h1", "a", "b", "g1"],
    ["h1", "a", "b", "g1"],
  ]);
  expect(seen).toEqual([...begin, "out a", "cell a", "back a", "out b", "cell b", "back b"]);
});

it("where no cell has another certificate none is started again, and where nobody has one nothing is said", async () => {
  const { renewal, seen } = machine({ due: [["g1"]] });
  expect(await renewal.certificates()).toEqual(["g1"]);
  expect(seen).toEqual(begin);
  const other = machine({ due: [[]] });
  expect(await other.renewal.certificates()).toEqual([]);
  expect(other.seen).toEqual(["asked"]);
});

it("a cell that is the only one, or whose records no other has, is started again as it is", async () => {
  const only = machine({ due: [["a"]], take: () => false });
  expect(await only.renewal.certificates()).toEqual(["a"]);
  expect(only.seen).toEqual([...begin, "cell a"]);
  const alone = machine({ due: [["a"]], isReplicated: false });
  expect(await alone.renewal.certificates()).toEqual(["a"]);
  expect(alone.seen).toEqual([...begin, "cell a"]);
});

it("a cell that does not come back is named, is started again the next time, and the others go on as they are", async () => {
  const { renewal, seen } = machine({ due: [["a", "b"]], dead: "a" });
  await expect(renewal.certificates()).rejects.toThrow("cell a is not back with its own");
  const first = ["out a", "cell a", "cell a not renewed", "back a"];
  expect(seen).toEqual([...begin, ...first]);
  await expect(renewal.certificates()).rejects.toThrow("cell a is not back with its own");
  expect(seen).toEqual([...begin, ...first, "asked", ...first]);
});

it("a cell that is needed goes on with its certificate of before, and is started again later; after a day all the same", async () => {
  let isNeeded = true;
  const take = (): boolean => {
    if (isNeeded) throw new Needed("cell c is down");
    return true;
  };
  const { renewal, seen } = machine({ due: [["a"]], take });
  await expect(renewal.certificates()).rejects.toThrow("cell a goes on with its certificate of before: cell c is down");
  expect(seen).toEqual(begin);
  isNeeded = false;
  expect(await renewal.certificates()).toEqual([]);
  expect(seen).toEqual([...begin, "asked", "out a", "cell a", "back a"]);

  isNeeded = true;
  const other = machine({ due: [["a"]], take });
  await expect(other.renewal.certificates()).rejects.toThrow("cell c is down");
  const now = performance.now.bind(performance);
  const later = vi.spyOn(performance, "now").mockImplementation(() => now() + 86_400_000);
  expect(await other.renewal.certificates()).toEqual([]);
  later.mockRestore();
  expect(other.seen).toEqual([...begin, "asked", "cell a not drained", "cell a"]);
});

it("a cell whose softphones do not go is started again all the same, and that is said", async () => {
  const { renewal, seen } = machine({ due: [["a"]], take: staysBusy });
  expect(await renewal.certificates()).toEqual(["a"]);
  expect(seen).toEqual([...begin, "cell a not drained", "cell a"]);
});

it("cells that were out of service when the process before ended are taken back, and one that is gone is forgotten", async () => {
  const { renewal, seen } = machine({ due: [], left: ["b", "z"] });
  renewal.start(60_000);
  renewal.stop();
  await renewal.certificates();
  expect(seen).toEqual(["back b", "z forgotten", "asked"]);
});

it("a cell that could not be taken back is tried again at the next look, before others go", async () => {
  const { renewal, seen } = machine({ due: [["a"], ["b"]], silent: 1 });
  expect(await renewal.certificates()).toEqual(["a"]);
  expect(seen).toEqual([...begin, "out a", "cell a", "cell a stays out of service"]);
  expect(await renewal.certificates()).toEqual(["b"]);
  expect(seen.slice(6)).toEqual(["back a", ...begin, "out b", "cell b", "back b"]);
});
