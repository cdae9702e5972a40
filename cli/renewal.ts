import type { ApiClient, HostIdentity } from "./api-client.ts";
import { Failure, reasonOf, Refusal } from "./errors.ts";
import type { CellOfLayout } from "./layout.ts";
import type { LocalMembers } from "./local-members.ts";
import type { Reporter } from "./reporter.ts";
import type { Supervisor } from "./supervisor.ts";
import { Needed, type TakenOut } from "./taken-out.ts";
import { togetherIn, untilTogether } from "./together.ts";

/** Where another cell is away for so long, a cell is started again all the same: its certificate has some days yet, and a person may not look. */
const neededMsMax = 86_400_000;
/** 100 000 records come within a few seconds; a peer that is not there is not waited for any longer. */
const refillMsMax = 10_000;

export type RenewalOptions = {
  /** Those of this machine. */
  readonly cells: () => readonly CellOfLayout[];
  /** Undefined: the system has no authority. */
  readonly members: Pick<LocalMembers, "renew" | "identity"> | undefined;
  /** Any cell, asked for what the processes of this machine need. */
  readonly api: () => Pick<ApiClient, "put">;
  readonly takenOut: Pick<TakenOut, "take" | "giveBack" | "forget" | "left" | "isOver" | "stop">;
  /** Cells have what others have, so one may be taken out of service. */
  readonly isReplicated: () => boolean;
  readonly summaryOf: (cell: CellOfLayout) => Promise<unknown>;
  readonly supervisor: Pick<Supervisor, "isStopped" | "renew">;
  readonly reporter: Pick<Reporter, "event">;
  /** This host has another certificate. */
  readonly changed: (tls: HostIdentity["tls"]) => void;
};

/**
 * What runs on this machine gets other certificates, and cells are started again one after the other, while calls stand. Each is taken out of service first, where
 * others have what it has: softphones come back elsewhere before it ends.
 */
export class Renewal {
  readonly #options: RenewalOptions;
  #timer: NodeJS.Timeout | undefined;
  #renewing: Promise<readonly string[]> | undefined;
  #givingBack: Promise<void> | undefined;
  /** Cells that run with a certificate of before, and since when they are to be started again, ms. */
  readonly #due = new Map<string, number>();

  constructor(options: RenewalOptions) {
    this.#options = options;
  }

  /** Looks at the certificates now and then. */
  start(lookMs: number): void {
    const { reporter } = this.#options;
    const look = (): Promise<unknown> =>
      this.certificates().catch((error: unknown) => {
        if (!this.#options.takenOut.isOver) reporter.event("tandem", "warns", `${notRenewedText(error)}; tried again in an hour`);
      });
    void this.#giveBackLeft();
    this.#timer = setInterval(() => void look(), lookMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#options.takenOut.stop();
  }

  /**
   * Certificates are renewed when two thirds of their life are over. Gateways take theirs by themselves, and workerd reads one at its start only. Resolves to whose
   * they are when the cells are back. Who asks meanwhile is told the same.
   */
  certificates(): Promise<readonly string[]> {
    this.#renewing ??= this.#certificates().finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  async #certificates(): Promise<readonly string[]> {
    const { members, cells, api, reporter, changed } = this.#options;
    // First of all: none is taken meanwhile, so what is out of service was left so.
    await this.#giveBackLeft();
    if (members === undefined) return [];
    const renewed = await members.renew(cells(), api(), new Date());
    if (renewed.length > 0) {
      changed(members.identity.tls);
      reporter.event("tandem", "renewed", `certificates of ${renewed.join(", ")}`);
    }
    for (const { id } of cells()) if (renewed.includes(id)) this.#due.set(id, performance.now());
    for (const cell of cells().filter(({ id }) => this.#due.has(id))) {
      const problem = await this.#startWithOwn(cell);
      if (problem !== undefined) throw new Failure(problem);
      this.#due.delete(cell.id);
    }
    return renewed;
  }

  /** Returns why a cell does not run with its own certificate yet; undefined: it does. */
  async #startWithOwn(cell: CellOfLayout): Promise<string | undefined> {
    const { supervisor, reporter, takenOut, isReplicated } = this.#options;
    const { id } = cell;
    // It reads its certificate when it is told to start.
    if (supervisor.isStopped(`cell ${id}`)) return undefined;
    const say = (text: string): void => reporter.event(`cell ${id}`, "to be started again", text.trim());
    let isTaken = false;
    try {
      isTaken = isReplicated() && (await takenOut.take(id, say));
    } catch (error) {
      if (!(error instanceof Failure) || takenOut.isOver) throw error;
      const isNeeded = error instanceof Needed || error instanceof Refusal;
      if (isNeeded && performance.now() - (this.#due.get(id) ?? 0) < neededMsMax)
        return `cell ${id} goes on with its certificate of before: ${error.message}`;
      reporter.event(`cell ${id}`, "not drained", `${error.message}; it is started again all the same`);
    }
    const isBack = await this.#startAgain(cell, "it has another certificate", true);
    if (isTaken) await this.#giveBack(id);
    return isBack ? undefined : `cell ${id} is not back with its own`;
  }

  /** Cells that could not be taken back before, by this process or the one before it. */
  #giveBackLeft(): Promise<void> {
    this.#givingBack ??= this.#giveBackEach().finally(() => {
      this.#givingBack = undefined;
    });
    return this.#givingBack;
  }

  async #giveBackEach(): Promise<void> {
    const { cells, takenOut } = this.#options;
    for (const id of takenOut.left) {
      if (cells().some((cell) => cell.id === id)) await this.#giveBack(id);
      else takenOut.forget(id);
    }
  }

  async #giveBack(cell: string): Promise<void> {
    const { reporter, takenOut } = this.#options;
    try {
      await takenOut.giveBack(cell);
    } catch (error) {
      if (!takenOut.isOver)
        reporter.event(`cell ${cell}`, "stays out of service", `${reasonOf(error)}: tandem undrain ${cell} takes it back`);
    }
  }

  /**
   * Starts the cells again at once, each when the one before has everything back. `areHeard`: they speak with each other. Where one does not come back, those behind it
   * go on as they are.
   */
  async restartCells(cause: string, areHeard: boolean): Promise<void> {
    const { cells, supervisor } = this.#options;
    for (const cell of cells()) {
      if (supervisor.isStopped(`cell ${cell.id}`)) continue;
      if (!(await this.#startAgain(cell, cause, areHeard))) return;
    }
  }

  /** False: it is not back. */
  async #startAgain(cell: CellOfLayout, cause: string, areHeard: boolean): Promise<boolean> {
    const { supervisor, summaryOf, reporter } = this.#options;
    const { id } = cell;
    const summary = (): Promise<unknown> => summaryOf(cell);
    const together = new Set(areHeard ? togetherIn(await summary().catch(() => undefined)) : []);
    if (supervisor.renew(`cell ${id}`, cause) && (await untilTogether(summary, together, performance.now() + refillMsMax))) return true;
    // The others are all that serves: they go on as they are.
    reporter.event(`cell ${id}`, "not renewed", `${cause}: start all cells again, one after the other`);
    return false;
  }
}

export function notRenewedText(error: unknown): string {
  return `certificates of members are not renewed: ${reasonOf(error)}`;
}
