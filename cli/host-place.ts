import type { ClusterMap } from "../cluster/map/cluster-map.ts";
import { isNewer, mapVersionOf } from "../cluster/map/map-version.ts";
import { standingSchema } from "../schemas/api-answers.ts";
import { carriedMapSchema } from "../schemas/cluster-map.ts";
import { read } from "../schemas/reading.ts";
import { ApiClient, KeyRefusal, type Purpose } from "./api-client.ts";
import { type CellOfLayout, membersUrlOf } from "./layout.ts";
import type { LocalMembers } from "./local-members.ts";
import type { StateDirectory } from "./state-directory.ts";

/** How often a host looks at the newest map: removed, it ends within this; started again, it knows cells that were there so lately. */
const lookMs = 5_000;

type CellPlace = { readonly id: string; readonly url: string };

export type HostPlaceOptions = {
  readonly state: StateDirectory;
  readonly members: LocalMembers;
  /** The cells that run on this machine. */
  readonly own: () => readonly CellOfLayout[];
  /** This host, which has started, is no member any more. Called once. */
  readonly wasRemoved: () => void;
};

/** The place of a host in a system with an authority: which cells there are elsewhere, and whether it is a member still. */
export class HostPlace {
  readonly #options: HostPlaceOptions;
  #map: ClusterMap | undefined;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  #isRemoved = false;

  constructor(options: HostPlaceOptions) {
    this.#options = options;
    this.#map = options.state.readMap();
  }

  /** The newest map that is known here. */
  get map(): ClusterMap | undefined {
    return this.#map;
  }

  /** Throws a {@link Failure} when this host is no member any more. */
  checkMember(): void {
    if (this.#isRemoved) this.#options.state.checkNotRemoved(true);
  }

  /** Cells of other machines. */
  get others(): readonly CellPlace[] {
    return cellsElsewhere(this.#map, this.#options.own());
  }

  /** Who is asked for something: the cells of this machine that are in the map, then the others. */
  api(purpose: Purpose = "api"): ApiClient {
    const own = this.#options.own().filter(({ id }) => this.#map?.cells.some((cell) => cell.id === id) ?? true);
    return this.#apiOf([...own.map(membersUrlOf), ...this.others.map(({ url }) => url)], purpose);
  }

  /** Cells of other machines, whichever answers. */
  apiElsewhere(purpose: Purpose): ApiClient {
    return this.#apiOf(
      this.others.map(({ url }) => url),
      purpose,
    );
  }

  /** The cells of other machines, each for itself. */
  elsewhere(purpose: Purpose): readonly ApiClient[] {
    return this.others.map(({ url }) => this.#apiOf([url], purpose));
  }

  start(): void {
    this.#timer ??= setInterval(() => void this.look(), lookMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Looks at the newest map. Cells elsewhere are asked: one of this machine may have been removed with it, and hears of nothing. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #look(): Promise<void> {
    const { state, members } = this.#options;
    const api = this.others.length > 0 ? this.apiElsewhere("host") : this.#apiHere;
    try {
      const { value } = read(carriedMapSchema, await this.#newestMap());
      if (value === undefined || (this.#map !== undefined && !isNewer(mapVersionOf(value), mapVersionOf(this.#map)))) return;
      this.#map = value;
      state.writeMap(value);
    } catch (error) {
      if (!(error instanceof KeyRefusal)) return;
      // Clocks that differ look the same: then the host goes on as it is.
      const { value } = read(standingSchema, await api.getUnsigned(`/host/standing?key=${members.hostKey}`));
      if (value?.standing !== "removed" || this.#isRemoved) return;
      this.#isRemoved = true;
      try {
        state.markRemoved();
      } catch {
        // The disk is full: it asks again at its next start.
      }
      if (this.#timer !== undefined) this.#options.wasRemoved();
    }
  }

  /** A cell of this machine is asked where no other one answers: those may all be at another address, and it has heard of that. */
  async #newestMap(): Promise<unknown> {
    const path = "/host/map";
    if (this.others.length === 0) return await this.#apiHere.get(path);
    try {
      return await this.apiElsewhere("host").get(path);
    } catch (error) {
      if (error instanceof KeyRefusal || this.#options.own().length === 0) throw error;
      return await this.#apiHere.get(path);
    }
  }

  /** Cells of this machine. */
  get #apiHere(): ApiClient {
    return this.#apiOf(this.#options.own().map(membersUrlOf), "host");
  }

  #apiOf(urls: readonly string[], purpose: Purpose): ApiClient {
    return new ApiClient(urls, this.#options.members.identity, purpose);
  }
}

/** Where commands and gateways find cells that do not run here. */
export function cellsElsewhere(map: ClusterMap | undefined, own: readonly Pick<CellOfLayout, "id">[]): readonly CellPlace[] {
  return (map?.cells ?? []).filter((cell) => own.every(({ id }) => id !== cell.id)).map(({ id, url }) => ({ id, url }));
}
