import { octetsOf, stringOf } from "../message/octets.ts";

const grantStart = octetsOf("SIP/2.0 2");
const cSeqOfRegister = /^CSeq[ \t]*:\s*\d+\s+REGISTER\s*$/im;
const bodyStart = "\r\n\r\n";

/**
 * Whether this is the 2xx for a REGISTER (RFC 3261 10.3): who gets it has shown a password, where passwords are asked for. An exchange answers them
 * by itself, so that no stranger can have one sent. Looked for on connections only that have had none yet.
 */
export function isRegistered(octets: Uint8Array): boolean {
  for (let at = 0; at < grantStart.length; at += 1) if (octets[at] !== grantStart[at]) return false;
  const text = stringOf(octets);
  const head = text.indexOf(bodyStart);
  return cSeqOfRegister.test(head < 0 ? text : text.slice(0, head));
}
