import { mapVersionOf, mapVersionText, type MapVersion } from "../../cluster/map/map-version.ts";
import type { Cell } from "./cell.ts";
import type { Cluster } from "./cluster.ts";

/** What a cell does of the services of its group. In one epoch nobody else does the same. */
export class Service {
  readonly #cell: Cell;
  /** Services that it does, since which version of the map. */
  readonly #done = new Map<string, MapVersion>();

  constructor(cell: Cell) {
    this.#cell = cell;
  }

  set(name: string, isOwner: boolean, since: MapVersion): void {
    const { cluster, host, id } = this.#cell;
    if (!isOwner) {
      this.#done.delete(name);
      return;
    }
    host.trace(() => `does ${name} since map ${mapVersionText(since)}`);
    this.#done.set(name, since);
    acts(cluster, name, id, since);
  }

  does(name: string): boolean {
    return this.#done.has(name);
  }
}

/** A cell does a service, or what it has written for it was taken. In one epoch nobody else does or writes. */
export function acts({ owners, world }: Cluster, name: string, cell: string, since: MapVersion): void {
  const key = `${name} since map ${mapVersionText(since)}`;
  const known = owners.get(key) ?? new Set<string>();
  owners.set(key, known.add(cell));
  if (known.size > 1) world.violated("oneOwnerInAnEpoch", `${[...known].join(" and ")} do ${key}`);
}

/** When all is quiet, all cells have one coordinator and one map, and one cell does each service. */
export function checkServices({ living, world }: Cluster): void {
  const [first, ...others] = living.map(({ id, group }) => {
    const { map, view } = group.actor;
    return `${id}: map ${mapVersionText(mapVersionOf(map))}, coordinator ${view.coordinator}`;
  });
  const isSame = others.every((each) => each.slice(each.indexOf(":")) === first?.slice(first.indexOf(":")));
  if (!isSame) world.violated("oneMap", [first, ...others].join("; "));
  const doing = living.filter(({ service }) => service.does("call-records")).map(({ id }) => id);
  if (doing.length !== 1) world.violated("oneOwner", `call-records is done by ${doing.join(" and ") || "nobody"}`);
}
