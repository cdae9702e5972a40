import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import type { View } from "../../cluster/group/view.ts";
import type { SteadyMs } from "../../sip/time.ts";
import { Copying, type CopyingOptions } from "./copying.ts";
import type { CoreGroupPort } from "./ports.ts";
import type { Copied } from "./replication.ts";

export type NewcomerOptions = Omit<CopyingOptions, "to" | "map" | "changed"> & { readonly coreGroup: CoreGroupPort };

/** The cell that is to take the place of the peer, if the map has one: it is told everything, and the core group when it knows it. */
export class Newcomer {
  readonly #options: NewcomerOptions;
  #copying: Copying | undefined;
  /** What the core group has been told. */
  #told: string | undefined;

  constructor(options: NewcomerOptions) {
    this.#options = options;
  }

  /** The map names this cell; undefined: none, or there is nothing sure to tell yet. */
  set(to: string | undefined, map: ClusterMap, now: SteadyMs): void {
    this.#copying?.setMap(map);
    if (this.#copying?.to === to) return;
    this.#copying?.end(now);
    this.#copying = to === undefined ? undefined : new Copying({ ...this.#options, to, map, changed: () => this.#tell() }, now);
    this.#copying?.start(now);
    this.#tell();
  }

  /** Records have changed here, perhaps. */
  look(now: SteadyMs): void {
    this.#copying?.look(now);
  }

  /** A batch of that cell's, and its answer. Undefined: it is of another one. */
  take(batch: string, now: SteadyMs): string | undefined {
    return this.#copying?.take(batch, now);
  }

  answered(id: number, answer: string, now: SteadyMs): void {
    this.#copying?.answered(id, answer, now);
  }

  failed(id: number, isRefused: boolean, cause: string, now: SteadyMs): void {
    this.#copying?.failed(id, isRefused, cause, now);
  }

  /** A view is there, perhaps of a core group that has just started: it is told again. */
  see(reachable: readonly string[], heartbeat: View["heartbeat"], now: SteadyMs): void {
    if (this.#copying === undefined) return;
    this.#copying.see(reachable.includes(this.#copying.to), heartbeat, now);
    if (this.#told !== undefined) this.#options.coreGroup.copied(this.#told);
  }

  /** The map has made a cell the peer. What is known of it, if it is the one that was told everything. */
  becomesPeer(cell: string | undefined): Copied | undefined {
    if (cell === undefined || this.#copying?.to !== cell) return undefined;
    const copied = this.#copying.becomePeer();
    this.#copying = undefined;
    this.#tell();
    return copied;
  }

  #tell(): void {
    const copied = this.#copying?.isComplete === true ? this.#copying.to : undefined;
    if (copied === this.#told) return;
    this.#told = copied;
    this.#options.coreGroup.copied(copied);
  }
}
