import type { ApiClient, HostIdentity } from "./api-client.ts";
import { Failure, reasonOf } from "./errors.ts";
import type { CellOfLayout } from "./layout.ts";
import type { LocalMembers } from "./local-members.ts";
import type { Reporter } from "./reporter.ts";
import type { Supervisor } from "./supervisor.ts";
import { togetherIn, untilTogether } from "./together.ts";

/** 100 000 records come within a few seconds; a peer that is not there is not waited for any longer. */
const refillMsMax = 10_000;

export type RenewalOptions = {
  /** Those of this machine. */
  readonly cells: () => readonly CellOfLayout[];
  /** Undefined: the system has no authority. */
  readonly members: Pick<LocalMembers, "renew" | "identity"> | undefined;
  /** Any cell, asked for what the processes of this machine need. */
  readonly api: () => Pick<ApiClient, "put">;
  readonly summaryOf: (cell: CellOfLayout) => Promise<unknown>;
  readonly supervisor: Pick<Supervisor, "isStopped" | "renew">;
  readonly reporter: Pick<Reporter, "event">;
  /** This host has another certificate. */
  readonly changed: (tls: HostIdentity["tls"]) => void;
};

/** What runs on this machine gets other certificates, and cells are started again one after the other, while calls stand. */
export class Renewal {
  readonly #options: RenewalOptions;
  #timer: NodeJS.Timeout | undefined;
  #renewing: Promise<readonly string[]> | undefined;

  constructor(options: RenewalOptions) {
    this.#options = options;
  }

  /** Looks at the certificates now and then. */
  start(lookMs: number): void {
    const { reporter } = this.#options;
    const look = (): Promise<unknown> =>
      this.certificates().catch((error: unknown) => reporter.event("tandem", "warns", `${notRenewedText(error)}; tried again in an hour`));
    this.#timer = setInterval(() => void look(), lookMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
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
    const renewed = (await members?.renew(cells(), api(), new Date())) ?? [];
    if (members === undefined || renewed.length === 0) return [];
    changed(members.identity.tls);
    reporter.event("tandem", "renewed", `certificates of ${renewed.join(", ")}`);
    const isForCells = cells().some(({ id }) => renewed.includes(id));
    const away = isForCells ? await this.restartCells("it has another certificate", true) : undefined;
    if (away !== undefined) throw new Failure(`cell ${away} is not back with its own`);
    return renewed;
  }

  /**
   * Starts the cells again, each when the one before has everything back. `areHeard`: they speak with each other. Resolves to the cell that has not come back: those
   * behind it go on as they are. Undefined: all have.
   */
  async restartCells(cause: string, areHeard: boolean): Promise<string | undefined> {
    const { cells, supervisor, summaryOf, reporter } = this.#options;
    for (const cell of cells()) {
      const { id } = cell;
      // It reads its certificate when it is told to start.
      if (supervisor.isStopped(`cell ${id}`)) continue;
      const summary = (): Promise<unknown> => summaryOf(cell);
      const together = new Set(areHeard ? togetherIn(await summary().catch(() => undefined)) : []);
      const isServing = supervisor.renew(`cell ${id}`, cause) && (await untilTogether(summary, together, performance.now() + refillMsMax));
      if (isServing) continue;
      // The others are all that serves: they go on as they are.
      reporter.event(`cell ${id}`, "not renewed", `${cause}: start all cells again, one after the other`);
      return id;
    }
    return undefined;
  }
}

export function notRenewedText(error: unknown): string {
  return `certificates of members are not renewed: ${reasonOf(error)}`;
}
