import type { SteadyMs } from "../../sip/time.ts";
import { Backhaul } from "./backhaul.ts";
import { RecordKind, type FrameRecord } from "./frame.ts";
import { OwedAnswers } from "./owed-answers.ts";
import type { UnderWay } from "./under-way.ts";

/** A record on its way to a replica. */
export type Carried = FrameRecord & {
  /** The replica that is preferred; undefined: the primary, unless that drains. */
  readonly cell: string | undefined;
  readonly arrival: number;
  moves: number;
  heldSince: SteadyMs;
};

export type Side = {
  readonly cell: string;
  readonly backhaul: Backhaul<Carried>;
  isConnected: boolean;
  openedAt: SteadyMs;
  saysServing: boolean | undefined;
  /** Connected and serving. */
  isReady: boolean;
  readySince: SteadyMs | undefined;
  /** It was ready at some time: before, it had nothing that somebody could take over. */
  wasReady: boolean;
  /** It came and went within `flapMs`, and has not been stable for a period since. */
  isFlapping: boolean;
  /** When its connection was last given up because it was silent, ms. */
  silentAt: SteadyMs;
  /** Requests that it was given, and that nobody has answered. */
  readonly owed: OwedAnswers<Carried>;
  /** Datagrams that it was given while it was late; undefined: it was not. */
  underWay: UnderWay | undefined;
  /** Who has its calls: itself, nobody since it was lost, the other since that was told. */
  calls: "own" | "orphaned" | "adopted";
};

export type Route = {
  /** Where it goes; undefined: nobody can be used. */
  side: Side | undefined;
  isOpen: boolean;
  /** Who was given the last record of it, and how many records that replica had been offered then. */
  last: Side | undefined;
  mark: number;
  /** When all of those were answered, ms. */
  drainedAt: SteadyMs | undefined;
  /** When `side` last changed, ms. */
  waitsSince: SteadyMs;
};

export function newSide(cell: string): Side {
  return {
    cell,
    backhaul: new Backhaul<Carried>(),
    isConnected: false,
    openedAt: 0,
    saysServing: undefined,
    isReady: false,
    readySince: undefined,
    wasReady: false,
    isFlapping: false,
    silentAt: Number.NEGATIVE_INFINITY,
    owed: new OwedAnswers(),
    underWay: undefined,
    calls: "own",
  };
}

export function newRoute(): Route {
  return { side: undefined, isOpen: false, last: undefined, mark: 0, drainedAt: undefined, waitsSince: 0 };
}

export function takeoverRecord(now: SteadyMs): Carried {
  return { kind: RecordKind.takeover, key: "", octets: new Uint8Array(0), cell: undefined, arrival: 0, moves: 0, heldSince: now };
}

export function isServingRecord({ kind }: FrameRecord): boolean {
  return kind === RecordKind.serving;
}
