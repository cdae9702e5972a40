import type { GatewayReport } from "./heartbeat.ts";
import type { Cause, HeartbeatSettings, MemberState, Turning } from "./view.ts";
import type { SteadyMs } from "../../sip/time.ts";

/**
 * A gateway, as a cell sees it by its control socket. `isUp` is what this cell has seen itself; `state` is what the view says, where
 * the other cells' eyes count as well.
 */
export type GatewayMember = {
  readonly id: string;
  state: MemberState;
  /** As the view says it. */
  isGone: boolean;
  /** undefined: it never had a control socket here. */
  isUp: boolean | undefined;
  /** Why `isUp` is what it is. */
  cause: Cause;
  isOpen: boolean;
  /** Last ping, or when the socket opened, ms. */
  heardAt: SteadyMs | undefined;
  /** Without a socket: when that is a failure, and which. A gateway whose socket alone was cut is back before. */
  lostAt: SteadyMs;
  lostCause: Cause;
  suspicion: Cause | undefined;
  /** It was up, in anybody's eyes, since this group started: one that was gone before tells nothing of a cut. */
  wasUp: boolean;
  /** It has said here that it ends: nobody waits for it. */
  hasLeft: boolean;
  /** It is down because it has left, as anybody heard it say. */
  isLeft: boolean;
  /** When it was last found down, ms. */
  downAt: SteadyMs;
};

/** A closed control socket is made anew at once when its gateway lives; this much later it does not. */
export const closedGraceMs = 250;

/** A gateway whose process has ended, and that is not there again after this, is lost: a supervisor starts it within a second. */
export const lostGatewayMs = 5_000;

/**
 * One known from before the start of this core group is given the time that a silent one is given. `hasLeft`: it had said that it ends. That is known until
 * somebody says otherwise.
 */
export function newGatewayMember(
  id: string,
  state: MemberState,
  now: SteadyMs,
  settings: HeartbeatSettings,
  hasLeft = false,
): GatewayMember {
  return {
    id,
    state,
    isGone: false,
    isUp: undefined,
    cause: "joined",
    isOpen: false,
    heardAt: undefined,
    lostAt: now + silenceMsMax(settings),
    lostCause: "missed heartbeats",
    suspicion: undefined,
    wasUp: false,
    hasLeft,
    isLeft: hasLeft,
    downAt: hasLeft ? Number.NEGATIVE_INFINITY : now,
  };
}

/** Pings come every period; half of one for those that are under way. */
export function silenceMsMax({ periodMs, missed }: HeartbeatSettings): number {
  return (missed + 0.5) * periodMs;
}

export function opened(gateway: GatewayMember, now: SteadyMs): void {
  gateway.hasLeft = false;
  gateway.isOpen = true;
  gateway.heardAt = now;
}

/** Its last control socket has closed. `hasLeft`: it said that it ends. */
export function closed(gateway: GatewayMember, now: SteadyMs, hasLeft: boolean): void {
  gateway.hasLeft = hasLeft;
  if (!gateway.isOpen) return;
  gateway.isOpen = false;
  gateway.lostAt = now + closedGraceMs;
  gateway.lostCause = "closed socket";
}

/** What a cell tells others of it: what it has seen itself. One that has not been here since its start, and has left, is for those who saw it go. */
export function reportOf({ id, isUp, cause, hasLeft, heardAt }: GatewayMember): GatewayReport[] {
  if (isUp === undefined || (hasLeft && heardAt === undefined)) return [];
  return [{ id, isUp, cause, ...(hasLeft && !isUp ? { hasLeft } : {}) }];
}

/** When its silence will be a failure, if nothing is heard; undefined: it is one already. `graceFrom`: nothing before it counts. */
export function deadlineOf(gateway: GatewayMember, settings: HeartbeatSettings, graceFrom: number): number | undefined {
  if (gateway.isUp === false) return undefined;
  return gateway.isOpen ? Math.max(gateway.heardAt ?? 0, graceFrom) + silenceMsMax(settings) : gateway.lostAt;
}

/** Looks at it anew. True: what this cell sees has changed. */
export function judge(gateway: GatewayMember, settings: HeartbeatSettings, graceFrom: number, now: SteadyMs): boolean {
  const before = gateway.isUp;
  if (gateway.isOpen) {
    const silentMs = now - Math.max(gateway.heardAt ?? 0, graceFrom);
    gateway.isUp = silentMs < silenceMsMax(settings);
    gateway.suspicion = gateway.isUp && silentMs >= 1.5 * settings.periodMs ? "missed heartbeats" : undefined;
    if (!gateway.isUp) gateway.cause = "missed heartbeats";
    else if (before !== true) gateway.cause = before === undefined ? "joined" : "returned";
  } else if (before !== false) {
    gateway.suspicion = now < gateway.lostAt ? gateway.lostCause : undefined;
    if (now >= gateway.lostAt) {
      gateway.isUp = false;
      gateway.cause = gateway.lostCause;
    }
  }
  return gateway.isUp !== before;
}

/**
 * A gateway is as well as the cell that sees it best says: one that has lost its way to one cell still serves. `reports`: what other cells see. Returns
 * what has become of it.
 */
export function merge(gateway: GatewayMember, reports: readonly GatewayReport[], now: SteadyMs): Omit<Turning, "epoch"> | undefined {
  const { id, state: from } = gateway;
  const isKnown = gateway.isUp !== undefined || reports.length > 0;
  if (!isKnown && from !== "down") return undefined;
  const isUp = gateway.isUp === true || reports.some((report) => report.isUp);
  if (isUp) gateway.wasUp = true;
  // Who has heard it since knows better than what stood on the disk here.
  if (gateway.heardAt === undefined && reports.length > 0) gateway.hasLeft = false;
  gateway.isLeft = !isUp && (gateway.hasLeft || reports.some(({ hasLeft }) => hasLeft));
  if (isUp === (from === "up") && from !== "joining") return undefined;
  const to = isUp ? "up" : "down";
  if (from === to) return undefined;
  if (isUp) gateway.hasLeft = false;
  gateway.state = to;
  gateway.downAt = now;
  const seen = gateway.isUp === undefined ? reports : [gateway, ...reports];
  gateway.isGone = !isUp && seen.every((each) => each.cause === "closed socket");
  const cause = isUp ? (from === "down" ? "returned" : "joined") : causeOfLoss(gateway, reports);
  return { kind: "gateway", id, from, to, cause, detail: gateway.isLeft ? leftDetail : "" };
}

/** What the history says of one that has left. */
export const leftDetail = "it said that it ends";

function causeOfLoss(gateway: GatewayMember, reports: readonly GatewayReport[]): Cause {
  return gateway.isUp === false ? gateway.cause : (reports[0]?.cause ?? "missed heartbeats");
}

/**
 * Whether the gateways have been lost, all of them, though the cells may hear each other. The phones are where the gateways are, and the cells have
 * fallen out of that. Those that are silent were cut off; those whose processes ended are started again within moments, or not at all. Who has left
 * by itself is not lost.
 */
export function areLost(gateways: readonly GatewayMember[], now: SteadyMs): boolean {
  if (gateways.some(({ state }) => state === "up")) return false;
  return gateways.some(({ wasUp, isLeft, isGone, downAt }) => wasUp && !isLeft && (!isGone || now - downAt >= lostGatewayMs));
}

/** Pings in a row that did not come. */
export function pingsMissed(gateway: GatewayMember, { periodMs }: HeartbeatSettings, now: SteadyMs): number {
  if (gateway.heardAt === undefined) return 0;
  return Math.max(0, Math.floor((now - gateway.heardAt) / periodMs - 0.5));
}
