import { RecordKind, type FrameRecord } from "./frame.ts";

/** Requests that nobody listens for with a telephone at the ear. */
const methods: readonly string[] = ["ACK ", "BYE ", "REGISTER ", "SUBSCRIBE ", "NOTIFY ", "PUBLISH ", "OPTIONS "];

/** True for a message that a few milliseconds more do no harm: a frame with something urgent takes it along, or it waits for others. */
export function isPatient({ kind, octets }: FrameRecord): boolean {
  return kind === RecordKind.message && methods.some((method) => startsWith(octets, method));
}

function startsWith(octets: Uint8Array, text: string): boolean {
  for (let at = 0; at < text.length; at += 1) if (octets[at] !== text.charCodeAt(at)) return false;
  return true;
}
