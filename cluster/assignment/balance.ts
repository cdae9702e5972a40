import { healsAtOnceMax, movesAtOnceMax } from "../limits.ts";
import type { Assignment, MapCell } from "../map/cluster-map.ts";
import { Draft, finalPairOf } from "./draft.ts";
import { Hops, type Hop, tolerance, widestGaps } from "./moves.ts";
import { sharesOf, type Shares, weightOf } from "./shares.ts";

/**
 * What a cell can be counted on for:
 * - `up`: it serves, and may be given more.
 * - `busy`: it answers, and has just started or is taken out of service. It keeps what it has.
 * - `away`: it has been down, for so short a time that it is waited for.
 * - `gone`: others are to have what it had. So is a cell that the map does not have any more.
 */
export type Standing = "up" | "busy" | "away" | "gone";

export type Situation = {
  /** As the map has them. */
  readonly cells: readonly MapCell[];
  readonly assignments: readonly Assignment[];
  readonly standingOf: (cell: string) => Standing;
  /** Exchanges of which one replica does not have yet, or not any more, what the other one has. */
  readonly single: ReadonlySet<number>;
  /** Exchanges whose joining replica knows all by now. */
  readonly joined: ReadonlySet<number>;
  /** Whether replicas can be copied while both of a pair serve. If not, what is in two cells stays there, and a dead replica is replaced by an empty one. */
  readonly copies: boolean;
};

/**
 * The assignments to write next; undefined: they are as they should be, or what is under way comes first. Called again after each step it goes on where it
 * was: it remembers nothing.
 *
 * First what is under way ends, then dead replicas are replaced, then replicas move and primaries change. While a cell is away nothing is moved for
 * the sake of balance, for it may be back in a moment.
 */
export function balance(situation: Situation): readonly Assignment[] | undefined {
  if (situation.cells.length < 2) return undefined;
  const plan = new Plan(situation);
  plan.endMoves();
  plan.heal();
  plan.move();
  plan.changePrimaries();
  return plan.result;
}

class Plan {
  readonly #situation: Situation;
  readonly #draft: Draft;
  readonly #shares: Shares;
  /** Cells that take part in the shares. */
  readonly #staying: readonly MapCell[];
  readonly #isQuiet: boolean;
  /** Moves that may be begun yet. */
  #left: number;

  constructor(situation: Situation) {
    const { cells, assignments, standingOf } = situation;
    this.#situation = situation;
    this.#draft = new Draft(assignments);
    this.#staying = cells.filter(({ id }) => standingOf(id) !== "gone");
    this.#shares = sharesOf(this.#staying, assignments.length);
    this.#isQuiet = this.#staying.every(({ id }) => standingOf(id) !== "away");
    const moving = assignments.flatMap(({ joining }, exchange) => (joining === undefined ? [] : [exchange]));
    this.#left = movesAtOnceMax - new Set([...situation.single, ...moving]).size;
  }

  get result(): readonly Assignment[] | undefined {
    return this.#draft.changed.size === 0 ? undefined : this.#draft.assignments;
  }

  /** A replica that has joined takes the place of the one that leaves. One that is gone joins no more. */
  endMoves(): void {
    for (const [exchange, { primary, secondary, joining }] of this.#draft.assignments.entries()) {
      if (joining === undefined) continue;
      if (this.#situation.joined.has(exchange)) this.#draft.set(exchange, { primary, secondary: joining });
      else if (this.#is(joining, "gone")) this.#draft.set(exchange, { primary, secondary });
      else if (this.#is(primary, "gone") && this.#isAlive(secondary)) {
        this.#draft.set(exchange, { primary: secondary, secondary: primary, joining });
      }
    }
  }

  /**
   * A replica whose cell is gone is made anew elsewhere. With both gone nothing is: a replica that is made of nothing would know no subscriber, and refuse
   * phones for good.
   */
  heal(): void {
    let left = healsAtOnceMax;
    for (const [exchange, { primary, secondary, joining }] of this.#draft.assignments.entries()) {
      if (joining !== undefined) continue;
      const isAlone = primary === secondary;
      const stays = this.#isAlive(primary) ? primary : secondary;
      const lost = stays === primary ? secondary : primary;
      if (left <= 0 || !this.#isAlive(stays) || !(isAlone || this.#is(lost, "gone"))) continue;
      const to = this.#newcomerFor(stays, [stays, lost]);
      if (to === undefined) continue;
      left -= 1;
      const isCopied = this.#situation.copies && !isAlone;
      this.#draft.set(exchange, isCopied ? { primary: stays, secondary: lost, joining: to } : { primary: stays, secondary: to });
    }
  }

  /** Replicas leave cells that are to have none, then places that have both of a pair, then cells that have more than their share. */
  move(): void {
    if (!this.#situation.copies || !this.#isQuiet) return;
    for (const exchange of this.#draft.assignments.keys()) {
      const hop = this.#left > 0 && this.#isMovable(exchange) ? this.#misplaced(exchange) : undefined;
      if (hop !== undefined) this.#moveAlong([hop]);
    }
    const overOf = (cell: string): number => this.#overOf(cell);
    for (let hops = this.#chainFor(overOf, () => this.#hops()); hops !== undefined; hops = this.#chainFor(overOf, () => this.#hops())) {
      this.#moveAlong(hops);
    }
  }

  /** Primaries change sides where a cell serves more than its share. Both replicas know all, so this moves nothing but work. */
  changePrimaries(): void {
    if (!this.#isQuiet) return;
    const overOf = (cell: string): number => this.#draft.primariesOf(cell) - (this.#shares.primaries.get(cell) ?? 0);
    for (
      let turns = this.#chainFor(overOf, () => this.#turns());
      turns !== undefined;
      turns = this.#chainFor(overOf, () => this.#turns())
    ) {
      for (const { exchange, from, to } of turns) this.#draft.set(exchange, { primary: to, secondary: from });
      this.#left -= turns.length;
    }
  }

  /** What evens out the widest gap that can be evened out. One that does not fit into what may be under way waits, unless it never would. */
  #chainFor(overOf: (cell: string) => number, hopsOf: () => Hops): readonly Hop[] | undefined {
    if (this.#left <= 0) return undefined;
    const ids = this.#staying.map(({ id }) => id);
    const gaps = widestGaps(ids, overOf);
    if (gaps.length === 0) return undefined;
    const hops = hopsOf();
    for (const { over, under } of gaps) {
      const chain = hops.chain(over, under);
      if (chain !== undefined) return chain.length <= this.#left || this.#left === movesAtOnceMax ? chain : undefined;
    }
    return undefined;
  }

  #moveAlong(hops: readonly Hop[]): void {
    for (const { exchange, from, to } of hops) {
      const [primary, secondary] = finalPairOf(this.#assignmentOf(exchange));
      this.#draft.set(exchange, { primary: from === primary ? secondary : primary, secondary: from, joining: to });
    }
    this.#left -= hops.length;
  }

  /** How an exchange leaves a cell that is to have none, or a place that has both of its replicas. */
  #misplaced(exchange: number): Hop | undefined {
    const { primary, secondary } = this.#assignmentOf(exchange);
    const { placeOf, replicas } = this.#shares;
    const isUnwanted = (cell: string): boolean => replicas.get(cell) === 0;
    let from: string | undefined;
    if (isUnwanted(secondary)) from = secondary;
    else if (isUnwanted(primary)) from = primary;
    else if (placeOf(primary) === placeOf(secondary)) from = this.#overOf(primary) > this.#overOf(secondary) ? primary : secondary;
    if (from === undefined) return undefined;
    const stays = from === primary ? secondary : primary;
    const to = this.#newcomerFor(stays, [primary, secondary]);
    const isWorthIt = to !== undefined && (isUnwanted(from) || placeOf(to) !== placeOf(stays));
    return isWorthIt ? { exchange, from, to } : undefined;
  }

  /** The cell that is furthest below its share, in another place than the replica that stays if there is one. */
  #newcomerFor(stays: string, unfit: readonly string[]): string | undefined {
    const { placeOf } = this.#shares;
    const fit = this.#staying.filter((cell) => this.#is(cell.id, "up") && weightOf(cell) > 0 && !unfit.includes(cell.id));
    const elsewhere = fit.filter(({ id }) => placeOf(id) !== placeOf(stays));
    let best: { readonly id: string; readonly over: number; readonly inCommon: number } | undefined;
    for (const { id } of elsewhere.length > 0 ? elsewhere : fit) {
      const over = this.#overOf(id);
      const inCommon = this.#draft.inCommon(id, stays);
      if (best === undefined || over < best.over - tolerance || (over < best.over + tolerance && inCommon < best.inCommon)) {
        best = { id, over, inCommon };
      }
    }
    return best?.id;
  }

  /**
   * Exchanges that can leave one cell for another. Secondaries are preferred, and exchanges whose other cell has little in common with the new one: what a
   * dead cell had spreads over many.
   */
  #hops(): Hops {
    const { placeOf } = this.#shares;
    const hops = new Hops();
    const targets = this.#staying.filter(({ id }) => this.#is(id, "up") && this.#shareOf(id) > 0);
    for (const [exchange, { primary, secondary }] of this.#draft.assignments.entries()) {
      if (!this.#isMovable(exchange)) continue;
      for (const { id } of targets) {
        if (id === primary || id === secondary) continue;
        const fromSecondary = this.#draft.inCommon(primary, id);
        if (placeOf(primary) !== placeOf(id)) hops.offer({ exchange, from: secondary, to: id }, fromSecondary);
        const fromPrimary = this.#draft.assignments.length + this.#draft.inCommon(secondary, id);
        if (placeOf(secondary) !== placeOf(id)) hops.offer({ exchange, from: primary, to: id }, fromPrimary);
      }
    }
    return hops;
  }

  /** Exchanges whose primary can change from one cell to another. */
  #turns(): Hops {
    const turns = new Hops();
    for (const [exchange, { primary, secondary }] of this.#draft.assignments.entries()) {
      if (!this.#isMovable(exchange) || !this.#is(primary, "up") || !this.#is(secondary, "up")) continue;
      turns.offer({ exchange, from: primary, to: secondary }, 0);
    }
    return turns;
  }

  /** Both replicas have all, and nothing is under way. */
  #isMovable(exchange: number): boolean {
    const { primary, secondary, joining } = this.#assignmentOf(exchange);
    const isWhole = joining === undefined && primary !== secondary && !this.#situation.single.has(exchange);
    return isWhole && !this.#draft.changed.has(exchange) && this.#isAlive(primary) && this.#isAlive(secondary);
  }

  #assignmentOf(exchange: number): Assignment {
    const assignment = this.#draft.assignments[exchange];
    if (assignment === undefined) throw new RangeError(`exchange ${exchange} is not in the map`);
    return assignment;
  }

  #shareOf(cell: string): number {
    return this.#shares.replicas.get(cell) ?? 0;
  }

  /** By how many replicas a cell is over its share. */
  #overOf(cell: string): number {
    return this.#draft.replicasOf(cell) - this.#shareOf(cell);
  }

  #is(cell: string, standing: Standing): boolean {
    return this.#situation.standingOf(cell) === standing;
  }

  #isAlive(cell: string): boolean {
    return this.#is(cell, "up") || this.#is(cell, "busy");
  }
}
