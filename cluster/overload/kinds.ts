import type { RoutingKey } from "../map/routing-key.ts";

/**
 * What a message is to who has no time. `goesOn`: it belongs to something that was begun, and would be begun again or hang if it were refused. `strays`:
 * it says so of itself, without a token of ours.
 * `begins`: a request for something new. `registers`: a REGISTER, which may be either. `emergency`: a call to an emergency number or service.
 */
export type Kind = "goesOn" | "strays" | "begins" | "registers" | "emergency";

/** Requests that end or confirm what another one began, also without a token. */
const goingOn: readonly string[] = ["SIP/2.0 ", "ACK ", "CANCEL ", "BYE ", "PRACK "];

/** RFC 5031 4.2, and the numbers that a phone dials where it knows no service: Europe's and North America's. */
const emergencyService = "urn:service:sos";
const emergencyNumbers: readonly string[] = ["112", "911"];

/** Reads the start line only. `key`: where it belongs; one with a cell has a token of ours, which nobody has before something was begun. */
export function kindOf(octets: Uint8Array, key: RoutingKey | undefined): Kind {
  const start = startOf(octets);
  if (startsWith(octets, start, "REGISTER ")) return "registers";
  if (key?.cell !== undefined) return "goesOn";
  if (goingOn.some((text) => startsWith(octets, start, text))) return "strays";
  return startsWith(octets, start, inviteStart) && isEmergency(octets, start + inviteStart.length) ? "emergency" : "begins";
}

export function isRegister(octets: Uint8Array): boolean {
  return startsWith(octets, startOf(octets), "REGISTER ");
}

/** Whether this is an INVITE, of a dialog or for a new one. */
export function isInvite(octets: Uint8Array): boolean {
  return startsWith(octets, startOf(octets), inviteStart);
}

/**
 * A hash of the Call-ID and the method, which is the same in all copies of a request, and in the one that has the credentials which were asked for. 0:
 * there is none. `seed`: what else it goes by; with one that nobody knows, nobody can tell what hashes to what.
 */
export function callHashOf(octets: Uint8Array, seed: number): number {
  for (let at = startOf(octets); at < octets.length; at += 1) {
    if (octets[at] !== lineFeed) continue;
    const next = octets[at + 1] ?? 0;
    if (next === carriageReturn) return 0;
    const value = (next | 0x20) === letterC || (next | 0x20) === letterI ? callIdAt(octets, at + 1) : -1;
    if (value >= 0) return hashOfLine(octets, value, hashOfMethod(octets, seed));
  }
  return 0;
}

/** A hash of Call-ID and CSeq: a request and its responses have the same. 0: one of the two is missing. `seed`: as for {@link callHashOf}. */
export function transactionHashOf(octets: Uint8Array, seed = 0): number {
  let [callId, cSeq] = [0, 0];
  for (let at = startOf(octets); at < octets.length && (callId === 0 || cSeq === 0); at += 1) {
    if (octets[at] !== lineFeed) continue;
    const next = octets[at + 1] ?? 0;
    if (next === carriageReturn) break;
    if ((next | 0x20) !== letterC && (next | 0x20) !== letterI) continue;
    const [ofCallId, ofCSeq] = [callIdAt(octets, at + 1), valueAt(octets, at + 1, "cseq")];
    if (ofCallId >= 0) callId = hashOfLine(octets, ofCallId, seed);
    else if (ofCSeq >= 0) cSeq = hashOfLine(octets, ofCSeq, seed);
  }
  return callId === 0 || cSeq === 0 ? 0 : spread(callId ^ Math.imul(cSeq, 0x9e3779b1)) || 1;
}

/** Where the value of a Call-ID begins; -1: it is another header. */
function callIdAt(octets: Uint8Array, at: number): number {
  const value = valueAt(octets, at, "call-id");
  return value >= 0 ? value : valueAt(octets, at, "i");
}

/** Where the value of a header of this name begins; -1: it is another one. */
function valueAt(octets: Uint8Array, at: number, lowerName: string): number {
  if (!startsWithAnyCase(octets, at, lowerName)) return -1;
  let end = at + lowerName.length;
  while (octets[end] === space || octets[end] === tab) end += 1;
  return octets[end] === colon ? end + 1 : -1;
}

/** A seed for {@link callHashOf} from one that is not known and the source. */
export function seedOf(secret: number, source: string): number {
  let hash = secret | 0;
  for (let index = 0; index < source.length; index += 1) hash = Math.imul(hash ^ source.charCodeAt(index), 0x01000193);
  return spread(hash);
}

/** Spreads what FNV or a count leaves alike over all 32 bits. */
export function spread(value: number): number {
  let hash = Math.imul(value ^ (value >>> 15), 0x2c1b3c6d);
  hash = Math.imul(hash ^ (hash >>> 12), 0x297a2d39);
  return (hash ^ (hash >>> 15)) >>> 0;
}

function hashOfMethod(octets: Uint8Array, seed: number): number {
  let hash = 0x811c9dc5 ^ seed;
  for (let at = startOf(octets); at < octets.length && octets[at] !== space; at += 1)
    hash = Math.imul(hash ^ (octets[at] ?? 0), 0x01000193);
  return hash;
}

/** FNV-1a up to the end of the line, never 0. */
function hashOfLine(octets: Uint8Array, start: number, seed: number): number {
  let hash = seed;
  for (let at = start; at < octets.length && octets[at] !== carriageReturn && octets[at] !== lineFeed; at += 1) {
    const octet = octets[at] ?? 0;
    if (octet !== space) hash = Math.imul(hash ^ octet, 0x01000193);
  }
  return spread(hash) || 1;
}

function isEmergency(octets: Uint8Array, uri: number): boolean {
  if (startsWithAnyCase(octets, uri, emergencyService)) return true;
  let user = uri;
  while (user < octets.length && octets[user] !== colon && octets[user] !== space) user += 1;
  return emergencyNumbers.some((number) => {
    const end = octets[user + 1 + number.length];
    return startsWith(octets, user + 1, number) && (end === atSign || end === semicolon || end === space);
  });
}

function startOf(octets: Uint8Array): number {
  let at = 0;
  while (octets[at] === carriageReturn || octets[at] === lineFeed) at += 1;
  return at;
}

function startsWith(octets: Uint8Array, at: number, text: string): boolean {
  for (let index = 0; index < text.length; index += 1) if (octets[at + index] !== text.charCodeAt(index)) return false;
  return true;
}

function startsWithAnyCase(octets: Uint8Array, at: number, lower: string): boolean {
  for (let index = 0; index < lower.length; index += 1) {
    const octet = octets[at + index] ?? 0;
    const folded = octet >= 0x41 && octet <= 0x5a ? octet | 0x20 : octet;
    if (folded !== lower.charCodeAt(index)) return false;
  }
  return true;
}

const inviteStart = "INVITE ";
const [tab, lineFeed, carriageReturn, space, colon, semicolon, atSign] = [0x09, 0x0a, 0x0d, 0x20, 0x3a, 0x3b, 0x40];
const [letterC, letterI] = [0x63, 0x69];
