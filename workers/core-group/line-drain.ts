import { lineName, type Environment } from "../environment.ts";
import { drainPatienceMs, drainQuietMs, drainStepMs } from "../limits.ts";
import type { Clocks, SteadyMs } from "../../sip/time.ts";

/**
 * While this cell is out of service and another one is up, it has its lines send their softphones elsewhere. A portion of each line goes at a time,
 * so that the other cell is not met by all of them at once. Softphones in the middle of something come last. A line sends new ones elsewhere as well,
 * as long as it is told so again and again. If this object ends, nobody is kept out for long.
 */
export class LineDrain {
  readonly #env: Environment;
  readonly #lineCount: number;
  readonly #now: Clocks["now"];
  #timer: ReturnType<typeof setTimeout> | null = null;
  #startedAt: SteadyMs | undefined;
  /** By line: how many softphones it had left when it last said so. */
  readonly #left = new Map<number, number>();

  constructor(env: Environment, lineCount: number, now: Clocks["now"]) {
    this.#env = env;
    this.#lineCount = lineCount;
    this.#now = now;
  }

  /** Softphones that are still connected; undefined: not known yet, or none is to go. */
  get left(): number | undefined {
    if (this.#startedAt === undefined || this.#left.size < this.#lineCount) return undefined;
    return [...this.#left.values()].reduce((sum, left) => sum + left, 0);
  }

  set(isWanted: boolean): void {
    if (isWanted === (this.#startedAt !== undefined)) return;
    clearTimeout(this.#timer);
    this.#left.clear();
    this.#startedAt = isWanted ? this.#now() : undefined;
    if (isWanted) void this.#step();
    else void Promise.all(this.#lines(async (line) => await this.#line(line).takeSoftphones()));
  }

  async #step(): Promise<void> {
    const startedAt = this.#startedAt;
    if (startedAt === undefined) return;
    const quietMs = this.#now() - startedAt < drainPatienceMs ? drainQuietMs : 0;
    await Promise.all(
      this.#lines(async (line) => {
        const left = await this.#line(line).sendElsewhere(quietMs);
        if (this.#startedAt === startedAt) this.#left.set(line, left);
      }),
    );
    if (this.#startedAt === startedAt) this.#timer = setTimeout(() => void this.#step(), drainStepMs);
  }

  /** Does something with every line; those that fail do not hold up the others. */
  #lines(act: (line: number) => Promise<void>): Promise<void>[] {
    return Array.from({ length: this.#lineCount }, async (_, line) => {
      try {
        await act(line);
      } catch (error) {
        console.warn(`cell ${this.#env.CELL}: line ${line} does not hear whether it is in service: ${String(error)}`);
      }
    });
  }

  #line(line: number): ReturnType<Environment["LINE"]["getByName"]> {
    return this.#env.LINE.getByName(lineName(line));
  }
}
