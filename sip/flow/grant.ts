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

/** The same for our own answers, whose headers are as we write them: it costs a tenth. */
export function isGrant(octets: Uint8Array): boolean {
  return isSuccessTo(octets, registerEnd);
}

/** Whether this is a 2xx to an INVITE. One that writes its CSeq in a form of its own is not seen. */
export function isAnsweredCall(octets: Uint8Array): boolean {
  return isSuccessTo(octets, inviteEnd);
}

/**
 * Whether a request has come to something: it rings somewhere, or this is the 2xx to an INVITE, a REGISTER or a MESSAGE. Others are answered with 2xx whoever asks, CANCEL for
 * example.
 */
export function isGoodAnswer(octets: Uint8Array): boolean {
  if (isAt(octets, 0, ringingStart)) return true;
  return isSuccess(octets) && (isAnsweredCall(octets) || isGrant(octets) || isSuccessTo(octets, messageEnd));
}

/** Whether this is a 2xx. */
export function isSuccess(octets: Uint8Array): boolean {
  return isAt(octets, 0, grantStart);
}

function isSuccessTo(octets: Uint8Array, methodEnd: Uint8Array): boolean {
  if (!isSuccess(octets)) return false;
  for (let at = grantStart.length; at < octets.length; at += 1) {
    if (octets[at] !== lineFeed) continue;
    if (octets[at + 1] === carriageReturn) return false;
    if (octets[at + 1] !== letterC || octets[at + 2] !== letterS || octets[at + 3] !== letterE) continue;
    let end = at + 1;
    while (end < octets.length && octets[end] !== carriageReturn) end += 1;
    return isAt(octets, end - methodEnd.length, methodEnd);
  }
  return false;
}

function isAt(octets: Uint8Array, start: number, text: Uint8Array): boolean {
  for (let index = 0; index < text.length; index += 1) if (octets[start + index] !== text[index]) return false;
  return true;
}

const ringingStart = octetsOf("SIP/2.0 18");
const messageEnd = octetsOf(" MESSAGE");
const registerEnd = octetsOf(" REGISTER");
const inviteEnd = octetsOf(" INVITE");
const [lineFeed, carriageReturn, letterC, letterS, letterE] = [0x0a, 0x0d, 0x43, 0x53, 0x65];
