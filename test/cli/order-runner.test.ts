import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Failure } from "../../cli/errors.ts";
import { OrderBook } from "../../cli/order-book.ts";
import { OrderRunner } from "../../cli/order-runner.ts";
import { StateDirectory } from "../../cli/state-directory.ts";
import type { ProcessState } from "../../cli/process-state.ts";
import type { OrdersForHost } from "../../schemas/hosts.ts";
import { until } from "../../kit/world/until.ts";

let state: StateDirectory;
beforeEach(() => {
  state = new StateDirectory(mkdtempSync(join(tmpdir(), "tandem-orders-")));
});
afterEach(() => rmSync(state.path, { recursive: true, force: true }));

type Order = OrdersForHost["orders"][number];

function processOf(name: string): ProcessState {
  return { name, state: "up", pid: 1, since: 0, starts: 1, said: "", saidAt: 0 };
}

/** A host with a cell and a gateway, and cells that say how many phones are left at what is drained. */
class Host {
  readonly done: string[] = [];
  /** What is answered to who asks; a text: nobody is reached. */
  left: number | undefined | string = 0;
  /** So many times the answer is that not all cells have heard of a member that is back. */
  unheard = 0;
  /** What a reload says. */
  read = "certificates are read again";
  /** Set: to stop takes until it is called. */
  hold: Promise<void> = Promise.resolve();
  readonly book: OrderBook;
  readonly runner: OrderRunner;

  constructor() {
    this.book = new OrderBook(state, 0);
    const act = async (what: string): Promise<void> => {
      this.done.push(what);
      await this.hold;
    };
    this.runner = new OrderRunner(
      {
        supervisor: {
          processes: [processOf("cell a"), processOf("gateway g1")],
          stopOne: (name) => act(`stop ${name}`),
          startOne: (name) => (name === "cell a" ? act(`start ${name}`) : Promise.reject(new Failure("gateway g1 runs already"))),
        },
        api: () => ({
          get: (path) => {
            if (typeof this.left === "string") return Promise.reject(new Failure(this.left));
            this.done.push(path);
            return Promise.resolve(this.left === undefined ? {} : { left: this.left });
          },
          put: (path, body) => {
            this.done.push(`${path} ${JSON.stringify(body)}`);
            this.unheard -= 1;
            return Promise.resolve({ isHeard: this.unheard < 0 });
          },
        }),
        reload: () => Promise.resolve(this.read),
      },
      this.book,
      () => undefined,
    );
  }

  async outcome(order: Order): Promise<string> {
    this.runner.take(order);
    await until(() => this.book.outcomeOf(order.id) !== undefined);
    const { isDone, text = "" } = this.book.outcomeOf(order.id) ?? {};
    return `${isDone === true ? "done" : "not done"}: ${text}`;
  }
}

describe("an order", () => {
  it("is carried out once, however often it is handed out, also by the next start of the host", async () => {
    const host = new Host();
    const order = { id: "aa01", what: "restart", member: "a" } as const;
    expect(await host.outcome(order)).toBe("done: cell a is started again");
    host.runner.take(order);
    expect(await host.outcome({ id: "aa02", what: "reload" })).toBe("done: certificates are read again");
    expect(host.done).toEqual(["stop cell a", "start cell a"]);
    const again = new Host();
    expect(await again.outcome(order)).toBe("done: cell a is started again");
    expect(again.done).toEqual([]);
  });

  it("that was cut short by the end of the host is not begun again, and says so", async () => {
    const host = new Host();
    host.hold = new Promise(() => undefined);
    host.runner.take({ id: "aa01", what: "stop", member: "a" });
    await until(() => host.done.length === 1);
    const again = new Host();
    expect(await again.outcome({ id: "aa01", what: "stop", member: "a" })).toBe("not done: the host ended while it was carried out");
    expect(again.done).toEqual([]);
  });

  it("is not begun where that cannot be noted", async () => {
    const host = new Host();
    rmSync(state.path, { recursive: true });
    writeFileSync(state.path, "no directory");
    expect(await host.outcome({ id: "aa01", what: "stop", member: "a" })).toMatch(/^not done: not begun, for it cannot be noted: /);
    expect(host.done).toEqual([]);
  });

  it("is begun though the book is damaged: orders are good for half a minute", async () => {
    writeFileSync(state.file("orders.json"), '[{"id":"aa01","outcome":7}, 5, {"id":"aa02"}]');
    const host = new Host();
    expect(await host.outcome({ id: "aa02", what: "stop", member: "a" })).toMatch(/^not done: the host ended/);
    expect(await host.outcome({ id: "aa01", what: "stop", member: "a" })).toBe("done: cell a is stopped");
    writeFileSync(state.file("orders.json"), "{");
    expect(await new Host().outcome({ id: "aa03", what: "stop", member: "a" })).toBe("done: cell a is stopped");
  });

  it("for a process that is not there, or does not do it, says why", async () => {
    const host = new Host();
    expect(await host.outcome({ id: "aa01", what: "stop", member: "zz" })).toBe("not done: there is no process zz here");
    expect(await host.outcome({ id: "aa02", what: "start", member: "g1" })).toBe("not done: gateway g1 runs already");
  });

  it("remembers as many as a map has room for", async () => {
    const host = new Host();
    for (let number = 0; number < 70; number += 1) await host.outcome({ id: `b${number}`, what: "reload" });
    const booked = JSON.parse(readFileSync(state.file("orders.json"), "utf8")) as readonly { readonly id: string }[];
    expect(booked).toHaveLength(64);
    expect(booked.at(-1)?.id).toBe("b69");
  });
});

describe("a process that is to be stopped", () => {
  it("says what came of it in a line that a cell takes, whatever the processes have said", async () => {
    const host = new Host();
    host.read = "g1: \u001b[31mno such file\n";
    expect(await host.outcome({ id: "aa01", what: "reload" })).toBe("done: g1: ?[31mno such file?");
  });

  it("waits until no phone is left, and is taken back when it is started", async () => {
    const host = new Host();
    expect(await host.outcome({ id: "aa01", what: "stop", member: "g1", drainMs: 60_000 })).toBe("done: gateway g1 is stopped");
    expect(host.done).toEqual(["/host/left?member=g1", "stop gateway g1"]);
    expect(await host.outcome({ id: "aa02", what: "start", member: "a" })).toBe("done: cell a is started");
    expect(host.done.slice(2)).toEqual(["start cell a", '/host/service {"member":"a"}']);
  });

  it("is back when all cells that live have heard of it: the next order may be for one of them", async () => {
    const host = new Host();
    host.unheard = 2;
    expect(await host.outcome({ id: "aa01", what: "restart", member: "a", drainMs: 60_000 })).toBe("done: cell a is started again");
    expect(host.done.slice(3)).toEqual(Array.from({ length: 3 }, () => '/host/service {"member":"a"}'));
  });

  it.each([
    [3, "3 phones had not gone elsewhere"],
    [undefined, "an unknown number of phones had not gone elsewhere"],
    ["nobody answers", "an unknown number of phones had not gone elsewhere"],
  ])("does not wait for longer than it may (%s are left)", async (left, text) => {
    const host = new Host();
    host.left = left;
    expect(await host.outcome({ id: "aa01", what: "stop", member: "g1", drainMs: 50 })).toBe(`done: gateway g1 is stopped; ${text}`);
  });

  it("waits no more when it is told something else", async () => {
    const host = new Host();
    host.left = 5;
    host.runner.take({ id: "aa01", what: "restart", member: "a", drainMs: 600_000 });
    await until(() => host.done.length === 1);
    expect(await host.outcome({ id: "aa02", what: "stop", member: "a" })).toBe("done: cell a is stopped");
    expect(host.book.outcomeOf("aa01")).toMatchObject({ isDone: false, text: "given up for a later order" });
    expect(host.done).toEqual(["/host/left?member=a", "stop cell a"]);
  });

  it("does one thing after the other", async () => {
    const host = new Host();
    const held = Promise.withResolvers<void>();
    host.hold = held.promise;
    host.runner.take({ id: "aa01", what: "stop", member: "a" });
    host.runner.take({ id: "aa02", what: "start", member: "a" });
    await until(() => host.done.length === 1);
    held.resolve();
    await until(() => host.book.outcomeOf("aa02") !== undefined);
    expect(host.done).toEqual(["stop cell a", "start cell a", '/host/service {"member":"a"}']);
  });
});
