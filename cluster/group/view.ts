import type { ClusterMap } from "../map/cluster-map.ts";
import type { WallMs } from "../../sip/time.ts";

/**
 * What a member is to the one who looks. A cell is `joining` until it is ready: it has just started, or has not been heard of yet. It is `draining`
 * while it is out of service: it has others take over what comes new, and serves what it has. A member stays what it is while it is only suspected:
 * see {@link MemberStatus}.
 */
export type MemberState = "joining" | "up" | "draining" | "down";

/** How often cells and gateways are heard, and how many times in a row they may be missed before they are down. */
export type HeartbeatSettings = ClusterMap["heartbeat"];

/**
 * The members of the cluster as one cell sees them. Every change of a state makes a new one with a higher epoch. It goes to the gateways on their
 * control sockets and to the exchanges of the cell. Plain data: it is JSON on the way.
 */
export type View = {
  /** The cell that sees this. */
  readonly cell: string;
  /** Counts the changes; never goes back, also when the cell starts again. Higher than every epoch it had heard of from other cells. */
  readonly epoch: number;
  /** The live cell that is preferred: see {@link coordinatorOf}. */
  readonly coordinator: string;
  /** In the map's order, the seeing cell too. */
  readonly cells: readonly { readonly id: string; readonly state: MemberState }[];
  /**
   * Up when any live cell sees it. `isGone`: down, and every live cell that knew it saw its socket close and no other come. Its process has ended, as
   * far as anybody can tell. One that is frozen or cut off may go on with what it has.
   */
  readonly gateways: readonly { readonly id: string; readonly state: MemberState; readonly isGone: boolean }[];
  /** The settings in force; a change of these alone is no new epoch. */
  readonly heartbeat: HeartbeatSettings;
  /**
   * This cell can reach no other cell and no gateway, or all gateways are lost to it and to all cells that it hears. It must not take registrations
   * then: those who are to call will never know of them.
   */
  readonly isFenced: boolean;
};

/** Why a state changed, as history and log name it. */
export type Cause =
  /** Heard for the first time. */
  | "joined"
  /** A cell has caught up with the others. */
  | "ready"
  /** Heard again after it was down, or back in service after it was drained. */
  | "returned"
  /** It was up, and says that it has only started. */
  | "restarted"
  | "closed socket"
  | "connection refused"
  | "missed heartbeats"
  /** It does not accept our signature: another secret, or a clock far away. */
  | "bad signature"
  /** Something answers in its place: Cloudflare itself, or a proxy. */
  | "not a cell"
  /** It speaks another version of the protocol, so neither uses the other. */
  | "another version"
  /** The operator takes it out of service. */
  | "drained";

/** What somebody else can have seen of a cell's end. A control socket that was silent too long ends as a missed heartbeat. */
export type SeenCause = Extract<Cause, "closed socket" | "connection refused" | "missed heartbeats">;

/** What has become of a member, and what it was before. */
export type Turning = {
  readonly epoch: number;
  readonly kind: "cell" | "gateway";
  readonly id: string;
  readonly from: MemberState;
  readonly to: MemberState;
  readonly cause: Cause;
  /** More about the cause, for people; may be empty. */
  readonly detail: string;
};

/** One entry of the history. `at`: by the clock of the cell that saw it. */
export type Change = Turning & { readonly at: WallMs };

/** A member as it is right now, with what makes no new epoch. */
export type MemberStatus = {
  readonly id: string;
  readonly state: MemberState;
  /** Since it was last heard, ms; undefined: never. */
  readonly heardMs: number | undefined;
  /** Heartbeats or pings missed in a row. */
  readonly missed: number;
  /** Set while it is suspected: why. */
  readonly suspicion: Cause | undefined;
  /** Cells: what came in place of an answer to the latest heartbeat, in words. Absent: an answer did, or nothing. */
  readonly hindrance?: string | undefined;
  /** Cells: there and back, as the latest heartbeats took, ms. */
  readonly delayMs?: number | undefined;
  /** The cell that looks: others that have not answered since it is what it is. Absent: it is another one. */
  readonly unheardBy?: readonly string[];
};

/** What the members make of a view. */
export function viewOf(
  self: string,
  cells: View["cells"],
  gateways: View["gateways"],
  { preferred, heartbeat }: Pick<ClusterMap, "preferred" | "heartbeat">,
): Pick<View, "coordinator" | "cells" | "gateways" | "heartbeat"> {
  return {
    coordinator: coordinatorOf(cells, self, preferred),
    cells,
    gateways: gateways.map(({ id, state, isGone }) => ({ id, state, isGone })).toSorted((left, right) => (left.id < right.id ? -1 : 1)),
    heartbeat,
  };
}

/** Whether a cell is worth talking to: what is not known to be down may answer. */
export function isReachable(view: View, cell: string): boolean {
  return view.cells.some(({ id, state }) => id === cell && state !== "down");
}

/**
 * The live cell that comes first: those that are preferred in their order, then the others in the map's. A cell that is up comes before one that drains,
 * and that before one that only joins.
 */
export function coordinatorOf(cells: View["cells"], self: string, preferred: readonly string[] = []): string {
  const order = preferred.flatMap((id) => cells.filter((cell) => cell.id === id)).concat(cells);
  for (const wanted of ["up", "draining", "joining"] as const) {
    const first = order.find(({ state }) => state === wanted);
    if (first !== undefined) return first.id;
  }
  return self;
}
