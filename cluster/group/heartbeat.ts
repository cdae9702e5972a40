import type { GroupSettings } from "./settings.ts";
import { readSettings } from "./settings.ts";
import type { Cause, MemberState } from "./view.ts";

/**
 * What one cell tells another, as question and as answer: both ways carry the same. It holds what the sender has seen itself, never what it was told.
 * So nothing is passed round after it has ceased to be true.
 */
export type Heartbeat = {
  readonly cell: string;
  /** Random, new with every start of the sender's core group. */
  readonly boot: string;
  /** Counts the sender's heartbeats and answers within one boot: an older one that comes late tells nothing. */
  readonly sequence: number;
  /** The sender's own. */
  readonly state: Exclude<MemberState, "down">;
  readonly epoch: number;
  /** Gateways by the sender's own control sockets. */
  readonly gateways: readonly GatewayReport[];
  /** Those it has; the higher version wins. */
  readonly settings: GroupSettings;
};

export type GatewayReport = { readonly id: string; readonly isUp: boolean; readonly cause: Cause };

/** Reads what came over the network; undefined when it is none. The sender was authenticated, so this is about versions, not malice. */
export function parseHeartbeat(value: unknown): Heartbeat | undefined {
  if (!isObject(value)) return undefined;
  const { cell, boot, sequence, state, epoch, gateways, settings } = value;
  const read = readSettings(settings);
  if (typeof cell !== "string" || typeof boot !== "string" || !isCount(sequence) || !isCount(epoch) || read === undefined) return undefined;
  if (state !== "joining" && state !== "up" && state !== "draining") return undefined;
  if (!Array.isArray(gateways) || !gateways.every(isReport)) return undefined;
  return { cell, boot, sequence, state, epoch, gateways, settings: read };
}

function isReport(value: unknown): value is GatewayReport {
  return isObject(value) && typeof value["id"] === "string" && typeof value["isUp"] === "boolean" && typeof value["cause"] === "string";
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
