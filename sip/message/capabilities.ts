import type { HeaderField } from "./build.ts";

/** What we say that we can do: the same from gateways and exchanges, and no more than there is. */

/** Option tags that a REGISTER may require of us (RFC 3327, RFC 5626). */
export const supportedExtensions: readonly string[] = ["path", "outbound"];

/** RFC 3261 11.2: what the answer to an OPTIONS says. The methods are those that we forward or answer; bodies pass as they are. */
export const capabilityHeaders: readonly HeaderField[] = [
  ["Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, SUBSCRIBE, NOTIFY, PUBLISH, MESSAGE, INFO, REFER, PRACK, UPDATE"],
  ["Accept", "*/*"],
  ["Supported", supportedExtensions.join(", ")],
];
