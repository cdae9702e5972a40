import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";
import { Failure, reasonOf } from "../errors.ts";
import { Load, type LoadOptions, type LoadReport } from "./load.ts";

type Order =
  | { readonly do: "register" | "establish" | "ring"; readonly withinMs: number }
  | { readonly do: "startCalls" | "stopCalls" | "drain" | "users" | "report" | "inProgress" }
  | { readonly do: "settle"; readonly withinMs: number }
  | { readonly do: "fault"; readonly windowMs: number }
  | { readonly do: "forget"; readonly target: string; readonly withinMs: number };

type Message = { readonly id: number; readonly order: Order };
type Answer = { readonly id: number; readonly value: unknown; readonly error: string | undefined };

/** A {@link Load} in a thread of its own: what the drill does beside must not delay a phone. */
export class LoadThread {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, { readonly done: (value: unknown) => void; readonly failed: (error: Error) => void }>();
  #orders = 0;
  #failure: Error | undefined;

  constructor(options: LoadOptions) {
    this.#worker = new Worker(new URL(import.meta.url), { workerData: options });
    this.#worker.on("message", ({ id, value, error }: Answer) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.done(value);
      else waiting?.failed(new Failure(error));
    });
    const fail = (error: Error): void => {
      this.#failure ??= error;
      for (const { failed } of this.#waiting.values()) failed(error);
      this.#waiting.clear();
    };
    this.#worker.on("error", fail);
    this.#worker.on("exit", () => fail(new Failure("the load has ended")));
  }

  async register(withinMs: number): Promise<void> {
    await this.#order({ do: "register", withinMs });
  }

  async establish(withinMs: number): Promise<void> {
    await this.#order({ do: "establish", withinMs });
  }

  async ring(withinMs: number): Promise<void> {
    await this.#order({ do: "ring", withinMs });
  }

  async startCalls(): Promise<void> {
    await this.#order({ do: "startCalls" });
  }

  async stopCalls(): Promise<void> {
    await this.#order({ do: "stopCalls" });
  }

  async fault(windowMs: number): Promise<void> {
    await this.#order({ do: "fault", windowMs });
  }

  async forget(target: string, withinMs: number): Promise<void> {
    await this.#order({ do: "forget", target, withinMs });
  }

  async drain(): Promise<void> {
    await this.#order({ do: "drain" });
  }

  async settle(withinMs: number): Promise<void> {
    await this.#order({ do: "settle", withinMs });
  }

  async users(): Promise<readonly string[]> {
    return (await this.#order({ do: "users" })) as readonly string[];
  }

  async report(): Promise<LoadReport> {
    return (await this.#order({ do: "report" })) as LoadReport;
  }

  async inProgress(): Promise<number> {
    return (await this.#order({ do: "inProgress" })) as number;
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }

  #order(order: Order): Promise<unknown> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    this.#orders += 1;
    const id = this.#orders;
    return new Promise((done, failed) => {
      this.#waiting.set(id, { done, failed });
      this.#worker.postMessage({ id, order } satisfies Message, []);
    });
  }
}

async function carryOut(load: Load, order: Order): Promise<unknown> {
  switch (order.do) {
    case "register":
      return await load.register(order.withinMs);
    case "establish":
      return await load.establish(order.withinMs);
    case "ring":
      return await load.ring(order.withinMs);
    case "startCalls":
      return load.startCalls();
    case "stopCalls":
      return load.stopCalls();
    case "fault":
      return load.fault(order.windowMs);
    case "forget":
      return load.forget(order.target, order.withinMs);
    case "drain":
      return await load.drain();
    case "settle":
      return await load.settle(order.withinMs);
    case "users":
      return load.users;
    case "report":
      return load.report();
    case "inProgress":
      return load.inProgress;
  }
}

if (!isMainThread && parentPort !== null) {
  const port = parentPort;
  const load = new Load(workerData as LoadOptions);
  port.on("message", ({ id, order }: Message) => {
    carryOut(load, order).then(
      (value) => port.postMessage({ id, value, error: undefined } satisfies Answer),
      (error: unknown) => port.postMessage({ id, value: undefined, error: reasonOf(error) } satisfies Answer),
    );
  });
}
