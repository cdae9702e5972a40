import { stringOf } from "./octets.ts";

/** The methods of RFC 3261 and its extensions. A proxy forwards any other just as well (RFC 3261 16.3). */
const knownMethods: readonly string[] = [
  "INVITE",
  "ACK",
  "BYE",
  "CANCEL",
  "REGISTER",
  "OPTIONS",
  "SUBSCRIBE",
  "NOTIFY",
  "PRACK",
  "INFO",
  "UPDATE",
  "REFER",
  "MESSAGE",
  "PUBLISH",
];

export function isKnownMethod(method: string): boolean {
  return knownMethods.includes(method);
}

/** The method at these octets, case-sensitive (RFC 3261 7.1); for a known one no string is made. */
export function methodOf(octets: Uint8Array, start: number, end: number): string {
  for (const method of knownMethods) {
    if (method.length !== end - start || method.charCodeAt(0) !== octets[start]) continue;
    let i = 1;
    while (i < method.length && method.charCodeAt(i) === octets[start + i]) i++;
    if (i === method.length) return method;
  }
  return stringOf(octets, start, end);
}
