import { t1Ms } from "../../sip/limits.ts";

/** RFC 3261 17.1: Timers B and F, and how long late responses still find what is over (Timers D and K). */
export const transactionMs: number = 64 * t1Ms;

/** A UDP target that has not answered at all by then is given up for the next one (RFC 3263 4.3), long before Timers B and F. */
export const targetSilentMs = 4_000;
/** A connection on which a request is unanswered this long is probed. */
export const connectionSilentMs = 1_500;
/** A connection that is silent this long after a probe is dead (RFC 5626 4.4.1 gives it 10 s). */
export const probeMs = 1_500;
/** A phone with one WebSocket probes it this often, and this much more at random: it could not notice a frozen server otherwise. */
export const keepAliveMs = 2_000;
export const keepAliveSpreadMs = 200;

/** Reconnecting: at once but for a jitter, then doubling. */
export const reconnectMsMin = 50;
export const reconnectMsMax = 2_000;

/** Registrations are renewed this often, far more often than they must be. */
export const refreshMs = 60_000;
export const expiresSeconds = 600;
/** A REGISTER that was refused is tried again after this, give or take a half. */
export const registerAgainMs = 1_000;
