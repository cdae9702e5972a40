import { isCount } from "../json.ts";
/**
 * What a gateway tells the cells of itself, for whoever asks them how it is. Counts are of datagrams and requests since its start. Cells of an earlier
 * release do not look at it, gateways of one do not send it.
 */
export type GatewayTally = {
  /** It reads and sends many datagrams at once. */
  readonly isNative: boolean;
  /** The kernel had no room for them when they came. */
  readonly datagramsLost: number;
  /** Nobody had room for them when they were to leave. */
  readonly datagramsDropped: number;
  /** They left some milliseconds later. */
  readonly datagramsPaced: number;
  /** New requests that were refused because all was late. */
  readonly shed: number;
  /** New requests whose sources ask for much and get nothing, and how many such sources are refused something now; absent: a gateway of an earlier release. */
  readonly noise?: number;
  readonly noisySources?: number;
  /** While it is being drained: connections of phones that it has. */
  readonly connectionsLeft?: number;
};

/** A tally as a control link carries it. */
export function tallyText(tally: GatewayTally): string {
  return JSON.stringify({ type: "tally", ...tally });
}

/** The tally in what came on a control link; undefined: there is none that can be read. */
export function tallyOf(message: object): GatewayTally | undefined {
  const { type, isNative, datagramsLost, datagramsDropped, datagramsPaced, shed, noise, noisySources, connectionsLeft } =
    message as Readonly<Record<string, unknown>>;
  if (type !== "tally" || typeof isNative !== "boolean") return undefined;
  if (!isCount(datagramsLost) || !isCount(datagramsDropped) || !isCount(datagramsPaced) || !isCount(shed)) return undefined;
  const left = isCount(connectionsLeft) ? { connectionsLeft } : {};
  const tally = { isNative, datagramsLost, datagramsDropped, datagramsPaced, shed, ...left };
  return isCount(noise) && isCount(noisySources) ? { ...tally, noise, noisySources } : tally;
}
