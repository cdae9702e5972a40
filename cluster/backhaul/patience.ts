import { RecordKind, type FrameRecord } from "./frame.ts";

/** Requests that nobody listens for with a telephone at the ear. */
const methods: readonly string[] = ["ACK ", "BYE ", "REGISTER ", "SUBSCRIBE ", "NOTIFY ", "PUBLISH ", "OPTIONS "];

const statusAt = 8;
const digit2 = 0x32;
const digit6 = 0x36;

/**
 * True for a message that a few milliseconds more do no harm: a frame with something urgent takes it along, or it waits for others. That is every
 * response but those that tell a caller that it rings. Who picks up, hangs up or declines does not hear whether it took 20 ms.
 */
export function isPatient({ kind, octets }: FrameRecord): boolean {
  if (kind !== RecordKind.message) return false;
  return startsWith(octets, "SIP/2.0 ") ? isPatientStatus(octets) : methods.some((method) => startsWith(octets, method));
}

/** 100, which only stops retransmissions, and what is final. */
function isPatientStatus(octets: Uint8Array): boolean {
  const first = octets[statusAt] ?? 0;
  return (first >= digit2 && first <= digit6) || startsWith(octets, "SIP/2.0 100 ");
}

function startsWith(octets: Uint8Array, text: string): boolean {
  for (let at = 0; at < text.length; at += 1) if (octets[at] !== text.charCodeAt(at)) return false;
  return true;
}
