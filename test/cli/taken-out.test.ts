import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Failure, Refusal } from "../../cli/errors.ts";
import { StateDirectory } from "../../cli/state-directory.ts";
import { Needed, TakenOut } from "../../cli/taken-out.ts";
import { until } from "../../kit/world/until.ts";
import type { Status } from "../../schemas/api-answers.ts";

type State = Status["cells"][number]["state"];

let state: StateDirectory;
/** What the cells are. */
let cells: Map<string, State>;
let softphones: number;
/** What was done to cells, in turn. */
let done: string[];
/** What happens at the next question for the status. */
let meanwhile: (() => void)[];
const started: TakenOut[] = [];

beforeEach(() => {
  state = new StateDirectory(mkdtempSync(join(tmpdir(), "tandem-taken-out-")));
  cells = new Map(["a", "b", "c"].map((id) => [id, "up"]));
  softphones = 0;
  done = [];
  meanwhile = [];
});

afterEach(() => {
  for (const each of started.splice(0)) each.stop();
  rmSync(state.path, { recursive: true, force: true });
});

function statusNow(): Status {
  meanwhile.shift()?.();
  return {
    coordinator: "a",
    cells: Array.from(cells, ([id, each]) => ({
      id,
      state: each,
      epoch: 1,
      ...(each === "draining" ? { softphonesLeft: softphones } : {}),
    })),
    gateways: [],
    registrations: 0,
    dialogs: 0,
    loadBalance: 0,
    signaturesRefused: 0,
    heartbeat: { periodMs: 1_000, missed: 3 },
    history: [],
  };
}

const api = {
  get: async (): Promise<unknown> => statusNow(),
  put: async (path: string, body: unknown): Promise<unknown> => {
    const cell = path.replace("/api/cells/", "");
    const { draining } = body as { draining: boolean };
    if (draining && [...cells].every(([id, each]) => id === cell || each !== "up")) throw new Refusal(`cell ${cell} stays in service`);
    cells.set(cell, draining ? "draining" : "up");
    done.push(`${draining ? "drain" : "undrain"} ${cell}`);
    return {};
  },
};

/** `othersMsMax`: how long it waits for others. */
function takenOut(othersMsMax = 60_000, downMsMax = 60_000): TakenOut {
  const made = new TakenOut({ state, api: () => api, othersMsMax, downMsMax });
  started.push(made);
  return made;
}

const mark = (): boolean => existsSync(state.file("taken-out"));
const silent = (): void => undefined;

describe("a cell that is taken out of service by itself", () => {
  it("has no softphones left then, and stands in a file until it serves again", async () => {
    softphones = 7;
    const said: string[] = [];
    meanwhile = [silent, silent, silent, silent, silent, () => (softphones = 0)];
    const out = takenOut();
    expect(await out.take("b", (text) => void said.push(text))).toBe(true);
    expect(softphones).toBe(0);
    expect([out.left, new TakenOut({ state, api: () => api }).left]).toEqual([["b"], ["b"]]);
    await out.giveBack("b");
    expect(done).toEqual(["drain b", "undrain b"]);
    expect([mark(), out.left]).toEqual([false, []]);
  });

  it("stays as it is where it is the only one, or was out of service before", async () => {
    cells.set("b", "draining");
    expect(await takenOut().take("b", silent)).toBe(false);
    cells = new Map([["a", "up"]]);
    expect(await takenOut().take("a", silent)).toBe(false);
    expect([done, mark()]).toEqual([[], false]);
  });

  it("waits until all others serve", async () => {
    cells.set("a", "joining");
    meanwhile = [silent, silent, silent, () => cells.set("a", "up")];
    const said: string[] = [];
    expect(await takenOut(60_000, 0).take("b", (text) => void said.push(text))).toBe(true);
    expect(done).toEqual(["drain b"]);
    expect(said).toEqual(["waits for cell a, which is joining"]);
  });

  it("is needed while another one stays away", async () => {
    cells.set("c", "down");
    await expect(takenOut(0).take("b", silent)).rejects.toThrow(new Needed("cell c is down"));
    // It is not waited for as one that is started again.
    await expect(takenOut(60_000, 0).take("b", silent)).rejects.toThrow(new Needed("cell c is down"));
    expect([done, mark()]).toEqual([[], false]);
  });

  it("goes though another one was taken out by an operator, who does not come for a while", async () => {
    cells.set("c", "draining");
    expect(await takenOut(0).take("b", silent)).toBe(true);
    expect(done).toEqual(["drain b"]);
  });

  it("is in service again where the cells refuse it", async () => {
    cells.set("a", "draining");
    cells.set("c", "draining");
    await expect(takenOut(0).take("b", silent)).rejects.toThrow("cell b stays in service");
    expect([done, mark()]).toEqual([["undrain b"], false]);
  });

  it("goes back where an earlier one by name goes in the same moment, and waits for that", async () => {
    // It hears of it when it has gone itself: all served when it looked.
    meanwhile = [silent, silent, () => cells.set("a", "draining")];
    const taking = takenOut().take("b", silent);
    await until(() => done.length === 2);
    expect(done).toEqual(["drain b", "undrain b"]);
    cells.set("a", "up");
    expect(await taking).toBe(true);
    expect(done).toEqual(["drain b", "undrain b", "drain b"]);
  });

  it("waits for a later one by name, which goes back", async () => {
    meanwhile = [silent, silent, () => cells.set("c", "draining")];
    const taking = takenOut().take("b", silent);
    let isTaken = false;
    void taking.then(() => (isTaken = true));
    await until(() => cells.get("c") === "draining" && done.length === 1 && meanwhile.length === 0);
    expect(isTaken).toBe(false);
    cells.set("c", "up");
    expect(await taking).toBe(true);
    expect(done).toEqual(["drain b"]);
  });

  it("is waited for no more when the process ends, and the next one takes it back", async () => {
    softphones = 7;
    const out = takenOut();
    const taking = out.take("b", silent);
    let reason: unknown;
    void taking.catch((error: unknown) => (reason = error));
    await until(() => done.length === 1);
    out.stop();
    await until(() => reason !== undefined);
    expect([out.isOver, done, mark()]).toEqual([true, ["drain b"], true]);
    const next = takenOut();
    for (const cell of next.left) await next.giveBack(cell);
    expect([done, cells.get("b"), mark()]).toEqual([["drain b", "undrain b"], "up", false]);
  });

  it("is not forgotten where it was not taken back when another one goes", async () => {
    state.write("taken-out", "a\n");
    const out = takenOut();
    expect(await out.take("b", silent)).toBe(true);
    expect(out.left).toEqual(["a", "b"]);
    await out.giveBack("b");
    expect(takenOut().left).toEqual(["a"]);
    await out.giveBack("a");
    expect(mark()).toBe(false);
  });

  it("is told again that it serves while it does not answer yet", async () => {
    const out = takenOut();
    expect(await out.take("b", silent)).toBe(true);
    let tries = 0;
    const put = api.put;
    api.put = async (...asked) => {
      tries += 1;
      if (tries < 3) throw new Failure("cell b cannot be reached");
      return await put(...asked);
    };
    await out.giveBack("b");
    api.put = put;
    expect([tries, cells.get("b")]).toEqual([3, "up"]);
  });
});
