import { RecordKind, type FrameRecord } from "./frame.ts";

/** Requests that nobody listens for with a telephone at the ear. */
const quietMethods: readonly string[] = ["REGISTER ", "SUBSCRIBE ", "NOTIFY ", "PUBLISH ", "OPTIONS "];

/**
 * How long a message may wait for company; a frame with a less patient one takes it along.
 * - `none`: somebody hears how long it takes.
 * - `some`: nobody does, but its phone waits for an answer. The busier its backhaul, the longer.
 * - `much`: nobody waits. An ACK that brings no body, and a 100, only stop repetitions, which begin after T1.
 */
export function patienceOf({ kind, octets }: FrameRecord): Patience {
  if (kind !== RecordKind.message) return "none";
  if (startsWith(octets, "SIP/2.0 ")) return startsWith(octets, "SIP/2.0 100 ") ? "much" : "none";
  if (startsWith(octets, "ACK ")) return endsWithHeader(octets) ? "much" : "none";
  return quietMethods.some((method) => startsWith(octets, method)) ? "some" : "none";
}

export type Patience = "none" | "some" | "much";

/** An answer to an offer comes in the ACK's body (RFC 3261 13.2.1): the voice waits for it. */
function endsWithHeader(octets: Uint8Array): boolean {
  const { length } = octets;
  return octets[length - 1] === lf && octets[length - 2] === cr && octets[length - 3] === lf && octets[length - 4] === cr;
}

function startsWith(octets: Uint8Array, text: string): boolean {
  for (let at = 0; at < text.length; at += 1) if (octets[at] !== text.charCodeAt(at)) return false;
  return true;
}

const cr = 0x0d;
const lf = 0x0a;
