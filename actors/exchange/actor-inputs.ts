import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import type { Listener } from "../../sip/flow/flow.ts";
import type { WallMs } from "../../sip/time.ts";

export type ExchangeActorOptions = {
  readonly exchange: number;
  readonly cell: string;
  /** Names this start of this replica: random, never used before. */
  readonly boot: string;
  /** The newest that is known: it says whether this cell has a replica of the exchange, and where the other one is. */
  readonly map: ClusterMap;
  /** What the rest's port was told last, if this actor sleeps and wakes; undefined: it starts. */
  readonly orphansUntil: WallMs | undefined;
  /** Where the lines of a cell listen. */
  readonly lineListeners: (map: ClusterMap, cell: string) => readonly Listener[];
};

/** A frame from a line. */
export type LineFrame = {
  /** The line. */
  readonly access: string;
  readonly octets: Uint8Array;
  /** Wanted until then by the clock of this cell; undefined: whenever it comes. */
  readonly until: WallMs | undefined;
};

/** How a frame of a line is answered. */
export type LineAnswer = {
  /** The frame that acknowledges it, and brings along what there is for the line. Undefined: it came too late, and no new request of it was taken. */
  readonly answered: (frame: Uint8Array | undefined) => void;
  /** It was not taken. */
  readonly refused: (reason: string) => void;
};
