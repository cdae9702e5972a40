import { signatureAgeSecondsMax } from "../cluster/limits.ts";
import type { WallMs } from "../sip/time.ts";

/** Which refusal a refused request has had: {@link refusalHeader} of its answer. */
export const refusalHeader = "tandem-refusal";

/** What is known of a request whose signature was refused. Times by our clock, but for theirs. */
export type RefusedRequest = {
  readonly signedAt: WallMs;
  readonly answeredAt: WallMs;
  /** Their clock when they answered; undefined: they do not say. */
  readonly theirClock: WallMs | undefined;
  /** What they call it; undefined: they are of a release that does not say. */
  readonly refusal: string | undefined;
};

/** Why it was refused. `slow`: it was right, and read so late. */
export type RefusalCause =
  | { readonly type: "secret" }
  | { readonly type: "clock"; readonly aheadMs: number }
  | { readonly type: "slow"; readonly tookMs: number };

const ageMsMax = signatureAgeSecondsMax * 1_000;

/**
 * Their clock was read between the signature and the answer. So the round trip bounds how far it is from ours, as in NTP (RFC 5905 section 8), and only what the
 * round trip cannot explain is a clock.
 */
export function causeOfRefusal({ signedAt, answeredAt, theirClock, refusal }: RefusedRequest): RefusalCause {
  const tripMs = Math.max(0, answeredAt - signedAt);
  if (refusal !== undefined && refusal !== "old") return { type: "secret" };
  if (theirClock === undefined) return refusal === "old" ? { type: "slow", tookMs: tripMs } : { type: "secret" };
  const [least, most] = [theirClock - answeredAt, theirClock - signedAt];
  if (refusal === undefined && Math.abs(most) <= ageMsMax) return { type: "secret" };
  const sureMs = least > 0 ? least : Math.max(0, -most);
  // Below the limit the greater part is blamed: clocks of a healthy system differ too.
  if (sureMs > ageMsMax || sureMs >= tripMs) return { type: "clock", aheadMs: (least + most) / 2 };
  return { type: "slow", tookMs: Math.min(tripMs, Math.max(0, most)) };
}
