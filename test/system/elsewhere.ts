import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { inNamespace } from "../../kit/world/namespaces.ts";
import type { Way } from "./clients/stack.ts";

const node = join(import.meta.dirname, "../../node_modules/.bin/node");
const program = join(import.meta.dirname, "clients/elsewhere.ts");

type PhoneAct = "register" | "unregister" | "call" | "hearRinging" | "ring" | "pickUp" | "bye" | "answerBye";

/** What a process on another machine is told to do. `ring` and `answerBye` wait for what they answer. `other`: who is called. */
export type Task =
  | { readonly act: "open"; readonly user: string; readonly way: Way }
  | { readonly act: PhoneAct; readonly user: string; readonly other: string }
  | { readonly act: "look"; readonly state: string; readonly cell: string };

/** The status of what came of it, and how long that took. */
export type Done = { readonly status: number; readonly ms: number };

/** What a cell holds: how each of its exchanges stands with its peer, and a digest of its records. */
export type Held = { readonly pairs: readonly string[]; readonly digests: readonly string[] };

/** A phone on another machine, and what it can be told. */
export type PhoneElsewhere = { readonly user: string; call(other: string): Promise<Done> } & Readonly<
  Record<Exclude<PhoneAct, "call">, () => Promise<Done>>
>;

type Answer = { readonly id: number; readonly result?: unknown; readonly error?: string };

/** A process on another machine, which has phones there. */
export class Elsewhere {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #last = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on("message", ({ id, result, error }: Answer) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(result);
      else waiting?.reject(new Error(error));
    });
    child.once("close", () => {
      for (const { reject } of this.#waiting.values()) reject(new Error("the process on the other machine has ended"));
    });
  }

  static async on(machine: string): Promise<Elsewhere> {
    const child = inNamespace(machine, node, [program], "ignore", true);
    let complaint = "";
    child.stderr?.on("data", (octets) => void (complaint += String(octets)));
    const isOpen = await Promise.race([once(child, "message").then(() => true), once(child, "close").then(() => false)]);
    if (!isOpen) throw new Error(complaint);
    return new Elsewhere(child);
  }

  /** A phone of a user there. */
  async open(user: string, way: Way): Promise<PhoneElsewhere> {
    await this.#do({ act: "open", user, way });
    const told = async (act: PhoneAct, other = ""): Promise<Done> => (await this.#do({ act, user, other })) as Done;
    return {
      user,
      register: () => told("register"),
      unregister: () => told("unregister"),
      call: (other) => told("call", other),
      hearRinging: () => told("hearRinging"),
      ring: () => told("ring"),
      pickUp: () => told("pickUp"),
      bye: () => told("bye"),
      answerBye: () => told("answerBye"),
    };
  }

  /** Asks a cell of that machine. */
  async look(state: string, cell: string): Promise<Held> {
    return (await this.#do({ act: "look", state, cell })) as Held;
  }

  close(): void {
    this.#child.disconnect();
  }

  #do(task: Task): Promise<unknown> {
    this.#last += 1;
    const waiting = Promise.withResolvers<unknown>();
    this.#waiting.set(this.#last, waiting);
    this.#child.send({ id: this.#last, task });
    return waiting.promise;
  }
}

/** What became of a call. `ms`: until it rings for the caller, and from when it is picked up until he hears that: what he waits for. */
export type Called = { readonly status: number; readonly ms: number };

/** A call from one to the other, who picks up when the caller hears it ring. */
export async function callTo(caller: PhoneElsewhere, callee: PhoneElsewhere): Promise<Called> {
  const startedAt = performance.now();
  const calling = caller.call(callee.user);
  const [isRinging] = await Promise.all([Promise.race([calling, caller.hearRinging()]), callee.ring()]);
  if (isRinging.status !== 180) return { status: isRinging.status, ms: 0 };
  const rangMs = performance.now() - startedAt;
  const pickedUpAt = performance.now();
  const heard = calling.then(({ status }) => ({ status, ms: rangMs + performance.now() - pickedUpAt }));
  const [called] = await Promise.all([heard, callee.pickUp()]);
  return called;
}

/** One of both hangs up. */
export async function hangUp(one: PhoneElsewhere, other: PhoneElsewhere): Promise<readonly [Done, Done]> {
  return await Promise.all([one.bye(), other.answerBye()]);
}
