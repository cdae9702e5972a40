import type { Call } from "../../sip/record/values.ts";

/** A call that stands now. `status`: of the last response that its caller has; 100: it has been forwarded. */
export type LiveCall = { readonly key: string } & Omit<Call, "rank" | "end" | "cause">;

/**
 * What became of the wish to end a call. `hungUp`: it was answered, and both phones are sent a BYE. `cancelled`: it rang. `elsewhere`: it rings, and the
 * other replica has it in hand. `busy`: there is too much to do. `callerUntold`, `calleeUntold`, `bothUntold`: there is no way to
 * that side, now or later, and the call is not ended.
 */
export type CallEnding = "hungUp" | "cancelled" | "elsewhere" | "unknown" | "busy" | "callerUntold" | "calleeUntold" | "bothUntold";
