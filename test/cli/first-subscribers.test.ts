import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeFirstSubscribers, planFirstSubscribers, subscribersText } from "../../cli/first-subscribers.ts";
import { isListOf, isTable } from "../../cli/json.ts";
import { StateDirectory } from "../../cli/state-directory.ts";
import { subscriberRecordOf } from "../../cli/subscribers.ts";

const [alice, bob, carol] = ["alice@example.test", "bob@example.test", "carol@example.test"] as const;

let state: StateDirectory;
let events: string[];

beforeEach(() => {
  state = new StateDirectory(mkdtempSync(join(tmpdir(), "tandem-first-")));
  events = [];
});

afterEach(() => rmSync(state.path, { recursive: true, force: true }));

/** The cells, as far as they know who may register: hashes by address-of-record. */
class Cells {
  readonly subscribers = new Map<string, unknown>();

  get(): Promise<unknown> {
    return Promise.resolve([...this.subscribers.keys()]);
  }

  put(_path: string, records: unknown): Promise<unknown> {
    if (!isListOf(records, isTable)) throw new Error("no records");
    for (const { aor, ha1Md5 } of records) this.subscribers.set(String(aor), ha1Md5);
    return Promise.resolve({});
  }
}

function plan(): void {
  planFirstSubscribers(state, "example.test", { event: (process, event, cause) => void events.push(`${process} ${event}: ${cause}`) });
}

/** Cells have written something. */
function writeData(name = "0123.sqlite"): void {
  mkdirSync(state.file("cells", "a", "tandem-a-ExchangeObject"), { recursive: true });
  writeFileSync(state.file("cells", "a", "tandem-a-ExchangeObject", name), "x");
}

/** A first start, which ended well. */
async function startFirst(cells: Cells): Promise<Readonly<Record<string, string>>> {
  plan();
  writeData();
  return (await makeFirstSubscribers(state, cells)) ?? {};
}

describe("first subscribers", () => {
  it("are made in a new directory, and stay as they are", async () => {
    const cells = new Cells();
    const passwords = await startFirst(cells);
    expect(Object.keys(passwords)).toEqual([alice, bob, carol]);
    expect(cells.subscribers.get(alice)).toBe(subscriberRecordOf(alice, passwords[alice] ?? "").ha1Md5);
    const before = new Map(cells.subscribers);
    plan();
    expect(await makeFirstSubscribers(state, cells)).toEqual(passwords);
    expect(cells.subscribers).toEqual(before);
    expect(events).toEqual([]);
  });

  it.each(["0123.sqlite", "0123.sqlite.broken-20260102T030405Z"])(
    "are not made again where there is data (%s) and no file",
    async (name) => {
      const cells = new Cells();
      await startFirst(cells);
      rmSync(state.file("passwords.json"));
      rmSync(state.file("cells", "a"), { recursive: true });
      writeData(name);
      cells.subscribers.delete(bob);
      cells.subscribers.set(alice, "of another password");
      const before = new Map(cells.subscribers);
      plan();
      expect(await makeFirstSubscribers(state, cells)).toBeUndefined();
      expect(cells.subscribers).toEqual(before);
      expect(existsSync(state.file("passwords.json"))).toBe(false);
      expect(events).toEqual([]);
    },
  );

  it("are made by the next start when the first one was cut off before it had told the cells", async () => {
    const cells = new Cells();
    plan();
    writeData();
    const planned = state.readPasswords()?.passwords;
    plan();
    expect(await makeFirstSubscribers(state, cells)).toEqual(planned);
    expect([...cells.subscribers.keys()]).toEqual([alice, bob, carol]);
  });

  it("are put again where nobody has them, with their passwords; who is there keeps the one he has", async () => {
    const cells = new Cells();
    const passwords = await startFirst(cells);
    cells.subscribers.clear();
    cells.subscribers.set(alice, "of another password");
    state.writePasswords({ provisioned: false, passwords });
    plan();
    expect(await makeFirstSubscribers(state, cells)).toEqual(passwords);
    expect([...cells.subscribers.keys()]).toEqual([alice, bob, carol]);
    expect(cells.subscribers.get(alice)).toBe("of another password");
    expect(cells.subscribers.get(bob)).toBe(subscriberRecordOf(bob, passwords[bob] ?? "").ha1Md5);
  });

  it("are put again when the data is gone and the file is not", async () => {
    const passwords = await startFirst(new Cells());
    rmSync(state.file("cells"), { recursive: true });
    const cells = new Cells();
    expect(await startFirst(cells)).toEqual(passwords);
    expect([...cells.subscribers.keys()]).toEqual([alice, bob, carol]);
  });

  it.each([
    ['{"provisioned": tr', "not JSON"],
    ['{"root":"x"}', "it does not hold what this version of tandem writes there"],
  ])("need no file that can be read: %s is kept, said once, and nobody is changed", async (text, reason) => {
    const cells = new Cells();
    await startFirst(cells);
    const before = new Map(cells.subscribers);
    const file = state.file("passwords.json");
    writeFileSync(`${file}.1`, "an older one");
    writeFileSync(file, text);
    state.forgetPasswords([alice]);
    plan();
    expect(await makeFirstSubscribers(state, cells)).toBeUndefined();
    expect(cells.subscribers).toEqual(before);
    expect(events).toEqual([
      expect.stringMatching(/^tandem set aside: .*passwords\.json is damaged: .* and is kept as .*passwords\.json\.2; /),
    ]);
    expect(events[0]).toContain(reason);
    expect([readFileSync(`${file}.1`, "utf8"), readFileSync(`${file}.2`, "utf8")]).toEqual(["an older one", text]);
    plan();
    expect(events).toHaveLength(1);
  });
});

describe("the line of the start", () => {
  const dave = "dave@example.test";

  it.each([
    [[alice, bob], [alice, bob], "alice, bob"],
    [[alice, bob, dave], [alice], "alice, and 2 more, whose passwords are not printed"],
    [[alice, bob, carol, dave], [alice, bob, carol], "alice, bob, carol, and 1 more, whose password is not printed"],
    [[alice, dave], [], "2, whose passwords are not printed"],
    [[], [], "none yet"],
  ])("%j may register, the passwords of %j are known: %s", (all, printed, text) => {
    expect(subscribersText(all, printed)).toBe(text);
  });
});
