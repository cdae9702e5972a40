import type { CoreGroupActor } from "../../actors/core-group/core-group-actor.ts";
import type { MapChange } from "../../cluster/group/known-map.ts";
import { faultNow } from "../../cluster/group/removal.ts";
import type { GroupSettings } from "../../cluster/group/settings.ts";
import type { HeartbeatSettings } from "../../cluster/group/view.ts";
import type { Assignment, ClusterMap, MapCell } from "../../cluster/map/cluster-map.ts";
import { faultOf, type WantedMap } from "../../cluster/map/map-change.ts";
import { changeFor, type Wish } from "../../cluster/map/wish.ts";
import { assignmentsOf } from "../../cluster/map/serving-cells.ts";
import { formFaultOf } from "../carried-map.ts";

/** Why a change does not count. `isUnknown`: it was written, and no other cell is known to have heard of it, so it is to be asked for again. */
export type Refusal = { readonly refused: string; readonly isUnknown?: true };

/** The map after a change, or why there is none. `outdated`: the change was made from another version than the newest. */
export type Proposed =
  | "outdated"
  | Refusal
  | {
      readonly version: number;
      readonly writer: string;
      readonly cells: readonly MapCell[];
      readonly exchangeCount: number;
      readonly assignments: readonly Assignment[];
    };

/**
 * What operators want of the map, in the cell that is the coordinator. It is answered when another cell knows of it: the coordinator may die in the next moment, and what
 * was answered is to count all the same.
 */
export class MapChanges {
  readonly #group: CoreGroupActor;

  constructor(group: CoreGroupActor) {
    this.#group = group;
  }

  /** Another map. Its form is checked by the caller. */
  async propose({ version, writer, ...change }: { readonly version: number; readonly writer: string } & WantedMap): Promise<Proposed> {
    const before = this.#group.map;
    if (version !== before.version || writer !== (before.writer ?? "")) return "outdated";
    const refused = faultOf(before, change) ?? faultNow(this.#group.view, change, before.cells);
    if (refused !== undefined) return { refused };
    const written = this.#write(change);
    const { cells, exchangeCount, version: newVersion, writer: writtenBy = "" } = this.#group.map;
    const outcome = { version: newVersion, writer: writtenBy, cells, exchangeCount, assignments: assignmentsOf(this.#group.map) };
    return (await written) ?? outcome;
  }

  /** Something that the operator wants another. Empty: it is. */
  async fulfil(wish: Wish): Promise<Refusal | { readonly refused?: never }> {
    const change = changeFor(this.#group.map, wish, Date.now());
    return "refused" in change ? change : ((await this.#write(change)) ?? {});
  }

  /** What is wanted of the group, checked by the caller. */
  async changeGroup(change: Pick<ClusterMap, "preferred" | "healAfterMs">): Promise<Refusal | true> {
    return (await this.#write(change)) ?? true;
  }

  /** Other settings for the whole cluster, checked by the caller. Returns them with the version of the map that they make. */
  async setHeartbeat(heartbeat: HeartbeatSettings): Promise<Refusal | GroupSettings> {
    const written = this.#write({ heartbeat });
    const { settings } = this.#group;
    return (await written) ?? settings;
  }

  /** Undefined: another cell has it, where one is up. */
  async #write(change: MapChange): Promise<Refusal | undefined> {
    // A map that others do not take would be ahead of theirs for ever.
    const fault = formFaultOf({ ...this.#group.map, ...change });
    if (fault !== undefined) return { refused: `the map would not have its form: ${fault}` };
    const before = this.#group.map;
    const written = new Promise<boolean>((spread) => {
      this.#group.changeMap(change, spread);
    });
    if (this.#group.map === before) return { refused: "the map would not be sound" };
    const isKnown = await written;
    return isKnown ? undefined : { refused: "no other cell has heard of it yet: ask again", isUnknown: true };
  }
}
