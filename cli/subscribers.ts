import { createHash, randomInt } from "node:crypto";
import { addressOfRecordOctetsMax, usernameOctetsMax } from "../sip/limits.ts";
import { canonicalUser, usernameOf } from "../cluster/map/address-of-record.ts";
import { Failure } from "./errors.ts";

/**
 * What a cell is told about a subscriber: the hashes of RFC 7616 3.4.2 over user:realm:password, and those for phones that put the
 * whole address into username. The password never leaves the command.
 */
export type SubscriberRecord = {
  readonly aor: string;
  readonly ha1Md5: string;
  readonly ha1Sha256: string;
  readonly ha1bMd5: string;
  readonly ha1bSha256: string;
};

/**
 * The canonical address-of-record, `user@domain`, of what people type: `alice`, `alice@example.test`, `sip:alice@example.test`.
 * `domain` completes a bare user, and `others` are domains of the system beside it. Throws a {@link Failure} that says what is wrong.
 */
export function parseAddressOfRecord(text: string, domain: string | undefined, others: readonly string[] = []): string {
  const bare = text.trim().replace(/^sips?:/i, "");
  const at = bare.lastIndexOf("@");
  const user = at < 0 ? bare : bare.slice(0, at);
  // What Node makes of octets on a command line that are not UTF-8.
  if (user.includes("\uFFFD")) throw new Failure(`${text}: the name is not UTF-8`);
  const host = at < 0 ? domain : bare.slice(at + 1).toLowerCase();
  if (host === undefined) throw new Failure(`${text}: the domain is missing (${user}@DOMAIN)`);
  if (!/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(host)) throw new Failure(`${text}: ${JSON.stringify(host)} is no domain`);
  if (domain !== undefined && host !== domain && !others.includes(host)) throw new Failure(`${text}: ${domainsText([domain, ...others])}`);
  // RFC 3261 25.1: unreserved, user-unreserved, escaped; and `#`, as the registrar reads it.
  if (user === "" || !/^(?:[\w.!~*'()&=+$,;?/#-]|%[0-9A-Fa-f]{2})+$/.test(user)) {
    const hint = user === "" ? "it is empty" : `it may hold letters a-z, digits and -_.!~*'()&=+$,;?/#, else write ${escapedUser(user)}`;
    throw new Failure(`${text}: ${JSON.stringify(user)} is no user of a SIP address: ${hint}`);
  }
  if (user.length > usernameOctetsMax) throw new Failure(`${text}: a user has at most ${usernameOctetsMax} characters`);
  const addressOfRecord = `${canonicalUser(user)}@${host}`;
  if (addressOfRecord.length > addressOfRecordOctetsMax) throw new Failure(`${text}: longer than ${addressOfRecordOctetsMax} characters`);
  return addressOfRecord;
}

function domainsText(all: readonly string[]): string {
  const names = new Set(all);
  return `the ${names.size === 1 ? "domain of this system is" : "domains of this system are"} ${[...names].join(", ")}`;
}

/** A user as it stands in a SIP address: octets of UTF-8 that may not stand there as `%XX` (RFC 3261 25.1). */
function escapedUser(user: string): string {
  const octets = [...new TextEncoder().encode(user)].map((octet) => String.fromCharCode(octet));
  return octets
    .map((octet) => (/[\w.!~*'()&=+$,;?/-]/.test(octet) ? octet : `%${octet.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`))
    .join("");
}

/** Hashes a password for an address-of-record; the realm is its domain, the username its user part (or, "b", all of it). */
export function subscriberRecordOf(addressOfRecord: string, password: string): SubscriberRecord {
  const at = addressOfRecord.lastIndexOf("@");
  // One char of it is one octet, as the core has all names: made UTF-8 a second time, no phone would have the same hash.
  const user = Buffer.from(usernameOf(addressOfRecord), "latin1");
  const realm = addressOfRecord.slice(at + 1);
  return {
    aor: addressOfRecord,
    ha1Md5: hashOf("md5", user, `:${realm}:${password}`),
    ha1Sha256: hashOf("sha256", user, `:${realm}:${password}`),
    ha1bMd5: hashOf("md5", user, `@${realm}:${realm}:${password}`),
    ha1bSha256: hashOf("sha256", user, `@${realm}:${realm}:${password}`),
  };
}

function hashOf(algorithm: "md5" | "sha256", user: Uint8Array, rest: string): string {
  return createHash(algorithm).update(user).update(rest, "utf8").digest("hex");
}

/**
 * The password in the first line of standard input, which must be UTF-8: phones hash it so, and whatever else it is would be another password.
 * Throws a {@link Failure}.
 */
export function passwordOfInput(octets: Uint8Array): string {
  const newline = octets.indexOf(0x0a);
  const line = newline < 0 ? octets : octets.subarray(0, newline);
  const notText =
    "the password on standard input is not UTF-8, as phones send it: type it in a terminal of UTF-8, or convert it (iconv -t UTF-8)";
  if (line.includes(0)) throw new Failure(notText);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(line).replace(/\r$/, "");
  } catch {
    throw new Failure(notText);
  }
}

/** Who can register at the first start of a system. */
export const firstUsers = ["alice", "bob", "carol"] as const;

/** Twelve characters that can be told apart and typed on a phone: 58 bits. */
export function randomPassword(): string {
  const alphabet = "abcdefghjkmnpqrstuvwxyz23456789";
  return Array.from({ length: 12 }, () => alphabet.charAt(randomInt(alphabet.length))).join("");
}
