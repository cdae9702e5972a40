import type { Assignment, MapCell } from "../../cluster/map/cluster-map.ts";

/** The map after a change, or why there is none. */
export type Proposed =
  | "outdated"
  | { readonly refused: string }
  | {
      readonly version: number;
      readonly writer: string;
      readonly cells: readonly MapCell[];
      readonly exchangeCount: number;
      readonly assignments: readonly Assignment[];
    };
