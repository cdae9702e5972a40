import type { LeftToHandOver } from "./coordinator.ts";
import type { ClusterMap } from "../map/cluster-map.ts";
import type { Heartbeat } from "./heartbeat.ts";
import type { MemberState, MemberStatus, Turning, View } from "./view.ts";

export type GroupOptions = {
  /** The cell whose core group this is. */
  readonly cell: string;
  /** Random, new with every start. */
  readonly boot: string;
  /** The map that this cell was deployed with. */
  readonly deployed: ClusterMap;
  /** The newest map that was known here; undefined: none but that one. */
  readonly kept?: ClusterMap | undefined;
  /** The last epoch that was used here: the group goes on above it. */
  readonly epoch: number;
  /** Those known from before, as they were then. */
  readonly gateways: readonly { readonly id: string; readonly state: MemberState; readonly hasLeft?: boolean }[];
  /** The operator had taken this cell out of service, and not yet back. */
  readonly isDraining?: boolean;
};

/** Which other cells that are not down know the newest map. `all`: where there is no other one as well. */
export type Spread = "all" | "some" | "none";

/** What the shell has to do. */
export type Effect =
  /** Send a heartbeat; tell late() with its sequence when `timeoutMs` have passed, and answered() or failed(), `lateMs` after it left at the latest. */
  | {
      readonly type: "heartbeat";
      readonly to: string;
      readonly timeoutMs: number;
      readonly lateMs: number;
      readonly heartbeat: Heartbeat;
    }
  /** A new view. Keep its epoch, then tell gateways and exchanges. */
  | { readonly type: "view"; readonly view: View; readonly changes: readonly Turning[] }
  /** A newer map: keep it, then tell gateways and exchanges. `before`: the one that it takes the place of. */
  | { readonly type: "map"; readonly map: ClusterMap; readonly before: ClusterMap; readonly view: View }
  | { readonly type: "fence"; readonly isFenced: boolean; readonly view: View }
  /** For the log: a map is not sound, and the one that is known stays. */
  | { readonly type: "refused map"; readonly text: string };

/** What the whole group is right now, for people. */
export type GroupStatus = {
  readonly view: View;
  readonly cells: readonly (MemberStatus & { readonly epoch: number })[];
  /** Without those that left a while ago. */
  readonly gateways: readonly (Omit<MemberStatus, "state"> & { readonly state: MemberState | "left" })[];
  readonly map: ClusterMap;
  /** What a doubling of the exchanges waits for. Absent: they are not being doubled. */
  readonly doubling?: LeftToHandOver | undefined;
};
