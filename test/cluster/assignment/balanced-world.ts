import { balance, type Standing } from "../../../cluster/assignment/balance.ts";
import { finalPairOf } from "../../../cluster/assignment/draft.ts";
import { sharesOf } from "../../../cluster/assignment/shares.ts";
import { healsAtOnceMax, movesAtOnceMax } from "../../../cluster/limits.ts";
import { pairOf, type Assignment, type MapCell } from "../../../cluster/map/cluster-map.ts";

/** A group as its coordinator sees it: cells that come and go, and replicas that need a step to be copied. */
export class BalancedWorld {
  readonly copies: boolean;
  cells: MapCell[];
  assignments: readonly Assignment[];
  /** Replicas that were begun, be it to heal or to move, and primaries that changed. */
  begun = 0;
  turned = 0;
  /** Steps that changed something. */
  steps = 0;
  readonly #standings = new Map<string, Standing>();
  /** Which replicas have everything, `exchange cell`. */
  readonly #whole = new Set<string>();

  constructor(cells: readonly MapCell[], exchanges: number, copies = true) {
    this.copies = copies;
    this.cells = [...cells];
    const map = { cells, exchangeCount: exchanges } as unknown as Parameters<typeof pairOf>[0];
    this.assignments = Array.from({ length: exchanges }, (_, exchange) => pairOf(map, exchange));
    for (const [exchange, { primary, secondary }] of this.assignments.entries()) {
      this.#whole.add(`${exchange} ${primary}`).add(`${exchange} ${secondary}`);
    }
  }

  stands(cell: string, standing: Standing): void {
    this.#standings.set(cell, standing);
  }

  standingOf = (cell: string): Standing => {
    if (!this.cells.some(({ id }) => id === cell)) return "gone";
    return this.#standings.get(cell) ?? "up";
  };

  isAlive(cell: string): boolean {
    return ["up", "busy"].includes(this.standingOf(cell));
  }

  /** What is copied arrives, and the coordinator looks again. False: it has nothing to do. */
  step(): boolean {
    const joined = new Set<number>();
    const single = new Set<number>();
    for (const [exchange, { primary, secondary, joining }] of this.assignments.entries()) {
      const source = [primary, secondary].find((cell) => this.isAlive(cell) && this.#whole.has(`${exchange} ${cell}`));
      for (const cell of [primary, secondary, joining]) {
        if (cell !== undefined && source !== undefined && this.isAlive(cell)) this.#whole.add(`${exchange} ${cell}`);
      }
      if (joining !== undefined && this.#whole.has(`${exchange} ${joining}`) && this.isAlive(joining)) joined.add(exchange);
      if (source !== undefined && ![primary, secondary].every((cell) => this.isAlive(cell))) single.add(exchange);
    }
    const { cells, assignments, standingOf, copies } = this;
    const next = balance({ cells, assignments, standingOf, single, joined, copies });
    if (next === undefined) return false;
    this.#take(next);
    this.steps += 1;
    return true;
  }

  /** Until there is nothing to do. */
  settle(): this {
    for (let step = 0; step < 10_000; step += 1) if (!this.step()) return this;
    throw new Error(`it goes on for ever: ${JSON.stringify(this.assignments)}`);
  }

  /** Exchanges with one replica that lives. */
  get single(): number[] {
    return this.assignments.flatMap(({ primary, secondary }, exchange) =>
      [primary, secondary].filter((cell) => this.isAlive(cell)).length === 1 ? [exchange] : [],
    );
  }

  replicasOf(cell: string): number {
    return this.assignments.filter((assignment) => finalPairOf(assignment).includes(cell)).length;
  }

  primariesOf(cell: string): number {
    return this.assignments.filter(({ primary }) => primary === cell).length;
  }

  /** By how much each cell that stays is over its share of replicas and of primaries. */
  overs(): { readonly id: string; readonly replicas: number; readonly primaries: number }[] {
    const staying = this.cells.filter(({ id }) => this.standingOf(id) !== "gone");
    const shares = sharesOf(staying, this.assignments.length);
    return staying.map(({ id }) => ({
      id,
      replicas: this.replicasOf(id) - (shares.replicas.get(id) ?? 0),
      primaries: this.primariesOf(id) - (shares.primaries.get(id) ?? 0),
    }));
  }

  /** Exchanges whose replicas stand in one place, though there are two. */
  crowded(): number[] {
    const staying = this.cells.filter(({ id }) => this.standingOf(id) !== "gone");
    const { placeOf } = sharesOf(staying, this.assignments.length);
    return this.assignments.flatMap((assignment, exchange) => {
      const [one, other] = finalPairOf(assignment).map(placeOf);
      return one === other ? [exchange] : [];
    });
  }

  #take(next: readonly Assignment[]): void {
    let moves = 0;
    let heals = 0;
    for (const [exchange, after] of next.entries()) {
      const before = this.assignments[exchange];
      if (before === undefined) throw new Error(`exchange ${exchange} came from nowhere`);
      const had = new Set([before.primary, before.secondary, before.joining]);
      const fresh = [after.primary, after.secondary, after.joining].filter((cell) => cell !== undefined && !had.has(cell));
      if (fresh.length > 1) throw new Error(`exchange ${exchange} gets two replicas at once`);
      for (const cell of fresh) {
        this.#whole.delete(`${exchange} ${cell}`);
        if (![before.primary, before.secondary].every((each) => this.isAlive(each)) || before.primary === before.secondary) heals += 1;
        else moves += 1;
      }
      for (const cell of had) {
        if (cell !== undefined && ![after.primary, after.secondary, after.joining].includes(cell)) this.#left(exchange, cell, after);
      }
      if (after.primary !== before.primary && this.isAlive(before.primary)) this.turned += 1;
    }
    if (moves > movesAtOnceMax || heals > healsAtOnceMax) throw new Error(`${moves} moves and ${heals} heals at once`);
    this.begun += moves + heals;
    this.assignments = next;
  }

  /** A replica that is no longer wanted must not have been the only one with everything. */
  #left(exchange: number, cell: string, after: Assignment): void {
    const others = [after.primary, after.secondary].filter((each) => this.isAlive(each) && this.#whole.has(`${exchange} ${each}`));
    if (this.isAlive(cell) && this.#whole.has(`${exchange} ${cell}`) && others.length === 0) {
      throw new Error(`exchange ${exchange} leaves ${cell}, and nobody else has all`);
    }
    this.#whole.delete(`${exchange} ${cell}`);
  }
}

export function cellsOf(count: number, more: (index: number) => Partial<MapCell> = () => ({})): MapCell[] {
  return Array.from({ length: count }, (_, index) => ({ id: String.fromCharCode(97 + index), url: "http://x", ...more(index) }));
}
