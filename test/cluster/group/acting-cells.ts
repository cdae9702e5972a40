import { singletonsOf } from "../../../cluster/group/singletons.ts";
import { isNewer, mapVersionText, type MapVersion } from "../../../cluster/map/map-version.ts";
import type { Simulation } from "./group-simulation.ts";

/**
 * What a service writes to, in each cell: it refuses an older epoch than it has been told of. Every cell that takes itself for an owner writes to all that it
 * reaches, ten times a second.
 */
export class ActingCells {
  readonly #simulation: Simulation;
  readonly #cells: readonly string[];
  readonly #known = new Map<string, MapVersion>();
  /** Who has acted in each epoch. */
  readonly ownersByEpoch = new Map<string, Set<string>>();
  /** Writes that were refused, by the cell that made them. */
  readonly refused = new Map<string, number>();

  constructor(simulation: Simulation, cells: readonly string[]) {
    this.#simulation = simulation;
    this.#cells = cells;
  }

  run(ms: number): void {
    for (let passed = 0; passed < ms; passed += 100) {
      for (const cell of this.#cells) this.act(cell);
      this.#simulation.run(100);
    }
  }

  /** `isWaking`: it stood still, and this is the first that it does. It has heard nothing yet. */
  act(cell: string, isWaking = false): void {
    if (!this.#simulation.isRunning(cell) && !isWaking) return;
    const [service] = singletonsOf(this.#simulation.group(cell).map);
    if (service === undefined || !service.owners.includes(cell)) return;
    for (const other of this.#cells) {
      if (!this.#simulation.isRunning(other) || this.#simulation.isCut(cell, other)) continue;
      const known = this.#known.get(other);
      if (known !== undefined && isNewer(known, service.since)) {
        this.refused.set(cell, (this.refused.get(cell) ?? 0) + 1);
        continue;
      }
      this.#known.set(other, service.since);
      const epoch = mapVersionText(service.since);
      this.ownersByEpoch.set(epoch, (this.ownersByEpoch.get(epoch) ?? new Set<string>()).add(cell));
    }
  }
}
