import { singletonsOf } from "../../cluster/group/singletons.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { mapVersionText, type MapVersion } from "../../cluster/map/map-version.ts";
import type { SteadyMs } from "../../sip/time.ts";

export type ServicePorts = {
  /**
   * A service of the group is done in this cell from now on, or not any more, and since which version of the map that is. What is done for the service
   * says this version, and whoever takes it refuses an older one than he knows. So a cell that stood still and goes on cannot act.
   */
  readonly singleton: (name: string, isOwner: boolean, since: MapVersion) => void;
  /** Asks whether a service can be done in this cell. No answer until it is asked again is no. */
  readonly askSingleton: (name: string, answer: (isAlive: boolean) => void) => void;
  /** A service can be done in this cell, or cannot: another thing than before. */
  readonly isFit: (name: string, isFit: boolean) => void;
  /** Those that cannot be done in this cell, as it was told. */
  readonly unfit: () => readonly string[];
};

/** What a cell has to do with the services of the group: it is told which of them it does, and asked whether it can. */
export class OwnServices {
  readonly #cell: string;
  readonly #ports: ServicePorts;
  /** What was last told of each. */
  readonly #told = new Map<string, string>();
  /** When each was last asked, and whether it has answered. */
  readonly #asked = new Map<string, { readonly at: SteadyMs; isAnswered: boolean }>();

  constructor(cell: string, ports: ServicePorts) {
    this.#cell = cell;
    this.#ports = ports;
  }

  /** Tells what the map has changed. */
  tell(map: ClusterMap): void {
    for (const { name, owners, since } of singletonsOf(map)) {
      const isOwner = owners.includes(this.#cell);
      const text = `${isOwner ? "does" : "does not do"} it since ${mapVersionText(since)}`;
      if (this.#told.get(name) === text) continue;
      this.#told.set(name, text);
      this.#ports.singleton(name, isOwner, since);
    }
  }

  /** Asks those that are due. One that cannot be done is asked on, though another cell does it now. */
  ask(map: ClusterMap, now: SteadyMs): void {
    const unfit = this.#ports.unfit();
    for (const { name, owners, policy } of singletonsOf(map)) {
      if (policy.isAliveMs === undefined || !(owners.includes(this.#cell) || unfit.includes(name))) continue;
      const last = this.#asked.get(name);
      if (last !== undefined && now - last.at < policy.isAliveMs) continue;
      // Much later than it was due: this process stood still, and so did the service.
      if (last?.isAnswered === false && now - last.at < 2 * policy.isAliveMs) this.#judge(name, false);
      const asked = { at: now, isAnswered: false };
      this.#asked.set(name, asked);
      this.#ports.askSingleton(name, (isAlive) => {
        asked.isAnswered = true;
        this.#judge(name, isAlive);
      });
    }
  }

  #judge(name: string, isFit: boolean): void {
    if (this.#ports.unfit().includes(name) === isFit) this.#ports.isFit(name, isFit);
  }
}
