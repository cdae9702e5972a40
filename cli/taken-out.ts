import { readFileSync, rmSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { Status } from "../schemas/api-answers.ts";
import type { ApiClient } from "./api-client.ts";
import { cellPath, isToBeTaken, statusOf, untilEmpty, untilHeard } from "./cell-service.ts";
import { Failure } from "./errors.ts";
import type { StateDirectory } from "./state-directory.ts";

/** A cell that its machine starts again is back within this: its softphones leave it first, which takes ten minutes at most (`drainMsMax`). */
const othersMsMax = 900_000;
/** One that has died is started again by its machine within seconds. What is down for longer stays so until somebody looks. */
const downMsMax = 60_000;
/** A cell that has answered a moment before is told in this time that it is in service. */
const backMsMax = 15_000;
const pollMs = 500;
const fileName = "taken-out";

/** Another cell is away: this one is to serve until that is back. */
export class Needed extends Failure {}

export type TakenOutOptions = {
  readonly state: Pick<StateDirectory, "file" | "write">;
  /** Any cell, asked as commands are. */
  readonly api: () => Pick<ApiClient, "get" | "put">;
  /** For tests that do not wait for minutes. */
  readonly othersMsMax?: number;
  readonly downMsMax?: number;
};

/**
 * Takes a cell of this machine out of service, and back, when nobody looks on. Other machines may do the same in the same moment. Which cells they are stands in a file, until
 * they serve again: whatever ends this process, or keeps one from hearing of it, it is taken back later.
 */
export class TakenOut {
  readonly #options: TakenOutOptions;
  readonly #over = new AbortController();

  constructor(options: TakenOutOptions) {
    this.#options = options;
  }

  get isOver(): boolean {
    return this.#over.signal.aborted;
  }

  /** Nobody waits any longer. */
  stop(): void {
    this.#over.abort();
  }

  /** The cells that are out of service by this, or by the process before, by name. */
  get left(): readonly string[] {
    try {
      return readFileSync(this.#options.state.file(fileName), "utf8").split(/\s+/).filter(Boolean);
    } catch {
      return [];
    }
  }

  /** A cell is none of this machine any longer. */
  forget(cell: string): void {
    this.#write(this.left.filter((each) => each !== cell));
  }

  /**
   * Resolves when a cell has no softphones left, to whether it is out of service by this. False: it is the only one, or was out of service before. Throws
   * {@link Needed} when another one stays away.
   */
  async take(cell: string, say: (text: string) => void): Promise<boolean> {
    const { othersMsMax: msMax = othersMsMax } = this.#options;
    if (!isToBeTaken(await statusOf(this.#api), cell)) return false;
    for (const until = performance.now() + msMax; ;) {
      const resting = await this.#untilOthersServe(cell, until, say);
      this.#write([...this.left, cell]);
      try {
        if (await this.#isFirst(cell, resting, until, say)) {
          await untilEmpty(this.#api, cell, say, this.#over.signal);
          return true;
        }
      } catch (error) {
        if (!this.isOver) await this.giveBack(cell).catch(() => undefined);
        throw error;
      }
      await this.giveBack(cell);
    }
  }

  /** A cell that was out of service by this serves again, and all that live have heard it. */
  async giveBack(cell: string): Promise<void> {
    for (const until = performance.now() + backMsMax; ; await this.#pause()) {
      try {
        await this.#api.put(cellPath(cell), { draining: false });
        await untilHeard(this.#api, cell, ["up"], this.#over.signal);
        this.forget(cell);
        return;
      } catch (error) {
        if (!(error instanceof Failure) || performance.now() > until) throw error;
      }
    }
  }

  #write(cells: readonly string[]): void {
    const { state } = this.#options;
    const names = [...new Set(cells)].toSorted();
    if (names.length === 0) rmSync(state.file(fileName), { force: true });
    else state.write(fileName, `${names.join("\n")}\n`);
  }

  get #api(): Pick<ApiClient, "get" | "put"> {
    return this.#options.api();
  }

  /** Of two cells that go in one moment at least one hears of the other. The later by name stays, and the earlier waits for it. */
  async #isFirst(cell: string, resting: ReadonlySet<string>, until: number, say: (text: string) => void): Promise<boolean> {
    await this.#api.put(cellPath(cell), { draining: true });
    await untilHeard(this.#api, cell, ["draining"], this.#over.signal);
    const rivals = (await this.#awayBut(cell)).filter(({ id }) => !resting.has(id));
    if (rivals.some(({ id }) => id < cell)) return false;
    if (rivals.length > 0) await this.#untilOthersServe(cell, until, say);
    return true;
  }

  /** Resolves to those that are out of service for so long that an operator has done it. They have what their exchanges have. */
  async #untilOthersServe(cell: string, until: number, say: (text: string) => void): Promise<ReadonlySet<string>> {
    const { downMsMax: msMax = downMsMax } = this.#options;
    let said = "";
    let upAt = performance.now();
    for (; ; await this.#pause()) {
      const away = await this.#awayBut(cell);
      const now = performance.now();
      const [down, lost] = [away.find(({ state }) => state === "down"), away.find(({ state }) => state !== "draining")];
      if (down === undefined) upAt = now;
      if (down !== undefined && now - upAt >= msMax) throw new Needed(`cell ${down.id} is down`);
      if (lost !== undefined && now > until) throw new Needed(`cell ${lost.id} is ${lost.state}`);
      if (now > until || away.length === 0) return new Set(away.map(({ id }) => id));
      const text = `waits for ${away.map(({ id, state }) => `cell ${id}, which is ${state}`).join("; ")}`;
      if (text !== said) say(text);
      said = text;
    }
  }

  async #awayBut(cell: string): Promise<Status["cells"]> {
    return (await statusOf(this.#api)).cells.filter(({ id, state }) => id !== cell && state !== "up");
  }

  async #pause(): Promise<void> {
    await delay(pollMs, undefined, { signal: this.#over.signal });
  }
}
