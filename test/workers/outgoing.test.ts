import { describe, expect, it } from "vitest";
import { outgoingMax } from "../../workers/limits.ts";
import { Outgoing, shareOf } from "../../workers/outgoing.ts";

/** Cloudflare's rule: six wait for their answers, and the seventh is refused here, for it would wait behind them. */
class Six {
  underWay = 0;
  refused = 0;
  most = 0;
  readonly begun: string[] = [];
  readonly #answer = new Map<string, () => void>();

  ask(name: string): () => Promise<string> {
    return async () => {
      if (this.underWay >= outgoingMax) {
        this.refused += 1;
        throw new Error("a seventh");
      }
      this.underWay += 1;
      this.most = Math.max(this.most, this.underWay);
      this.begun.push(name);
      await new Promise<void>((resolve) => this.#answer.set(name, resolve));
      this.underWay -= 1;
      return name;
    };
  }

  answer(name: string): void {
    this.#answer.get(name)?.();
  }
}

const never = new AbortController().signal;

async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}

describe("what an object asks of other cells", () => {
  it("is six at most, and none for one cell waits behind another cell that is frozen", async () => {
    const [outgoing, six] = [new Outgoing(), new Six()];
    // Two of three cells are frozen, and much is asked of them.
    for (let number = 0; number < 20; number += 1) {
      for (const cell of ["b", "c"]) void outgoing.send(cell, 3, never, six.ask(`${cell}${number}`)).catch(() => undefined);
    }
    await turns();
    expect(six.begun).toEqual(["b0", "c0", "b1", "c1"]);
    const living = outgoing.send("d", 3, never, six.ask("d0"));
    await turns();
    expect(six.begun.at(-1)).toBe("d0");
    six.answer("d0");
    expect(await living).toBe("d0");
    expect([six.most, six.refused]).toEqual([5, 0]);
  });

  it("has its turn in order, one for each that is over", async () => {
    const [outgoing, six] = [new Outgoing(), new Six()];
    const all = Array.from({ length: 9 }, (_, number) => outgoing.send("b", 1, never, six.ask(`b${number}`)));
    await turns();
    expect(six.begun).toHaveLength(outgoingMax);
    six.answer("b3");
    // Who asks now does not come before those that wait.
    const last = outgoing.send("b", 1, never, six.ask("b9"));
    await turns();
    expect(six.begun.at(-1)).toBe("b6");
    for (const name of ["b0", "b1", "b2", "b4", "b5", "b6"]) six.answer(name);
    await turns();
    for (const name of ["b7", "b8", "b9"]) six.answer(name);
    expect(await Promise.all([...all, last])).toHaveLength(10);
    expect([six.most, six.refused, six.underWay]).toEqual([outgoingMax, 0, 0]);
  });

  it("is given up where it waits, when its time is over, and takes no turn then", async () => {
    const [outgoing, six] = [new Outgoing(), new Six()];
    for (let number = 0; number < outgoingMax; number += 1) void outgoing.send("b", 1, never, six.ask(`b${number}`));
    const stop = new AbortController();
    const late = outgoing.send("b", 1, stop.signal, six.ask("late"));
    const next = outgoing.send("b", 1, never, six.ask("next"));
    stop.abort(new DOMException("no answer in time", "TimeoutError"));
    await expect(late).rejects.toMatchObject({ name: "TimeoutError" });
    await expect(outgoing.send("b", 1, stop.signal, six.ask("too late"))).rejects.toMatchObject({ name: "TimeoutError" });
    six.answer("b0");
    await turns();
    six.answer("next");
    expect(await next).toBe("next");
    expect(six.begun).not.toContain("late");
  });

  it("frees its place when it fails", async () => {
    const outgoing = new Outgoing();
    for (let number = 0; number < 3 * outgoingMax; number += 1) {
      await expect(outgoing.send("b", 1, never, () => Promise.reject(new Error("refused")))).rejects.toThrow("refused");
    }
    expect(await outgoing.send("b", 1, never, () => Promise.resolve("answer"))).toBe("answer");
  });

  it.each([
    [0, 6],
    [1, 6],
    [2, 3],
    [3, 2],
    [5, 1],
    [25, 1],
  ])("of %i other cells each has a share of %i", (others, share) => {
    expect(shareOf(others)).toBe(share);
  });
});
